"""Profiles a network without its training: counts, energy and report of a .net or .nir file on frames."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spikeport.export.backends.compare import pair_key
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.network.accuracy import Correctness, compare_with_labels
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.readout import UNLABELED
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.files import atomic_folder, write_text
from spikeport.hardware_profiles.profile import HardwareProfile
from spikeport.pipeline.profiling.baseline.gpu_model import baseline_gpu, modeled_rows
from spikeport.pipeline.profiling.baseline.rows import BaselineRow
from spikeport.pipeline.profiling.counts import count_activity
from spikeport.pipeline.profiling.early_exit import EarlyExit, early_exit
from spikeport.pipeline.profiling.gpu_work import count_work
from spikeport.pipeline.profiling.profile_trace import profile_trace, sample_energies_on
from spikeport.pipeline.report.content.confusion import confusion
from spikeport.pipeline.report.content.csv_tables import class_names, layers_csv, samples_csv, steps_csv
from spikeport.pipeline.report.content.report_json import QuantizationRow, Warning
from spikeport.pipeline.report.write import ReportInputs, Sample, build_report, choose_samples, render_all
from spikeport.pipeline.run import health
from spikeport.pipeline.run.intervals import share
from spikeport.pipeline.stages.report import FILES, STEPS, profile_digests
from spikeport.pipeline.stages.result_json import CountsJson, ProfileValues
from spikeport.temporaries import scratch
from spikeport.versions import about_this_run

if TYPE_CHECKING:
    from spikeport.pipeline.run.progress import ProgressPrinter

INTEGERS_ALONE = "a .net file holds integers, not what was rounded to them"
ALONE = "only the network was profiled, not its training"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network and the frames that its activity is counted on.

    Attributes:
        network: the network.
        source: the file that it was read from; None where there is none.
        frames: uint8 `[N, T, *input_shape]`.
        labels: classes `[N]`, -1 for unlabeled frames; None where none are known.
        frames_file: the file of the frames, for its name.
        dt_s: seconds of a time step; None where it is not known.
        quantization: rounding errors of each layer; empty for a network that was read as integers.
        clipped: number of events lost by clipping to the largest input of the network; None without clipping.
    """

    network: IntegerNetwork
    source: Path | None
    frames: np.ndarray
    labels: np.ndarray | None
    frames_file: Path
    dt_s: float | None = None
    quantization: Sequence[QuantizationRow] = ()
    clipped: int | None = None


def profile_network(
    subject: Subject,
    hardware: tuple[str, ...],
    baseline: str,
    progress: ProgressPrinter,
    *,
    active_rule: str | None = None,
    per_step: bool = False,
) -> tuple[ProfileValues, SpikeTrace]:
    """Simulates a network and estimates its energy, as the stage `profile` of a run does.

    Args:
        subject: the network and its frames.
        hardware: ids or files of profiles.
        baseline: id or file of the profile of a GPU that the ANN of the same shape is modeled on; `none` for no GPU.
        progress: displays the progress.
        active_rule: the rule for active neuron updates; None for each profile's own.
        per_step: whether the trace contains the counts of every time step.

    Returns:
        The counts, energies, accuracy and baseline in JSON, and the spike trace.

    Raises:
        UserError: a profile is unknown, or its kind is wrong.
    """

    def report_progress(done: int, total: int) -> None:
        progress(done, total, "samples")

    gpu = baseline_gpu(baseline)
    trace = simulate(subject.network, subject.frames, per_step=per_step, progress=report_progress)
    counts: CountsJson = profile_trace(
        subject.network, trace, hardware, active_rule, subject.frames, subject.dt_s
    ).to_json()
    answers = _answers(subject, subject.network.readout.classes(trace.spikes, trace.levels))
    early: EarlyExit = {"reason": answers if isinstance(answers, str) else ""}
    if subject.labels is not None and not isinstance(answers, str):
        early = early_exit(
            subject.network, subject.frames, subject.labels, trace, hardware, active_rule, report_progress
        )
    result: ProfileValues = {
        **counts,
        "accuracy": {"value": None, "reason": answers} if isinstance(answers, str) else share(answers),
        "early_exit": early,
        "baseline": _on_gpu(subject, gpu) if gpu else [],
    }
    if subject.clipped is not None:
        result["events_clipped"] = subject.clipped
    return result, trace


def _on_gpu(subject: Subject, gpu: HardwareProfile) -> list[BaselineRow]:
    """Modeled rows of the ANN of the same shape."""
    from spikeport.export.formats.matching_ann import write_matching_ann

    with scratch() as folder:
        left_out = write_matching_ann(subject.network, folder / "matching-ann.onnx")
        work = count_work(folder / "matching-ann.onnx")
    note = f"without {' and '.join(left_out)}; " if left_out else ""
    period_us = None if subject.dt_s is None else subject.frames.shape[1] * subject.dt_s * 1e6
    rows = modeled_rows(gpu, work, period_us)
    return [{**row, "model": "ANN of the same shape", "scope": note + row["scope"]} for row in rows]


