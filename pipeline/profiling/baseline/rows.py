"""Rows of a baseline: ANNs on ordinary hardware, as report.json and baseline.json contain them.

Reports of older versions also have rows whose `energy_basis` is `floor`: full throughput at full power, at any batch.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict, Unpack

from spikeport.values import IntervalJson

MEASURED, MODELED = "measured", "modeled"


class CurvePoint(TypedDict):
    """Time of one batch size.

    Attributes:
        batch: size of the batch.
        latency_us: time of the batch, µs.
        us_per_inference: median time of the batch over its size, µs.
        repeats: number of repeats; 0 for a modeled time.
        energy_uj: dynamic energy of one inference, µJ; None where it was not measured.
    """

    batch: int
    latency_us: IntervalJson
    us_per_inference: float
    repeats: int
    energy_uj: IntervalJson | None


class FileDigest(TypedDict):
    """A file.

    Attributes:
        file: its name.
        sha256: its SHA-256.
    """

    file: str
    sha256: str


class RowDetails(TypedDict, total=False):
    """Keys that only some rows have.

    Attributes:
        model: the network.
        curve: time by batch size, on the row of batch 1.
        us_per_inference: median time of a batch over its size, µs.
        total_uj: energy of one inference with idle power included, µJ.
        live_uj: energy of one inference, µJ, where one recording comes in each T * dt and the board idles in between;
            a batch is collected before it is run. None where dt is not known.
        floor_uj: energy of one inference at full throughput and full power, µJ.
        macs: multiply-accumulates of one inference.
        kernels: kernels of a batch.
        profile: the GPU profile of a modeled row.
        fitted_to: the measurements that the constants of a modeled row were fitted to, if of this GPU.
        taken_from: the baseline file that the row was read from.
    """

    model: str
    curve: list[CurvePoint]
    us_per_inference: float
    total_uj: IntervalJson | float | None
    live_uj: IntervalJson | None
    floor_uj: float
    macs: int
    kernels: int
    profile: FileDigest
    fitted_to: FileDigest
    taken_from: FileDigest


class BaselineRow(RowDetails):
    """One network on one device at one batch size.

    Attributes:
        device: the device.
        batch: size of the batch; `any` where the row applies to every size.
        latency_us: time of a whole batch, µs.
        latency_basis: `measured` or `modeled`; None where the time is not known.
        energy_uj: dynamic energy of one inference, µJ.
        energy_basis: `measured` or `modeled`; None where the energy is not known.
        scope: what the numbers cover.
        reason: why a number is not known.
    """

    device: str
    batch: int | str
    latency_us: IntervalJson | None
    latency_basis: str | None
    energy_uj: IntervalJson | None
    energy_basis: str | None
    scope: str
    reason: NotRequired[str]


def make_row(
    device: str,
    batch: int | str,
    *,
    scope: str,
    latency_us: IntervalJson | None = None,
    latency_basis: str | None = None,
    energy_uj: IntervalJson | None = None,
    energy_basis: str | None = None,
    reason: str = "",
    **details: Unpack[RowDetails],
) -> BaselineRow:
    """Makes a row with every required key. The arguments are the keys of `BaselineRow` and `RowDetails`."""
    return {
        "device": device,
        "batch": batch,
        "latency_us": latency_us,
        "latency_basis": latency_basis,
        "energy_uj": energy_uj,
        "energy_basis": energy_basis,
        "scope": scope,
        "reason": reason,
        **details,
    }
