"""The command `profile`: operation counts and energy of a run, or of a network on frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.pipeline.cli.console import show
from spikeport.pipeline.cli.options import Dt, From, IfGain, InputShape, Json, Quiet, Reset, shape_of


def profile(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|NET|NIR", help="A run folder, or a .net or .nir file with --input.")
    ],
    frames: Annotated[
        Path | None,
        typer.Option("--input", metavar="FRAMES.npz", help="Frames [N, T, C, H, W] for a .net or .nir file."),
    ] = None,
    hardware: Annotated[
        list[str] | None,
        typer.Option(
            "--hardware",
            metavar="ID",
            help="Id or file of a hardware profile. Repeatable. [default: those of the recipe]",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="ID",
            help="Profile of the GPU that the ANNs are modeled on; none for no GPU. "
            "[default: that of the recipe, or a100]",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for a report. A run is not changed.")
    ] = None,
    active_rule: Annotated[
        str | None,
        typer.Option(
            "--active-rule",
            metavar="RULE",
            help="Rule for active neuron updates: received_input_or_bias_or_spiked, spiked_only or membrane_nonzero. "
            "[default: that of the recipe, else that of the device]",
        ),
    ] = None,
    per_step: Annotated[
        bool, typer.Option("--per-step", help="Also write steps.csv, the counts of each step and layer.")
    ] = False,
    clip: Annotated[bool, typer.Option("--clip", help="Clip counts to the largest input of the network.")] = False,
    input_shape: InputShape = None,
    dt: Dt = None,
    reset: Reset = None,
    if_gain: IfGain = None,
    framework: From = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Counts spikes and synaptic operations, and estimates the energy per inference on hardware profiles.

    Prints counts per sample, and energy in uJ and latency in us as intervals. A quantity is unknown if the profile
    lacks a constant for it. With --out, writes a report and its tables.

    Example: `spikeport profile student.net --input test-frames.npz --hardware loihi1 --out profiled`
    """
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.stages.profiles import profile as profile_source

    with ProgressPrinter(quiet=quiet) as progress:
        found = profile_source(
            source,
            frames,
            hardware=tuple(hardware or ()),
            baseline=baseline,
            active_rule=active_rule,
            out=out,
            per_step=per_step,
            clip=clip,
            input_shape=shape_of(input_shape),
            dt_s=dt,
            reset=reset,
            if_gain=if_gain,
            framework=framework,
            progress=progress,
        )
    show(found.values, json, [*found.lines(), *map(str, found.files)])