def write_page(
    subject: Subject,
    hardware: tuple[str, ...],
    result: ProfileValues,
    trace: SpikeTrace,
    folder: Path,
    *,
    active_rule: str | None = None,
) -> list[str]:
    """Writes the report of a profiled network: FILES, and STEPS where the trace has counts of every step; all or none.

    Args:
        subject: the network and its frames.
        hardware: ids or files of profiles, as given to `profile_network`.
        result: counts and energies of `profile_network`.
        trace: the trace of `profile_network`.
        folder: the folder of the files.
        active_rule: the rule for active neuron updates, as given to `profile_network`.

    Returns:
        The paths of the files.
    """
    predicted = subject.network.readout.classes(trace.spikes, trace.levels)
    classes = tuple(str(number) for number in range(subject.network.outputs))
    report = build_report(_inputs(subject, result, trace, predicted, classes))
    activity = count_activity(subject.network, trace, subject.frames)
    columns: dict[str, list[str | None]] = {"reference": class_names(predicted, classes)}
    if subject.labels is not None:
        known = [None if label == UNLABELED else classes[label] for label in subject.labels]
        columns = {"label": known, **columns}
    samples = samples_csv(
        [str(number) for number in range(len(predicted))],
        columns,
        activity,
        sample_energies_on(subject.network, activity, hardware, active_rule),
        subject.frames,
    )
    files = FILES if trace.step_counts is None else (*FILES, STEPS)
    with atomic_folder(folder) as made:
        render_all(report, made)
        write_text(made / "layers.csv", layers_csv(report))
        write_text(made / "samples.csv", samples)
        if trace.step_counts is not None:
            write_text(made / STEPS, steps_csv(subject.network, trace.step_counts))
    if STEPS not in files:
        (folder / STEPS).unlink(missing_ok=True)  # a file of an earlier report
    return [str(folder / name) for name in files]


def _inputs(
    subject: Subject, result: ProfileValues, trace: SpikeTrace, predicted: np.ndarray, classes: tuple[str, ...]
) -> ReportInputs:
    frames, labels = subject.frames, subject.labels
    answers = _answers(subject, predicted)
    unlabeled = answers if isinstance(answers, str) else ""
    lost = f"; clipping to its largest input removed {subject.clipped:,} events" if subject.clipped else ""
    # A drawn sample needs a label, event frames, and one output for each class.
    drawn = labels is not None and frames.ndim == 5 and trace.spikes.shape[2] == len(classes)
    return ReportInputs(
        name="network" if subject.source is None else subject.source.stem,
        method="",
        dataset_name=subject.frames_file.name,
        dataset_description=f"{len(frames):,} samples of {frames.shape[1]} steps, given with the network{lost}.",
        dataset_fingerprint=_fingerprint(frames, labels),
        simulated=False,
        classes=classes,
        split_sizes={"given": len(frames)},
        held_out=False,
        steps=frames.shape[1],
        dt_s=subject.dt_s,
        answers={
            **dict.fromkeys(("teacher", "student_float", "student_quantized"), ALONE),
            "reference": answers,
            "lava": ALONE,
        },
        methods=ALONE,
        equivalence={pair_key("quantized", "reference"): ALONE, pair_key("reference", "lava"): ALONE},
        layers=result["layers"],
        quantization=subject.quantization or INTEGERS_ALONE,
        energy=result["energy"],
        early_exit=result["early_exit"],
        baseline=result["baseline"] or "left out (--baseline none)",
        samples=_samples(subject, labels, predicted, trace.spikes) if labels is not None and drawn else [],
        warnings=_warnings(subject, trace, predicted),
        confusion=unlabeled if labels is None or unlabeled else confusion(labels, predicted, len(classes)),
        provenance={
            **about_this_run(),
            "network": _file_digest(subject.source),
            "profiles": profile_digests(result["energy"]),
        },
    )


def _warnings(subject: Subject, trace: SpikeTrace, predicted: np.ndarray) -> list[Warning]:
    """Findings of the network on these frames. With a membrane readout, the last layer need not fire."""
    assert trace.counts is not None
    network, places = subject.network, trace.spikes.shape[0] * trace.spikes.shape[1]
    fired = trace.counts.spikes_out.sum(axis=0)
    rates = {
        layer.name: float(spikes) / (layer.neurons * places)
        for layer, spikes in zip(network.layers, fired, strict=True)
        if places
    }
    labels = np.full(len(predicted), UNLABELED) if subject.labels is None else subject.labels
    if network.readout.kind == "membrane":
        rates.pop(network.layers[-1].name, None)
        found = health.of_guesses("guessing", "network", predicted, labels)
    else:
        found = health.of_answers("network", predicted, labels)
    return [{"stage": "simulate", **each.to_json()} for each in [*health.of_rates("network", rates), *found]]


def _samples(subject: Subject, labels: np.ndarray, predicted: np.ndarray, spikes: np.ndarray) -> list[Sample]:
    return [
        Sample(
            key=str(row),
            label=int(labels[row]),
            predicted=int(predicted[row]),
            frames=subject.frames[row],
            output_spikes=spikes[row],
        )
        for row in choose_samples(labels, predicted)
    ]


def _answers(subject: Subject, predicted: np.ndarray) -> Correctness | str:
    """Correctness of the predictions, or the reason why it is not known."""
    if subject.labels is None:
        return f"{subject.frames_file.name} holds no labels"
    found = compare_with_labels(subject.labels, predicted)
    return found if len(found) else f"all {found.unlabeled:,} labels of {subject.frames_file.name} are -1, unlabeled"


def _file_digest(source: Path | None) -> dict[str, str]:
    return {} if source is None else {source.name: hashlib.sha256(source.read_bytes()).hexdigest()}


def _fingerprint(frames: np.ndarray, labels: np.ndarray | None) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(frames).tobytes())
    digest.update(b"" if labels is None else np.ascontiguousarray(labels).tobytes())
    return digest.hexdigest()
