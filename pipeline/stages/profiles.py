"""Operation counts and energy of a run, or of a network on frames."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from spikeport.errors import UserError
from spikeport.pipeline.run.run_folder import locked
from spikeport.pipeline.stages.accuracy_lines import answer_lines
from spikeport.pipeline.stages.compiled_network import CompiledNetwork
from spikeport.pipeline.stages.context import Context
from spikeport.pipeline.stages.given_frames import checked_frames, refuse_labels
from spikeport.pipeline.stages.reporting import ProgressLike, progress_of
from spikeport.pipeline.stages.result_json import ProfileValues
from spikeport.pipeline.stages.results import quantization_rows
from spikeport.pipeline.stages.run_value import Run, open_run
from spikeport.pipeline.stages.settings import PathLike
from spikeport.pipeline.stages.source_options import PROFILE, kind_of, refuses_unused
from spikeport.tables import text_of, text_table
from spikeport.values import Shape

if TYPE_CHECKING:
    import numpy as np

    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.stages.profile_network import Subject


@dataclass(frozen=True, kw_only=True)
class NetworkProfile:
    """Counts and energies of a network on frames. Prints as tables.

    Attributes:
        values: `samples`, `silent`, `accuracy` with labels, `layers` with counts per sample, `energy` with a row for
            each device, and `baseline`, as in report.json.
        files: paths of the report, if one was written.
        notes: remarks on the numbers.
    """

    values: ProfileValues
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The tables as text."""
        return [*profile_lines(self.values), *self.notes]

    def __repr__(self) -> str:
        return text_of(self.lines())


@refuses_unused(PROFILE, frames="--input")
def profile(
    source: Run | CompiledNetwork | PathLike,
    frames: np.ndarray | PathLike | None = None,
    *,
    labels: np.ndarray | None = None,
    hardware: tuple[str, ...] = (),
    baseline: str | None = None,
    active_rule: str | None = None,
    out: PathLike | None = None,
    per_step: bool = False,
    clip: bool = False,
    input_shape: Shape | None = None,
    dt_s: float | None = None,
    reset: str | None = None,
    if_gain: Literal["per-step", "per-second"] | None = None,
    framework: str | None = None,
    progress: ProgressLike = None,
) -> NetworkProfile:
    """Counts spikes and synaptic operations, and estimates energies as intervals. Energies can be unknown.

    Args:
        source: a run or its folder, a compiled network, or a .net or .nir file.
        frames: for a network: uint8 `[N, T, *input_shape]`, or a .npz or .npy file of them.
        labels: classes `[N]` of frames that are an array.
        hardware: ids of profiles or profile files; empty: those of the recipe, or the default ones.
        baseline: profile of the GPU that the ANNs are modeled on, or `none`; None: that of the recipe, or the default.
        active_rule: rule for active neuron updates; None: that of the recipe, else that of the device.
        out: folder for a report; a run is not changed.
        per_step: whether steps.csv is written too, with counts by step and layer.
        clip: whether inputs outside the range of the network are clipped to it; False: they are refused.
        input_shape: for a .net or .nir file that does not state it.
        dt_s: for a .net or .nir file, or a network made of a .net file: time step in seconds.
        reset: for a .nir file: "zero".
        if_gain: for a .nir file with IF nodes: unit of `r`.
        framework: for a .nir file: the framework that wrote it, as for `load_graph`.
        progress: called with (parts done, parts in all, what is done).

    Raises:
        UserError: the run is not finished, the frames are missing or do not fit, an option has no meaning for the
            source, or a profile does not exist.
    """
    from spikeport.pipeline.profiling.energy.active_rule import known_rule

    rule, display = known_rule(active_rule), progress_of(progress)
    if not isinstance(source, Run | CompiledNetwork) and kind_of(source) == "run":
        source = open_run(source)
    if isinstance(source, Run):
        result, files = _of_run(source, hardware, baseline, rule, out, per_step, display)
    elif frames is None:
        raise UserError("a network needs frames", where="" if isinstance(source, CompiledNetwork) else str(source),
                        hint="give --input FRAMES.npz")  # fmt: skip
    else:
        subject = _subject(source, frames, labels, clip, input_shape, dt_s, reset, if_gain, framework)
        result, files = _of_network(subject, hardware, baseline, rule, out, per_step, display)
    idle = rule is not None and not any(row["active_rule"] for row in result["energy"])
    notes = ["note: no number here depends on --active-rule"] if idle else []
    if clip:
        notes.append(
            f"note: {result['events_clipped']:,} events were lost where counts exceed the network's largest input"
        )
    return NetworkProfile(values=result, files=tuple(map(Path, files)), notes=tuple(notes))


def _of_run(
    run: Run,
    hardware: tuple[str, ...],
    baseline: str | None,
    rule: str | None,
    out: PathLike | None,
    per_step: bool,
    progress: ProgressPrinter,
) -> tuple[ProfileValues, list[str]]:
    from spikeport.pipeline.stages.checks import require_whole
    from spikeport.pipeline.stages.report import profile_run, report_elsewhere, write_steps

    context = Context(run.folder, progress)
    require_whole(run.folder, ("export", "simulate"))
    result, _ = profile_run(context, hardware=hardware, baseline_gpu=baseline, active_rule=rule)
    if out is not None:
        settings = {"hardware": hardware, "active_rule": rule, "per_step": per_step}
        changed = {key: value for key, value in settings.items() if value}
        return result, report_elsewhere(context, Path(out), profiled=result, asked=changed)
    if per_step:
        with locked(run.path):
            return result, [str(write_steps(context))]
    return result, []


