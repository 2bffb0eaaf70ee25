"""The commands that simulate a .net file: `simulate` and `replay`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from spikeport.errors import UserError
from spikeport.pipeline.cli.console import DIVERGENCE_HINT, fail, show
from spikeport.pipeline.cli.options import InputShape, Json, Quiet, bytes_of, shape_of
from spikeport.pipeline.stages.outputs import check_file, is_trace

Input = Annotated[
    Path,
    typer.Option("--input", metavar="FRAMES.npz", help="Frames [N, T, C, H, W] of integers, in a .npz or .npy file."),
]


def add_to(app: typer.Typer) -> None:
    """Adds the commands to `app`."""
    app.command()(simulate)
    app.command()(replay)


def simulate(
    net: Annotated[
        Path,
        typer.Argument(
            metavar="NET", help="A .net file, written by Spikeport or lava-dl, or a run folder, for its own."
        ),
    ],
    frames: Input,
    backend: Annotated[
        str,
        typer.Option(
            "--backend",
            metavar="NAME[,NAME]",
            help="reference, lava or package.module:factory. Two backends are compared in every layer, spike by spike; "
            "the exit code is 1 if they differ. both: reference,lava.",
        ),
    ] = "reference",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="TRACE.npz", help="File for the spikes and the counts.")
    ] = None,
    per_step: Annotated[
        bool, typer.Option("--per-step", help="Also write the counts of every step into TRACE.npz.")
    ] = False,
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples", min=1, help="Simulate this many samples, drawn by class if there are labels. [default: all]"
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the draw. [default: 0]")] = None,
    clip: Annotated[bool, typer.Option("--clip", help="Clip counts to the largest input of the network.")] = False,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            metavar="SIZE",
            help="Memory limit of the reference, e.g. 512M or 4G. [default: a quarter of the free memory, at most 4G]",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="Device of the reference: cpu, cuda or cuda:N. [default: cpu]")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Number of Lava processes. [default: one per core]")
    ] = None,
    timeout_s: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", min=1, help="Time limit of Lava, in seconds. [default: 1800]"),
    ] = None,
    case: Annotated[
        Path | None,
        typer.Option(
            "--case",
            metavar="DIR",
            help="Folder for the first divergence of two backends, which `replay` reads. [default: divergence]",
        ),
    ] = None,
    input_shape: InputShape = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Simulates a .net file on frames with one backend, or compares two backends spike by spike.

    Prints the accuracy if the frames have labels, and spikes and synaptic operations per sample and layer.

    Example: `spikeport simulate student.net --input test-frames.npz --backend both --samples 20`
    """
    from spikeport.export.backends.lava.backend import LavaBackend
    from spikeport.export.backends.reference.simulate import check_device
    from spikeport.export.formats.frames_file import open_frames
    from spikeport.export.formats.netx.write import read_netx
    from spikeport.export.network.sampling import draw, words
    from spikeport.pipeline.cli.simulation import Job, chosen, in_backend, in_reference, simulate_and_compare
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.stages.checks import net_file

    if per_step and (out is None or backend != "reference"):
        raise UserError(
            "counts of every step are kept by the reference, in a trace",
            where="--per-step",
            hint="give --out TRACE.npz, and no other --backend than reference",
        )
    net = net_file(net)
    if out is not None:
        check_file(out, "spike trace", is_trace, reads=(net, frames))
    check_device(device or "cpu")
    if seed is not None and samples is None:
        raise UserError("all samples are simulated, none is drawn", where="--seed", hint="give --samples too")
    backends = chosen(backend, device=device, memory_bytes=bytes_of(memory), workers=workers, timeout_s=timeout_s)
    if case is not None and len(backends) == 1:
        raise UserError(
            "one backend alone has no divergence", where="--case", hint="give two backends, or leave it out"
        )
    network = read_netx(net, shape_of(input_shape))
    inputs, labels = open_frames(
        frames, network.input_shape, network.input_limit, lowest=network.input_lowest, clip=clip,
        outputs=network.outputs,
    )  # fmt: skip
    drawn = draw(len(inputs) if samples is None else samples, len(inputs), labels, seed=seed or 0)
    rows = None if drawn.whole else drawn.rows
    given: Any = inputs if rows is None else inputs[rows]
    labels = labels if labels is None else labels[drawn.rows]
    with ProgressPrinter(quiet=quiet) as progress:

        def report_progress(done: int, total: int) -> None:
            progress(done, total, f"samples ({backend})")

        job = Job(network=network, frames=given, labels=labels, rows=rows, progress=report_progress)
        if backend == "reference":
            done = in_reference(
                job, keep=out is not None, per_step=per_step, memory_bytes=bytes_of(memory), device=device or "cpu"
            )
        elif len(backends) == 1:
            done = in_backend(job, backends[0])
        else:
            done = simulate_and_compare(
                job,
                (backends[0], backends[1]),
                case or Path("divergence"),
                timeout_s=timeout_s or LavaBackend.timeout_s,
            )
    if rows is not None:
        done.result["drawn"] = drawn.as_dict()
        done.lines.append(words(drawn.as_dict(), "samples"))
    if out and done.trace is not None:
        done.trace.save(out)
        done.lines.append(str(out))
    if clip:
        done.result["events_clipped"] = inputs.clipped
        done.lines.append(
            f"note: {inputs.clipped:,} {'units' if network.sends_values else 'events'} were lost where "
            f"{'values' if network.sends_values else 'counts'} exceed {network.input_limit}"
        )
    show(done.result, json, done.lines)
    if done.failure:
        sys.stdout.flush()
        raise done.failure


def replay(
    case: Annotated[
        Path, typer.Argument(metavar="CASE", help="The folder of a divergence, written by `check` or `simulate`.")
    ],
    json: Json = False,
) -> None:
    """Simulates the sample of a divergence again with the two backends that differed.

    Prints whether each backend gives the same spikes as before. The exit code is 1 if the backends still differ.

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
        fail("spikes differ", DIVERGENCE_HINT)
