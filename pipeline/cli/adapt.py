"""The command `adapt`: the nearest legal network of a network, trained to answer as it does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from spikeport.pipeline.cli.console import DIVERGENCE_HINT, fail, show
from spikeport.pipeline.cli.options import NIR, Dt, From, IfGain, InputShape, Json, Quiet, shape_of

TRAINING = "Training"


def adapt(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A .nir file, or module:factory of a network.")],
    frames: Annotated[
        Path,
        typer.Option(
            "--frames",
            metavar="FRAMES.npz",
            help="Frames [N, T, C, H, W] or [N, T, D] for the training, no labels needed.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for the files. [default: name of SOURCE with -adapted]"),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            "--check",
            metavar="FRAMES.npz",
            help="Frames on which the networks are compared. [default: a share of --frames, not trained on]",
        ),
    ] = None,
    holdout: Annotated[
        float, typer.Option("--holdout", min=0.0, max=0.9, help="Share of --frames for the comparison without --check.")
    ] = 0.1,
    lava_samples: Annotated[
        int, typer.Option("--lava-samples", min=0, help="Samples on which Lava must give the reference's spikes.")
    ] = 0,
    framework: From = None,
    dt: Dt = None,
    reset: Annotated[
        Literal["zero", "subtract"] | None,
        typer.Option(
            "--reset",
            help="Reset that the network of a .nir file was trained with. [default: that of --from]",
            rich_help_panel=NIR,
        ),
    ] = None,
    if_gain: IfGain = None,
    input_shape: InputShape = None,
    readout: Annotated[
        Literal["spikes", "membrane-sum", "membrane-max", "membrane-last"] | None,
        typer.Option("--readout", help="How the output of the last layer becomes a class.", rich_help_panel=NIR),
    ] = None,
    widen: Annotated[
        int,
        typer.Option(
            "--widen",
            min=1,
            max=8,
            help="Channels of hidden layers per channel of SOURCE: comes closer, and costs neurons.",
            rich_help_panel=TRAINING,
        ),
    ] = 1,
    epochs: Annotated[int, typer.Option("--epochs", min=0, help="Epochs.", rich_help_panel=TRAINING)] = 30,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Samples of a batch.", rich_help_panel=TRAINING)] = 28,
    lr: Annotated[float, typer.Option("--lr", min=0.0, help="Learning rate.", rich_help_panel=TRAINING)] = 2e-3,
    shift: Annotated[
        int,
        typer.Option(
            "--shift",
            min=0,
            help="Largest shift of frames in pixels; SOURCE answers moved frames too.",
            rich_help_panel=TRAINING,
        ),
    ] = 2,
    rotation: Annotated[
        float,
        typer.Option(
            "--rotation", min=0.0, max=180.0, help="Largest rotation of frames in degrees.", rich_help_panel=TRAINING
        ),
    ] = 10.0,
    scale: Annotated[
        float,
        typer.Option(
            "--scale",
            min=0.0,
            max=0.9,
            help="Largest change of size: 0.1 is 0.9 to 1.1 times.",
            rich_help_panel=TRAINING,
        ),
    ] = 0.1,
    event_drop: Annotated[
        float,
        typer.Option(
            "--event-drop", min=0.0, max=1.0, help="Largest share of dropped events.", rich_help_panel=TRAINING
        ),
    ] = 0.2,
    message_bits: Annotated[
        int,
        typer.Option(
            "--message-bits", min=0, max=8, help="Bits of the counts at the input (Loihi 2). 0: binary spikes."
        ),
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the training and of drawn samples.")] = 0,
    threads: Annotated[int, typer.Option("--threads", min=0, help="Threads of torch. 0: torch's default.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a stopped adaptation in the same folder.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Adapts a network that the chip cannot run exactly: its nearest legal network learns to answer as it does.

    The nearest network resets to zero, has maximum pools behind neurons and one decay a layer. It starts from the
    weights of SOURCE and is trained in Loihi's arithmetic, with SOURCE itself in float as teacher, without labels.
    Prints how many samples get the class of SOURCE before, after plain rounding, and after the adaptation. Writes a
    .nir and a .net file, metrics.jsonl and adaptation.json. The exit code is 1 if the trained network, the reference
    and Lava do not give the same spikes.

    Example: `spikeport adapt cnn:trained --frames train.npz --check test.npz --dt 1e-3 --input-shape 2,34,34`
    """
    from spikeport.pipeline.run.progress import ProgressPrinter
    from spikeport.pipeline.stages.adaptation import adapt as adapt_network
    from spikeport.pipeline.stages.adaptation_source import default_folder

    with ProgressPrinter(quiet=quiet) as progress:
        found = adapt_network(
            source,
            frames,
            out or default_folder(source),
            check=check,
            holdout=holdout,
            lava_samples=lava_samples,
            dt_s=dt,
            reset=reset,
            if_gain=if_gain,
            input_shape=shape_of(input_shape),
            readout=readout,
            framework=framework,
            widen=widen,
            epochs=epochs,
            batch=batch,
            lr=lr,
            shift=shift,
            rotation=rotation,
            scale=scale,
            event_drop=event_drop,
            message_bits=message_bits,
            seed=seed,
            threads=threads,
            resume=resume,
            progress=progress,
        )
    show(found.to_json(), json, found.lines())
    if not found.equal:
        fail("the trained network, the reference and Lava do not give the same spikes", DIVERGENCE_HINT)