def _of_network(
    subject: Subject,
    hardware: tuple[str, ...],
    baseline: str | None,
    rule: str | None,
    out: PathLike | None,
    per_step: bool,
    progress: ProgressPrinter,
) -> tuple[ProfileValues, list[str]]:
    from spikeport.pipeline.report.content.content import SCHEMA
    from spikeport.pipeline.run.sections.evaluation import Profile
    from spikeport.pipeline.stages.outputs import check_folder
    from spikeport.pipeline.stages.profile_network import FILES, STEPS, profile_network, write_page

    if out is not None:
        check_folder(Path(out), (*FILES, STEPS), "report of a network", schema=SCHEMA)
    elif per_step:
        raise UserError("steps.csv is part of a report", where="--per-step", hint="give --out DIR")
    devices, gpu = hardware or Profile().hardware, baseline or Profile().baseline_gpu
    result, trace = profile_network(subject, devices, gpu, progress, active_rule=rule, per_step=per_step)
    if out is None:
        return result, []
    return result, write_page(subject, devices, result, trace, Path(out), active_rule=rule)


def _subject(
    source: CompiledNetwork | PathLike,
    frames: np.ndarray | PathLike,
    labels: np.ndarray | None,
    clip: bool,
    shape: Shape | None,
    dt_s: float | None,
    reset: str | None,
    if_gain: str | None,
    framework: str | None,
) -> Subject:
    from spikeport.export.formats.frame_reader import FrameReader
    from spikeport.export.formats.frames_file import open_frames
    from spikeport.pipeline.stages.compiled_network import load_network, quantize
    from spikeport.pipeline.stages.profile_network import Subject

    if isinstance(source, CompiledNetwork):
        net, file = source, None
        if dt_s is not None and net.dt_s is not None and dt_s != net.dt_s:
            raise UserError(f"dt_s {dt_s:g} contradicts the network's {net.dt_s:g}", hint="leave it out")
    elif (file := Path(source)).suffix == ".net":
        net = load_network(file, shape)
    else:
        from spikeport.export.graph.spiking_graph import load_graph

        per: Any = if_gain.replace("-", "_") if if_gain else None
        graph = load_graph(file, dt_s=dt_s, reset=reset, if_gain=per, input_shape=shape, framework=framework)
        net = quantize(graph)
    network = net.network
    shape, lowest, limit = network.input_shape, network.input_lowest, network.input_limit
    if isinstance(frames, str | os.PathLike):
        refuse_labels(labels, frames)
        opened, labels = open_frames(frames, shape, limit, lowest=lowest, clip=clip, outputs=network.outputs)
        name = Path(frames)
    else:
        opened = FrameReader(checked_frames(frames, network), shape, limit, "frames", clip, lowest=lowest)
        name = Path("frames")
    return Subject(
        network=network,
        source=file,
        frames=opened[:],
        labels=labels,
        frames_file=name,
        clipped=opened.clipped if clip else None,
        dt_s=dt_s if net.dt_s is None else net.dt_s,
        quantization=quantization_rows(net.layers),
    )


def profile_lines(result: ProfileValues) -> list[str]:
    """Counts, accuracy and energies as text.

    Args:
        result: result of `profile`.
    """
    multiplies = any(row.get("operation") == "MAC" for row in result["layers"])
    sent, operations = ("messages", "MACs") if multiplies else ("spikes", "synops")
    layers = text_table(
        ("layer", "neurons", "weights", f"{sent}/sample", "rate", f"{operations}/sample", "dense/sample"),
        [
            (
                r["name"],
                r["neurons"],
                r["weights"],
                r["spikes_per_sample"],
                r["rate"],
                r["synops_per_sample"],
                r["dense_ops"],
            )
            for r in result["layers"]
        ],
    )
    from spikeport.pipeline.report.content.energy_rows import neuron_updates
    from spikeport.pipeline.report.content.leaderboard import HEADS, leaderboard
    from spikeport.pipeline.report.content.words import quantity_text

    energy = text_table(
        ("hardware", "cores", "board", "replayed", "live", "latency", "EDP", "basis", "unknown_terms"),
        [
            (
                row["hardware"],
                quantity_text(row["dynamic_uj"], "µJ"),
                quantity_text(row.get("board_uj"), "µJ"),
                quantity_text(row["total_uj"], "µJ"),
                quantity_text(row.get("live_uj"), "µJ"),
                quantity_text(row["latency_us"], "µs"),
                quantity_text(row.get("edp_uj_us"), "µJ µs"),
                row["basis"],
                ", ".join(row["unknown_terms"]) or "-",
            )
            for row in result["energy"]
        ],
    )
    missing = [f"{row['hardware']}, no known number for: {'; '.join(row['unknown_overhead'])}"
               for row in result["energy"] if row.get("unknown_overhead")]  # fmt: skip
    updates = [
        f"{row['hardware']}, neuron updates: {text}" for row in result["energy"] if (text := neuron_updates(row))
    ]
    answers = answer_lines(result.get("accuracy"), result["samples"], result["silent"])
    value = result["accuracy"]["value"] if "accuracy" in result else None
    row = leaderboard("network", result["layers"], value)
    pasted = ["", "NeuroBench's columns, to paste:", f"| {' | '.join(HEADS)} |", row["text"]] if row else []
    return [*layers, "", *answers, *energy, *updates, *missing, *pasted]
