"""The verbs that run a network: simulate, profile."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spikeport.errors import UserError
from spikeport.pipeline.cli.console import InputShape, Json, Quiet, bytes_of, fail, shape_of, show
from spikeport.pipeline.cli.export import Dt, IfGain, Reset
from spikeport.pipeline.stages.outputs import check_file, check_folder, is_trace
from spikeport.tables import text_table

if TYPE_CHECKING:
    from spikeport.pipeline.stages.profile_network import Subject

Input = Annotated[
    Path, typer.Option("--input", metavar="FRAMES.npz", help="Frames [N, T, C, H, W] of 0 and 1, or a .npy of them.")
]


def add_to(app: typer.Typer) -> None:
    """Adds the verbs to the command."""
    app.command()(simulate)
    app.command()(replay)
    app.command()(profile)


def simulate(
    net: Annotated[Path, typer.Argument(metavar="NET", help="A .net file, ours or lava-dl's.")],
    frames: Input,
    backend: Annotated[
        str,
        typer.Option(
            "--backend",
            metavar="NAME[,NAME]",
            help="reference, lava or package.module:factory. Two names, or both (= reference,lava): compares every "
            "layer, spike by spike; leaves with 1 where they differ.",
        ),
    ] = "reference",
    out: Annotated[Path | None, typer.Option("--out", metavar="TRACE.npz", help="Keep spikes and counts.")] = None,
    per_step: Annotated[
        bool, typer.Option("--per-step", help="Keep the counts of every step in TRACE.npz too.")
    ] = False,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help="So many of them, drawn by class where there are labels.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of that draw.")] = 0,
    clip: Annotated[
        bool, typer.Option("--clip", help="Counts above what the network takes become its largest value.")
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            metavar="SIZE",
            help="What the reference may take, e.g. 512M or 4G. [default: a quarter of what is free, 4G at most]",
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="Of the reference: cpu, cuda or cuda:N.")] = "cpu",
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Lava processes at once. [default: one a core]")
    ] = None,
    timeout_s: Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=1, help="For Lava.")] = 1800.0,
    case: Annotated[
        Path, typer.Option("--case", metavar="DIR", help="Where a divergence is kept, to be replayed by `check`.")
    ] = Path("divergence"),
    input_shape: InputShape = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Runs a .net file on frames with one backend, or with two that are compared spike by spike.

    Example: `spikeport simulate student.net --input test-frames.npz --backend both --samples 20`
    """
    from spikeport.export.backends.reference.simulate import check_device
    from spikeport.export.formats.frames_file import open_frames
    from spikeport.export.formats.netx.write import read_netx
    from spikeport.export.network.sampling import draw, words
    from spikeport.pipeline.cli.simulation import chosen, in_backend, in_reference, simulate_and_compare
    from spikeport.pipeline.run.progress import ProgressPrinter

    if per_step and (out is None or backend != "reference"):
        raise UserError(
            "counts of every step are kept by the reference, in a trace",
            where="--per-step",
            hint="give --out TRACE.npz, and no other --backend than reference",
        )
    if out is not None:
        check_file(out, "spike trace", is_trace, reads=(net, frames))
    check_device(device)
    backends = chosen(backend, device=device, memory_bytes=bytes_of(memory), workers=workers, timeout_s=timeout_s)
    network = read_netx(net, shape_of(input_shape))
    inputs, labels = open_frames(frames, network.input_shape, network.input_limit, clip=clip, outputs=network.outputs)
    drawn = draw(len(inputs) if samples is None else samples, len(inputs), labels, seed=seed)
    rows = None if drawn.whole else drawn.rows
    given: Any = inputs if rows is None else inputs[rows]
    labels = labels if labels is None else labels[drawn.rows]
    with ProgressPrinter(quiet=quiet) as progress:

        def tell(done: int, total: int) -> None:
            progress(done, total, f"samples ({backend})")

        if backend == "reference":
            done = in_reference(
                network,
                given,
                labels,
                keep=out is not None,
                per_step=per_step,
                memory_bytes=bytes_of(memory),
                device=device,
                progress=tell,
                rows=rows,
            )
        elif len(backends) == 1:
            done = in_backend(network, given, labels, backends[0], progress=tell, rows=rows)
        else:
            pair = backends[0], backends[1]
            done = simulate_and_compare(
                network, given, labels, pair, case, timeout_s=timeout_s, progress=tell, rows=rows
            )
    if rows is not None:
        done.result["drawn"] = drawn.as_dict()
        done.lines.append(words(drawn.as_dict(), "samples"))
    if out and done.trace is not None:
        done.trace.save(out)
        done.lines.append(str(out))
    if clip:
        done.result["events_clipped"] = inputs.clipped
        done.lines.append(f"note: {inputs.clipped:,} events were lost where counts exceed {network.input_limit}")
    show(done.result, json, done.lines)
    if done.failure:
        sys.stdout.flush()
        raise done.failure


