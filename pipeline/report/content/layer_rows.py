"""The table of layers: activity, quantization error, and share of a chip of each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spikeport.pipeline.report.content.energy_json import EnergyRow, PlacementJson
from spikeport.pipeline.report.content.report_json import LayerRow, QuantizationRow
from spikeport.pipeline.report.content.words import amount, error

if TYPE_CHECKING:
    from spikeport.pipeline.profiling.counts import LayerMeansJson

ACTIVITY_KEYS = ("name", "kind", "shape", "neurons", "weights", "spikes_per_sample", "rate", "synops_per_sample")
ERROR_KEYS = ("weight_error", "v_decay_error", "i_decay_error", "saturated")
CHIP_KEYS = ("cores", "chip_share")
LAYER_KEYS = (*ACTIVITY_KEYS, "dense_ops", *ERROR_KEYS, *CHIP_KEYS)
NOT_KNOWN = "not known"
UNRECORDED = "nobody recorded them"
HEADS = ("Weight error", "Decay error", "Saturated", "Chip share")  # columns of `cells`


def layer_rows(
    layers: Sequence[LayerMeansJson], errors: Sequence[QuantizationRow] | str, energy: Sequence[EnergyRow] | str
) -> list[LayerRow]:
    """Activity, quantization errors and cores of each layer in one row; unknown values are None.

    `chip_share` is the cores of the layer over the cores of one chip, for the device that `layer_notes` names.

    Args:
        layers: counts of each layer.
        errors: quantization errors of each layer with its `name`, or the reason why there are none.
        energy: energy estimates with placements, or the reason why there are none.
    """
    by_name = {} if isinstance(errors, str) else {row["name"]: row for row in errors}
    placed = _placed(energy)
    taken = {} if placed is None else {each["name"]: each["cores"] for each in placed[1]["layers"]}
    rows: list[Any] = []
    for layer in layers:
        row = dict.fromkeys(LAYER_KEYS) | dict(by_name.get(layer["name"], {})) | dict(layer)
        if placed is not None and (cores := taken.get(layer["name"])):
            row |= {"cores": cores, "chip_share": cores / placed[1]["cores_per_chip"]}
        rows.append(row)
    return rows


def layer_notes(
    layers: Sequence[LayerMeansJson], errors: Sequence[QuantizationRow] | str, energy: Sequence[EnergyRow] | str
) -> list[str]:
    """Sentences under the table: why errors are unknown or zero, losses by rounding, and the device of the chip shares.

    Args:
        layers: counts of each layer.
        errors: quantization errors of each layer with its `name`, or the reason why there are none.
        energy: energy estimates with placements, or the reason why there are none.
    """
    notes = []
    reason = errors if isinstance(errors, str) else UNRECORDED
    recorded = () if isinstance(errors, str) else errors
    unnamed = {row["name"] for row in layers} - {row["name"] for row in recorded}
    if unnamed:
        where = f" of {', '.join(sorted(unnamed))}" if recorded else ""
        notes.append(f"Weight error, decay error and saturation{where} are {NOT_KNOWN}: {reason}.")
    elif recorded and all(row.get("exact") for row in recorded):
        notes.append("Export rounded nothing: weights, thresholds and decays lay on the chip's integer grid before.")
    notes += [f"{row['name']}: {sentence}." for row in recorded for sentence in row.get("losses", ())]
    if any(row.get("operation") == "MAC" for row in layers):
        notes.append(
            "Neurons are sigma-delta neurons: spikes stand for messages with a value other than 0, and synaptic "
            "operations for multiply-accumulates (NeuroBench counts them as effective MACs where the weight is not 0)."
        )
    known = _placed(energy)
    if known is None:
        notes.append(f"Chip share is {NOT_KNOWN}: for no device here are the cores known that the layers take.")
    else:
        device, placed = known
        name = device.get("name") or device["hardware"]
        least = ", at least, since not all that fills a core is public" if placed.get("at_least") else ""
        notes.append(
            f"Chip share: of the {placed['cores_per_chip']:g} cores of one {name}, by its public limits, layers on "
            f"cores of their own{least}."
        )
    return notes


def cells(layer: LayerRow) -> list[str]:
    """The columns HEADS of one row, as text. Values that an older report does not contain are not known.

    Args:
        layer: a `layers` row of report.json.
    """
    voltage, current = layer.get("v_decay_error"), layer.get("i_decay_error")
    decay = None if voltage is None or current is None else max(voltage, current)
    saturated, share = layer.get("saturated"), layer.get("chip_share")
    return [
        error(layer.get("weight_error")),
        error(decay),
        NOT_KNOWN if saturated is None else f"{saturated:,}",
        NOT_KNOWN if share is None else f"{amount(100 * share)} % ({_cores(layer['cores'] or 0)})",
    ]


def _placed(energy: Sequence[EnergyRow] | str) -> tuple[EnergyRow, PlacementJson] | None:
    """The first device whose cores are known, and its cores; chip shares refer to it."""
    rows = () if isinstance(energy, str) else energy
    return next(((row, placement) for row in rows if (placement := row.get("placement"))), None)


def _cores(number: int) -> str:
    return "1 core" if number == 1 else f"{number:,} cores"
