"""The command `export`: writes the .nir and .net files of a network, with a table of rounding errors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from spikeport.errors import UserError
from spikeport.pipeline.cli.console import fail, show
from spikeport.pipeline.cli.options import NIR, Dt, From, IfGain, InputShape, Json, Quiet, Reset, counts_of, shape_of

INTEGERS = "Rounding to integers"


def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="A run folder, a .nir file, a .net file to check, or module:factory of a network."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder for the files. [default: for a .nir file the working folder, for a run the run]",
        ),
    ] = None,
    hardware: Annotated[
        list[str] | None,
        typer.Option(
            "--hardware",
            metavar="ID",
            help="Check the published limits of a device, e.g. loihi1 or loihi2. Repeatable.",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the conversion of each node, with its parameters.")
    ] = False,
    framework: From = None,
    dt: Dt = None,
    reset: Reset = None,
    if_gain: IfGain = None,
    input_shape: InputShape = None,
    readout: Annotated[
        Literal["spikes", "membrane-sum", "membrane-max", "membrane-last", "values-sum", "values-max", "values-last"]
        | None,
        typer.Option(
            "--readout",
            help="How the output of the last layer becomes a class; values of a sigma-delta network.",
            rich_help_panel=NIR,
        ),
    ] = None,
    bias: Annotated[
        Literal["refuse", "neuron"] | None,
        typer.Option(
            "--bias",
            help="Biases before a synaptic current: refuse (default), or add a neuron that fires in every step.",
            rich_help_panel=NIR,
        ),
    ] = None,
    allow_vector: Annotated[
        bool,
        typer.Option(
            "--allow-vector",
            help="Keep neurons of different decays in one layer, for simulators. [default: a layer for each decay]",
            rich_help_panel=NIR,
        ),
    ] = False,
    bits: Annotated[
        int, typer.Option("--bits", min=2, max=8, help="Bits of a weight, with sign.", rich_help_panel=INTEGERS)
    ] = 8,
    clones: Annotated[
        str | None,
        typer.Option(
            "--clones",
            metavar="K|LAYER=K,...",
            help="Copies of every hidden neuron, or of those of the named layers or of the input, which fire together: "
            "log2 K more bits for the weights behind them, for K times the neurons. E.g. 4, or conv1=2,input=4.",
            rich_help_panel=INTEGERS,
        ),
    ] = None,
    row_scales: Annotated[
        str | None,
        typer.Option(
            "--row-scales",
            metavar="K|LAYER=K,...",
            help="Groups of rows (neurons or channels) of every layer, or of the named ones, with a weight scale of "
            "their own, each in a layer: finer weights where few rows have much larger ones. E.g. 2, or conv1=3.",
            rich_help_panel=INTEGERS,
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            metavar="FRAMES.npz",
            help="Frames on which the weight scale of each layer is searched.",
            rich_help_panel=INTEGERS,
        ),
    ] = None,
    message_bits: Annotated[
        int,
        typer.Option(
            "--message-bits",
            min=0,
            max=8,
            rich_help_panel=INTEGERS,
            help="Bits of the counts at the input (graded spikes, Loihi 2). 0: binary spikes.",
        ),
    ] = 0,
    scaled_frames: Annotated[
        bool,
        typer.Option(
            "--scaled-frames",
            help="Frames for the input neurons of a .net file are scaled already: its weight and bias are not applied.",
            rich_help_panel=INTEGERS,
        ),
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option(
            "--check",
            metavar="FRAMES.npz",
            help="Frames on which the float and the integer network are compared. "
            "[default: those of --calibrate, else random frames]",
            rich_help_panel=INTEGERS,
        ),
    ] = None,
    no_check: Annotated[
        bool,
        typer.Option(
            "--no-check",
            help="Skip the comparison of the float network and the integer network.",
            rich_help_panel=INTEGERS,
        ),
    ] = False,
    script: Annotated[
        bool,
        typer.Option("--script", help="Also write run_in_lava.py, which runs the .net file in Lava without Spikeport."),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Converts a run or a .nir file to integers, and writes a .net file for netx, a .nir file and its metadata.

    Prints the rounding errors of each layer. For a .nir file, also simulates a few frames in float64 and in integers
    and prints the differences. The exit code is 1 if the network exceeds a limit of a device in --hardware.
    `package.module:factory` names a function that returns a network of torch modules and snnTorch neurons; it needs
    --dt and --input-shape.

    Example: `spikeport export cnn.nir --from norse --explain --out exported`
    """
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.stages.export_files import export_network

    if no_check and check is not None:
        raise UserError("--check and --no-check are given together", hint="leave one of them out")
    with ProgressPrinter(quiet=quiet) as progress:
        exported = export_network(
            source,
            out,
            hardware=tuple(hardware or ()),
            explain=explain,
            framework=framework,
            dt_s=dt,
            reset=reset,
            if_gain=if_gain,
            input_shape=shape_of(input_shape),
            readout=readout,
            bias=bias,
            allow_vector=allow_vector,
            bits=bits,
            clones=1 if clones is None else counts_of(clones, "--clones") or 0,
            row_scales=counts_of(row_scales, "--row-scales"),
            calibrate=calibrate,
            message_bits=message_bits,
            scaled_frames=scaled_frames,
            check="none" if no_check else check,
            script=script,
            progress=lambda done, total: progress(done, total, "scales tried"),
        )
    show(exported.to_json(), json, exported.lines())
    if exported.exceeded:
        fail(f"exceeds public limits of {', '.join(exported.exceeded)}", "see the lines marked above")
