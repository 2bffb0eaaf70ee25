"""Writes layers.csv, samples.csv, steps.csv and curves.csv: numbers by layer, recording, time step and epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

import numpy as np

from spikeport.errors import printable
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.readout import SILENT
from spikeport.export.network.spike_trace import LayerCounts
from spikeport.pipeline.profiling.counts import Activity
from spikeport.pipeline.profiling.energy.sample_energies import SampleEnergies
from spikeport.pipeline.profiling.energy.terms import PJ_PER_UJ
from spikeport.pipeline.report.content.energy_json import EnergyRow
from spikeport.pipeline.report.content.energy_rows import LAYER_TERMS, energy_terms
from spikeport.pipeline.report.content.report_json import LayerRow, Reason, Report
from spikeport.pipeline.report.content.words import NO_ANSWER
from spikeport.pipeline.training.results import EpochRow

SUMMED = ("synops", "effective_synops", "spikes", "updates_active", "messages")  # over layers, in samples.csv
ENDS: dict[Literal["nominal", "low", "high"], str] = {"nominal": "", "low": "_low", "high": "_high"}


class HasLayers(TypedDict):
    """The parts of a report that layers.csv contains."""

    layers: list[LayerRow]
    energy: list[EnergyRow] | Reason


def layers_csv(report: Report | HasLayers) -> str:
    """layers.csv: one row a layer, with its numbers of report.json and the energies of each device by term.

    A column `DEVICE_TERM` is nominal, beside it are `DEVICE_TERM_low` and `DEVICE_TERM_high`. Cells of unknown numbers
    are empty.

    Args:
        report: content of report.json, or the parts of it that are needed.
    """
    devices = report["energy"] if isinstance(report["energy"], list) else []
    rows = []
    for layer in report["layers"]:
        row = {key: _plain(value) for key, value in layer.items()}
        for device in devices:
            found = [entry for entry in device.get("layers", []) if entry["name"] == layer["name"]]
            terms = energy_terms(found[0]) if found else dict.fromkeys(LAYER_TERMS)
            row |= {
                f"{device['hardware']}_{term}{ending}": None if energy is None else energy[end]
                for term, energy in terms.items()
                for end, ending in ENDS.items()
            }
        rows.append(row)
    return csv_text(rows)


def class_names(numbers: Iterable[int], classes: Sequence[str]) -> list[str | None]:
    """Names of classes by number; NO_ANSWER for SILENT.

    Args:
        numbers: class numbers, or SILENT.
        classes: names of the classes.
    """
    return [NO_ANSWER if number == SILENT else classes[number] for number in numbers]


def samples_csv(
    keys: Sequence[str],
    classes: Mapping[str, Sequence[str | None]],
    activity: Activity,
    energies: Sequence[SampleEnergies],
    frames: Any,
) -> str:
    """samples.csv: one row a recording.

    `events` are those of the recording: inputs with a value other than 0. All other counts are sums over layers, and
    `events_received` are the events that all layers received. Energies in µJ and latencies in µs are
    nominal; a latency is the time from the first input to the answer.

    Args:
        keys: key of each recording.
        classes: columns by name: the label, and the predicted class of each stage. An entry is NO_ANSWER where no
            output fired, and None (an empty cell) where the class is not known.
        activity: counts of the recordings.
        energies: energies of the recordings on each device; cells of unknown energies are empty.
        frames: `[N, T, ...]`, the recordings as the network received them.
    """
    counts = {"events": np.array([np.count_nonzero(sample) for sample in frames])} | {
        name: np.sum([getattr(layer, attribute) for layer in activity.layers], axis=0)
        for name, attribute in {"events_received": "events", **{name: name for name in SUMMED}}.items()
    }
    columns = {
        f"{each.profile.device.id}_{kind}": None if values is None else values[1] / unit
        for each in energies
        for kind, values, unit in (
            ("dynamic_uj", each.dynamic_pj, PJ_PER_UJ),
            ("total_uj", each.total_pj, PJ_PER_UJ),
            ("latency_us", each.answer.time_us, 1.0),
        )
    }
    return csv_text(
        [
            {"key": key}
            | {name: column[row] for name, column in classes.items()}
            | {name: int(column[row]) for name, column in counts.items()}
            | {name: None if column is None else float(column[row]) for name, column in columns.items()}
            for row, key in enumerate(keys)
        ]
    )


def steps_csv(network: IntegerNetwork, counts: LayerCounts) -> str:
    """steps.csv: one row for each time step (from 0) and layer, with counts summed over all samples.

    Args:
        network: the network that was simulated.
        counts: counts `[N, T, L]`, from a simulation with `per_step`.
    """
    samples, steps, _ = counts.spikes_out.shape
    sums = {
        f"{name}_sum": getattr(counts, key).sum(axis=0)
        for name, key in (
            ("events", "events_in"),
            ("synops", "synops"),
            ("effective_synops", "effective_synops"),
            ("spikes", "spikes_out"),
            ("updates_active", "updates_active"),
        )
    }
    return csv_text(
        [
            {"step": step, "layer": layer.name, "neurons": layer.neurons, "samples": samples}
            | {name: int(column[step, index]) for name, column in sums.items()}
            for step in range(steps)
            for index, layer in enumerate(network.layers)
        ]
    )


def curves_csv(stages: Mapping[str, Sequence[EpochRow]]) -> str:
    """curves.csv: one row for each training and epoch, with the numbers of metrics.jsonl.

    Args:
        stages: rows of metrics.jsonl by stage.
    """
    rows = [row for rows in stages.values() for row in rows]
    return csv_text([{"stage": row.stage, "epoch": row.epoch, **row.numbers()} for row in rows])


def _plain(value: Any) -> Any:
    """A list as text: shapes as `16x9x7`, texts separated by semicolons. Other values stay as they are."""
    if not isinstance(value, list):
        return value
    return ("; " if any(isinstance(entry, str) for entry in value) else "x").join(map(str, value))


def csv_text(rows: Sequence[Mapping[str, Any]], head: Sequence[str] = ()) -> str:
    """CSV text with a header row and LF line ends. None is an empty cell, and numbers are written as by Python.

    Control characters in texts are escaped. A text that a spreadsheet would evaluate as a formula gets an apostrophe
    in front.

    Args:
        rows: cells by column.
        head: names of the columns, for a table that may have no row; default: those of the rows.
    """
    text = io.StringIO()
    keys = dict.fromkeys(head or (key for row in rows for key in row))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([[_harmless(key) for key in keys], *([_harmless(row.get(key)) for key in keys] for row in rows)])
    return text.getvalue()


def _harmless(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return ("'" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else "") + printable(value)