def replay(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="A folder that a divergence was written to.")],
    json: Json = False,
) -> None:
    """Runs a kept divergence again, with the two backends that differed. Leaves with 1 where they still differ.

    Example: `spikeport replay divergence/divergence-conv1-sample-3`
    """
    from spikeport.export.backends.divergence_case import replay as run_again

    again = run_again(case)
    pair = again.now.first, again.now.second
    text_lines = [f"then: {again.divergence.describe(*pair)}"]
    for name, reproduced in zip(pair, (again.first_reproduced, again.second_reproduced), strict=True):
        text_lines.append(f"{name} now gives {'the same spikes as' if reproduced else 'other spikes than'} then")
    now = again.now.first_divergence
    text_lines.append("now: both agree" if now is None else f"now: {now.describe(*pair)}")
    show(again.to_json(), json, text_lines)
    if now is not None:
        fail("spikes differ", "report the case: it is a bug in Spikeport, or Lava is not version 0.10.0")


def profile(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|NET|NIR", help="A run folder, or a .net or .nir file with --input.")
    ],
    frames: Annotated[
        Path | None, typer.Option("--input", metavar="FRAMES.npz", help="Frames for a .net or .nir file.")
    ] = None,
    hardware: Annotated[
        list[str] | None, typer.Option("--hardware", metavar="ID", help="A profile's id or file; may be repeated.")
    ] = None,
    baseline: Annotated[str | None, typer.Option("--baseline", metavar="ID", help="GPU profile for the floor.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write a report there; a run itself stays as it is.")
    ] = None,
    active_rule: Annotated[
        str | None,
        typer.Option(
            "--active-rule",
            metavar="RULE",
            help="Which neuron updates count as active: received_input_or_bias_or_spiked or spiked_only. "
            "[default: the run's recipe, else the device]",
        ),
    ] = None,
    per_step: Annotated[
        bool, typer.Option("--per-step", help="Write steps.csv as well: counts by step and layer.")
    ] = False,
    input_shape: InputShape = None,
    dt: Dt = None,
    reset: Reset = None,
    if_gain: IfGain = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Counts spikes and synaptic operations and prices them: modeled energy as an interval, unknown stays unknown.

    Example: `spikeport profile student.net --input test-frames.npz --hardware loihi1 --out profiled`
    """
    from spikeport.pipeline.profiling.energy.active_rule import known_rule
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.run.run_folder import MANIFEST, locked, open_run
    from spikeport.pipeline.stages.checks import require_whole
    from spikeport.pipeline.stages.context import Context
    from spikeport.pipeline.stages.report import profile_run, report_elsewhere, write_steps

    files: list[str] = []
    rule = known_rule(active_rule)
    with ProgressPrinter(quiet=quiet) as progress:
        if (source / MANIFEST).is_file():
            context = Context(open_run(source), progress)
            require_whole(context.run, ("export", "simulate"))
            result, _ = profile_run(context, hardware=tuple(hardware or ()), baseline_gpu=baseline, active_rule=rule)
            if out is not None:
                asked = {"hardware": tuple(hardware or ()), "active_rule": rule, "per_step": per_step}
                given = {key: value for key, value in asked.items() if value}
                files = report_elsewhere(context, out, profiled=result, asked=given)
            elif per_step:
                with locked(source):
                    files = [str(write_steps(context))]
        elif frames is None:
            raise UserError("a network needs frames", where=str(source), hint="give --input FRAMES.npz")
        else:
            from spikeport.pipeline.report.content.content import SCHEMA
            from spikeport.pipeline.run.sections.evaluation import Profile
            from spikeport.pipeline.stages.profile_network import FILES, STEPS, profile_network, write_page

            if out is not None:
                check_folder(out, (*FILES, STEPS), "report of a network", schema=SCHEMA)
            elif per_step:
                raise UserError("steps.csv stands beside a report", where="--per-step", hint="give --out DIR")
            subject = _subject(source, frames, shape_of(input_shape), dt, reset, if_gain)
            devices = tuple(hardware or Profile().hardware)
            result, trace = profile_network(subject, devices, baseline, progress, active_rule=rule, per_step=per_step)
            if out is not None:
                files = write_page(subject, devices, result, trace, out, active_rule=rule)
    idle = rule is not None and not any(row["active_rule"] for row in result["energy"])
    notes = ["note: no number here depends on --active-rule"] if idle else []
    show(result, json, [*_profile_lines(result), *notes, *files])


def _subject(
    source: Path, frames: Path, shape: tuple[int, ...] | None, dt: float | None, reset: Any, if_gain: str | None
) -> Subject:
    from dataclasses import asdict

    from spikeport.export.formats.frames_file import open_frames
    from spikeport.pipeline.stages.profile_network import Subject

    if source.suffix == ".net":
        from spikeport.export.formats.netx.write import read_netx

        network, rows, dt_s = read_netx(source, shape), [], dt
    else:
        from spikeport.export.graph.spiking_graph import load_graph
        from spikeport.export.quantization.quantize import quantize

        per: Any = if_gain.replace("-", "_") if if_gain else None
        graph = load_graph(source, dt_s=dt, reset=reset, if_gain=per, input_shape=shape)
        network, table_rows = quantize(graph)
        rows, dt_s = [asdict(row) for row in table_rows], graph.dt_s
    spikes, labels = open_frames(frames, network.input_shape, outputs=network.outputs)
    return Subject(
        network=network,
        source=source,
        frames=spikes[:],
        labels=labels,
        frames_file=frames,
        dt_s=dt_s,
        quantization=rows,
    )


def _profile_lines(result: dict[str, Any]) -> list[str]:
    layers = text_table(
        ("layer", "neurons", "weights", "spikes/sample", "rate", "synops/sample", "dense/sample"),
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
    from spikeport.pipeline.cli.accuracy_lines import answer_lines
    from spikeport.pipeline.report.content.energy_rows import neuron_updates
    from spikeport.pipeline.report.content.words import quantity_text

    energy = text_table(
        ("hardware", "dynamic energy", "total energy", "latency", "basis", "unknown_terms"),
        [
            (
                row["hardware"],
                quantity_text(row["dynamic_uj"], "µJ"),
                quantity_text(row["total_uj"], "µJ"),
                quantity_text(row["latency_us"], "µs"),
                row["basis"],
                ", ".join(row["unknown_terms"]) or "-",
            )
            for row in result["energy"]
        ],
    )
    updates = [
        f"{row['hardware']}, neuron updates: {text}" for row in result["energy"] if (text := neuron_updates(row))
    ]
    answers = answer_lines(result.get("accuracy"), result["samples"], result["silent"])
    return [*layers, "", *answers, *energy, *updates]
