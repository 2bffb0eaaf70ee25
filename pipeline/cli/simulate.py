"""The verbs that run a network: simulate, replay."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spikeport.errors import UserError
from spikeport.pipeline.cli.console import InputShape, Json, Quiet, bytes_of, fail, shape_of, show
from spikeport.pipeline.stages.outputs import check_file, is_trace

if TYPE_CHECKING:
    pass

Input = Annotated[
    Path, typer.Option("--input", metavar="FRAMES.npz", help="Frames [N, T, C, H, W] of 0 and 1, or a .npy of them.")
]


def add_to(app: typer.Typer) -> None:
    """Adds the verbs to the command."""
    app.command()(simulate)
    app.command()(replay)


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

        def report_progress(done: int, total: int) -> None:
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
                progress=report_progress,
                rows=rows,
            )
        elif len(backends) == 1:
            done = in_backend(network, given, labels, backends[0], progress=report_progress, rows=rows)
        else:
            pair = backends[0], backends[1]
            done = simulate_and_compare(
                network, given, labels, pair, case, timeout_s=timeout_s, progress=report_progress, rows=rows
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
