"""Energies that others measured on other networks, and what a microcontroller would need by them.

A new point is one `[[point]]` in measured_elsewhere.toml, with its source and its grade.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from spikeport.hardware_profiles.constants import Part, Text
from spikeport.json_values import JsonValue
from spikeport.values import Interval

FILE = Path(__file__).parent / "measured_elsewhere.toml"
MICROCONTROLLER = "STM32L4R5 (Cortex-M4)"
TITLE = "measured elsewhere, another network"


class MeasuredPoint(Part):
    """The energy of one inference of a network on a device, measured by others.

    Attributes:
        id: id of the point.
        device: the device.
        network: the network and its data.
        quantity: `dynamic` (above the idle power), `total`, or `unstated` where no text that was read says it.
        energy_uj: energy of one inference, µJ.
        macs: multiply-accumulates of one inference; None where they are not known or the network spikes.
        derived: whether the energy is a measured power times a time, calculated here.
        grade: `read` (the publication, its table or its logs) or `secondary` (only a survey, abstract or note).
        source: the publication.
        locator: place in it, and how the number was derived.
    """

    id: Text
    device: Text
    network: Text
    quantity: Literal["dynamic", "total", "unstated"]
    energy_uj: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    macs: int | None = None
    derived: bool = False
    grade: Literal["read", "secondary"]
    source: Text
    locator: Text

    @property
    def nj_per_mac(self) -> float | None:
        """Energy over multiply-accumulates, nJ; None where these are not known."""
        return None if self.macs is None else 1e3 * self.energy_uj / self.macs


@dataclass(frozen=True, kw_only=True)
class Microcontroller(JsonValue):
    """What an ANN would need on a microcontroller, modeled from measured energies of other networks.

    Attributes:
        device: the microcontroller.
        macs: multiply-accumulates of one inference.
        nj_per_mac: energy of one multiply-accumulate, nJ: the measured ends, and their geometric mean.
        energy_uj: energy of one inference, µJ.
        basis: how the energy was made.
        source: source of the measured energies.
    """

    device: str
    macs: int
    nj_per_mac: Interval
    energy_uj: Interval
    basis: str
    source: str


@cache
def measured_elsewhere() -> tuple[MeasuredPoint, ...]:
    """The points of measured_elsewhere.toml, in its order."""
    values = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(TypeAdapter(list[MeasuredPoint]).validate_python(values["point"]))


def microcontroller(macs: int) -> Microcontroller:
    """Energy of a pass of an ANN on a microcontroller: its multiply-accumulates times those of MLPerf Tiny's networks.

    Energy over multiply-accumulates hardly varies between networks on a processor that does one after another.

    Args:
        macs: multiply-accumulates of one inference.
    """
    points = [point for point in measured_elsewhere() if point.device == MICROCONTROLLER]
    rates = sorted(point.nj_per_mac for point in points if point.nj_per_mac is not None)
    low, high = rates[0], rates[-1]
    nj_per_mac = Interval(low=low, nominal=(low * high) ** 0.5, high=high)
    return Microcontroller(
        device=MICROCONTROLLER,
        macs=macs,
        nj_per_mac=nj_per_mac,
        energy_uj=Interval(
            low=nj_per_mac.low * macs / 1e3, nominal=nj_per_mac.nominal * macs / 1e3, high=nj_per_mac.high * macs / 1e3
        ),
        basis=f"modeled from {len(rates)} measured networks of 8 bits in MLPerf Tiny",
        source="; ".join(dict.fromkeys(point.source for point in points)),
    )
