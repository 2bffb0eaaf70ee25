"""The verb `export`: writes the files for the chip from a run, a .nir file or a .net file, with the rounding errors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from spikeport.errors import UserError
from spikeport.pipeline.cli.console import InputShape, Json, Quiet, fail, shape_of, show

NIR = "For .nir files"
INTEGERS = "Rounding to integers"

Dt = Annotated[
    float | None,
    typer.Option("--dt", metavar="SECONDS", help="Time step the network was made for.", rich_help_panel=NIR),
]
Reset = Annotated[
    Literal["zero"] | None,
    typer.Option("--reset", help="What a spike does to the membrane; NIR does not say.", rich_help_panel=NIR),
]
IfGain = Annotated[
    Literal["per-step", "per-second"] | None,
    typer.Option("--if-gain", help="What an IF node's r means; frameworks differ.", rich_help_panel=NIR),
]


def export(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A run folder, any .nir file, or a .net file to check.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the files go. [default: here]")
    ] = None,
    hardware: Annotated[
        list[str] | None,
        typer.Option("--hardware", metavar="ID", help="Check public limits, e.g. loihi1, loihi2; may be repeated."),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Print what became of each node, with numbers.")] = False,
    dt: Dt = None,
    reset: Reset = None,
    if_gain: IfGain = None,
    input_shape: InputShape = None,
    readout: Annotated[
        Literal["spikes", "membrane-sum", "membrane-max", "membrane-last"] | None,
        typer.Option("--readout", help="Read classes from the last layer's membrane instead.", rich_help_panel=NIR),
    ] = None,
    bias: Annotated[
        Literal["refuse", "neuron"] | None,
        typer.Option(
            "--bias",
            help="Biases before a synaptic current: refuse (default), or a unit that always fires.",
            rich_help_panel=NIR,
        ),
    ] = None,
    allow_vector: Annotated[
        bool,
        typer.Option("--allow-vector", help="Let neurons of a layer differ (simulators only).", rich_help_panel=NIR),
    ] = False,
    bits: Annotated[int, typer.Option("--bits", min=2, max=8, help="Bits of a weight.", rich_help_panel=INTEGERS)] = 8,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            metavar="FRAMES.npz",
            help="Search each layer's scale on these frames.",
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
            help="Inputs are counts of so many bits (graded spikes, Loihi 2); 0: spikes.",
        ),
    ] = 0,
    check: Annotated[
        Path | None,
        typer.Option(
            "--check",
            metavar="FRAMES.npz",
            help="Say on these frames how far rounding moved the behavior. [default: a few seeded random frames]",
            rich_help_panel=INTEGERS,
        ),
    ] = None,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Do not run the network.", rich_help_panel=INTEGERS)
    ] = False,
    script: Annotated[
        bool,
        typer.Option("--script", help="Write run_in_lava.py beside the .net: runs it in Lava without Spikeport."),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """A run or any .nir file -> .nir with its metadata, .net for netx, and what rounding cost.

    The network of a .nir file runs on a few frames, in float64 and in integers; the differences are printed.
    A live snnTorch nn.Sequential becomes a .nir in Python:
    `spikeport.from_snntorch(net, input_shape, dt_s).save(FILE)`.

    Example: `spikeport export lif_norse.nir --dt 1e-4 --reset zero --explain --out exported`
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
            dt_s=dt,
            reset=reset,
            if_gain=if_gain,
            input_shape=shape_of(input_shape),
            readout=readout,
            bias=bias,
            allow_vector=allow_vector,
            bits=bits,
            calibrate=calibrate,
            message_bits=message_bits,
            check="none" if no_check else check,
            script=script,
            progress=lambda done, total: progress(done, total, "scales tried"),
        )
    show(exported.to_json(), json, exported.lines())
    if exported.exceeded:
        fail(f"exceeds public limits of {', '.join(exported.exceeded)}", "see the lines marked above")
