"""Energies that others measured on other networks, and a microcontroller by them, for the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from spikeport.hardware_profiles.measured_elsewhere import measured_elsewhere, microcontroller
from spikeport.values import IntervalJson

HEADS = ("Device", "Network", "Energy per inference", "Quantity", "Grade", "Source")
NOTE = (
    "Each point is of another network and says on what scale such devices are; none has a ratio to this network. Read: "
    "in the publication or its logs. Derived: power times time of the publication. Secondary: only a survey, an "
    "abstract or a note was read, and the value is not verified."
)


class PointJson(TypedDict):
    """A point of hardware_profiles/measured_elsewhere.toml, see `MeasuredPoint`."""

    id: str
    device: str
    network: str
    quantity: str
    energy_uj: float
    macs: int | None
    derived: bool
    grade: str
    source: str
    locator: str


class MicrocontrollerJson(TypedDict):
    """What the ANN of the same shape would need on a microcontroller, see `Microcontroller`."""

    device: str
    macs: int
    nj_per_mac: IntervalJson
    energy_uj: IntervalJson
    basis: str
    source: str


class Elsewhere(TypedDict):
    """Measurements of other networks by others, and what they say of this one on a microcontroller."""

    points: list[PointJson]
    microcontroller: NotRequired[MicrocontrollerJson]


def elsewhere(layers: Sequence[Mapping[str, Any]], steps: int) -> Elsewhere:
    """The points, and the ANN of the same shape on a microcontroller where its multiply-accumulates are known.

    Args:
        layers: counts of each layer, as `LayerActivity.means` gives them.
        steps: time steps of a recording.
    """
    points: list[Any] = [point.model_dump() for point in measured_elsewhere()]
    found: Elsewhere = {"points": points}
    if layers and all("dense_ops" in layer for layer in layers) and not any("operation" in layer for layer in layers):
        found["microcontroller"] = microcontroller(sum(layer["dense_ops"] for layer in layers) // steps).to_json()
    return found


def cells(point: PointJson) -> list[str]:
    """The columns HEADS of one point, as text; energies have a unit that suits them.

    Args:
        point: a point.
    """
    value, unit = point["energy_uj"], "µJ"
    if value >= 1000:
        value, unit = value / 1000, "mJ"
    elif value < 1:
        value, unit = value * 1000, "nJ"
    grade = point["grade"] + (", derived" if point["derived"] else "")
    where = f"{point['source']}: {point['locator']}"
    return [point["device"], point["network"], f"{value:.4g} {unit}", point["quantity"], grade, where]


def sentence(found: MicrocontrollerJson) -> str:
    """The estimate for a microcontroller in a sentence.

    Args:
        found: the estimate.
    """
    energy, rate = found["energy_uj"], found["nj_per_mac"]
    return (
        f"{found['device']}, ANN of the same shape, {found['macs']:,} MACs: {energy['nominal']:,.3g} µJ "
        f"({energy['low']:,.3g} to {energy['high']:,.3g}), {found['basis']} ({rate['low']:.2f} to "
        f"{rate['high']:.2f} nJ a MAC; {found['source']})."
    )
