"""The command `check-network`: what becomes of every node of a network, before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from spikeport.pipeline.cli.console import fail, show
from spikeport.pipeline.cli.options import NIR, Dt, From, IfGain, InputShape, Json, Reset, shape_of


def check_network(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A .nir or .net file, or module:factory of a network.")
    ],
    framework: From = None,
    dt: Dt = None,
    reset: Reset = None,
    if_gain: IfGain = None,
    input_shape: InputShape = None,
    bias: Annotated[
        Literal["refuse", "neuron"] | None,
        typer.Option("--bias", help="Biases before a synaptic current, as for export.", rich_help_panel=NIR),
    ] = None,
    allow_vector: Annotated[
        bool,
        typer.Option("--allow-vector", help="Keep different decays in one layer, as for export.", rich_help_panel=NIR),
    ] = False,
    frames: Annotated[
        Path | None,
        typer.Option(
            "--frames",
            metavar="FRAMES.npz",
            help="Compare the network, as it was trained, with the nearest one that goes, on these frames.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Says of each node whether it runs on the chip: exact, rewritten, needs adapt, or impossible, and why.

    Reads a .nir file, or calls the factory of a network. Writes no file. The exit code is 0 if the network goes to the
    chip, 1 if it does not go there as it is, 2 if the source cannot be read. What needs adapt has a form near it on the
    chip, which `spikeport adapt` trains; --frames measures how far that form is from the network without training.

    Example: `spikeport check-network cnn.nir --from norse`
    """
    from spikeport.pipeline.stages.network_check import check_network as check

    found = check(
        source,
        framework=framework,
        dt_s=dt,
        reset=reset,
        if_gain=if_gain,
        input_shape=shape_of(input_shape),
        bias=bias,
        allow_vector=allow_vector,
        frames=frames,
    )
    show(found.to_json(), json, found.lines())
    if not found.goes:
        fail("the network does not go to the chip as it is", "see the lines above")
