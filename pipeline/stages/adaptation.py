"""Adapts a network to the chip, and writes the adapted network and what was measured."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from spikeport.errors import UserError
from spikeport.files import write_json, writing
from spikeport.notes import note
from spikeport.pipeline.stages.adaptation_result import SCHEMA, Adaptation
from spikeport.pipeline.stages.adaptation_source import Frames, Reset, frames_of, network_name, source_of
from spikeport.pipeline.stages.compiled_network import CompiledNetwork
from spikeport.pipeline.stages.given_frames import refuse_labels
from spikeport.pipeline.stages.outputs import check_folder
from spikeport.pipeline.stages.settings import PathLike
from spikeport.pipeline.stages.source_options import ADAPT, refuses_unused
from spikeport.progress import NamedProgress
from spikeport.values import Shape

if TYPE_CHECKING:
    from torch import nn

    from spikeport.export.backends.compare import SpikeComparison
    from spikeport.pipeline.adaptation.settings import AdaptSettings
    from spikeport.pipeline.adaptation.source import Source

HOLDOUT = 0.1
SUMMARY = "adaptation.json"


@refuses_unused(ADAPT)
def adapt(
    source: PathLike | nn.Module,
    frames: Frames,
    out: PathLike | None = None,
    *,
    labels: np.ndarray | None = None,
    check: Frames | None = None,
    check_labels: np.ndarray | None = None,
    dt_s: float | None = None,
    reset: Reset | None = None,
    if_gain: Literal["per-step", "per-second"] | None = None,
    input_shape: Shape | None = None,
    readout: str | None = None,
    framework: str | None = None,
    widen: int = 1,
    epochs: int = 30,
    batch: int = 28,
    lr: float = 2e-3,
    shift: int = 2,
    rotation: float = 10.0,
    scale: float = 0.1,
    event_drop: float = 0.2,
    holdout: float = HOLDOUT,
    message_bits: int = 0,
    lava_samples: int = 0,
    seed: int = 0,
    threads: int = 0,
    resume: bool = False,
    progress: NamedProgress | None = None,
) -> Adaptation:
    """Adapts a network that the chip cannot run exactly: its nearest legal network learns to answer as it does.

    The nearest network resets to zero, has pools behind neurons and one decay a layer, and starts from the weights of
    the source. It is trained in Loihi's arithmetic with even 8-bit weights; the source, run in float with its own
    reset, pools and decays, is the teacher. Labels are used to report accuracies alone.

    Args:
        source: a .nir file, `package.module:factory`, where `factory()` returns a trained network of torch modules and
            snnTorch neurons, or such a network. The forward of a network is run on 8 samples of `frames` and must give
            what the modules give that were read from it. The network is put into eval mode.
        frames: file or array of frames `[N, T, C, H, W]` or `[N, T, D]` for the training, integers of 0 to 255.
        out: folder for the files; None: no file is written, and the adaptation cannot be resumed.
        labels: classes `[N]` of an array of frames, -1 for samples without one. Files of frames have their own.
        check: frames on which the networks are compared; None: a share `holdout` of `frames`, drawn at random, which
            is not trained on.
        check_labels: classes of an array in `check`.
        dt_s: time step in seconds; for a .nir file as for `load_graph`.
        reset: for a .nir file, the reset that it was trained with; None: the default of `framework`. Modules state
            their own.
        if_gain, input_shape, readout, framework: as for `export_network`.
        widen: channels of hidden layers per channel of the source; more than 1 costs neurons and comes closer.
        epochs: epochs of the training.
        batch: samples of a batch.
        lr: learning rate.
        shift: largest shift of frames in pixels, drawn anew for each batch; the source answers the moved frames. Shift,
            rotation and scale are for frames `[N, T, C, H, W]`.
        rotation: largest rotation of frames in degrees.
        scale: largest change of size; 0.1: from 0.9 to 1.1 times.
        event_drop: largest share of events that are dropped from a sample.
        holdout: share of `frames` for the comparison where `check` is None.
        message_bits: bits of input counts (Loihi 2); 0: inputs are spikes, and counts become 1.
        lava_samples: samples on which the reference is compared with Lava.
        seed: seed of the training and of the draw.
        threads: threads of torch; 0: torch's default.
        resume: continue a stopped adaptation in `out`; in an empty folder a new one starts.
        progress: called with (steps done, steps in all, what is done).

    Returns:
        The adapted network, and agreement, accuracy and rates of source, nearest, rounded and adapted network.

    Raises:
        UserError: a node has no neighbor on the chip, the forward of the network is another network than its modules,
            a setting or the frames do not fit, an option has no meaning for the source or the frames, `out` holds
            something else, or a resumed adaptation was another one.
        MissingDependencyError: Lava is asked for and not installed.
    """
    from spikeport.pipeline.adaptation.adapt import adapt_source
    from spikeport.pipeline.adaptation.own_forward import check_forward
    from spikeport.pipeline.adaptation.settings import AdaptSettings

    settings = AdaptSettings(
        epochs=epochs, batch=batch, lr=lr, shift=shift, rotation=rotation, scale=scale, event_drop=event_drop,
        seed=seed, message_bits=message_bits, threads=threads, widen=widen,
    )  # fmt: skip
    if lava_samples < 0:
        raise UserError(f"lava_samples = {lava_samples} is outside its range", where="adapt", hint="give 0 or more")
    name = "adapted" if not isinstance(source, (str, os.PathLike)) else network_name(source)
    folder = None if out is None else Path(out)
    if folder is not None:
        _check_folder(folder, name, resume=resume)
    found = source_of(source, dt_s, reset, if_gain, input_shape, readout, framework)
    _refuse_unused(found, settings, check, check_labels, holdout, resume=resume and out is None)
    training, training_labels, notes = frames_of(frames, labels, found, message_bits)
    if found.own is not None:
        notes = (check_forward(found.own, training), *notes)
    if check is None:
        rows, others = _held_out(len(training), holdout, seed)
        measured, truth = training[rows], None if training_labels is None else training_labels[rows]
        training = training[others]
        samples = f"measured on {len(rows):,} frames that were drawn at random (seed {seed}) and not trained on"
    else:
        measured, truth, more = frames_of(check, check_labels, found, message_bits, where="check")
        notes += more
        samples = f"measured on {len(measured):,} frames of {check if isinstance(check, (str, Path)) else 'check'}"
    with _checkpoint_folder(folder) as place:
        result = adapt_source(found, training, measured, truth, settings, place, progress=progress)
    network = CompiledNetwork(network=result.network, layers=tuple(result.layers), graph=result.graph)
    lava = _compare_with_lava(network, measured, truth, lava_samples, seed) if lava_samples else None
    adaptation = Adaptation(
        files=(),
        network=network,
        rows=result.rows,
        changes=result.changes,
        factors=result.factors,
        samples=samples,
        mismatches=result.mismatches,
        compared=result.compared,
        lava=lava,
        notes=(*found.notes, *notes),
    )
    return adaptation if folder is None else _written(adaptation, folder, name, trained=epochs > 0)


def _refuse_unused(
    found: Source, settings: AdaptSettings, check: Frames | None, labels: np.ndarray | None, holdout: float, *,
    resume: bool,
) -> None:  # fmt: skip
    """Raises UserError for an option that the other options or the frames leave without a meaning."""
    if check is None:
        refuse_labels(labels, "check")
    elif holdout != HOLDOUT:
        raise UserError("--holdout and --check are given together", cause="no frames are held out for the comparison",
                        hint="leave one of them out")  # fmt: skip
    if resume:
        raise UserError("an adaptation without a folder cannot be continued", hint="give out, or leave resume out")
    shape, usual = found.nearest.input_shape, type(settings)()
    moves = [key for key in ("shift", "rotation", "scale") if getattr(settings, key) not in (0, getattr(usual, key))]
    if moves and len(shape) != 3:
        raise UserError(f"{' and '.join(f'--{key}' for key in moves)} cannot move inputs of shape {shape}",
                        cause="only frames [N, T, C, H, W] have places", hint="leave it out")  # fmt: skip


def _held_out(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are measured on, and rows that are trained on."""
    held = round(count * share)
    if not 1 <= held < count:
        raise UserError(
            f"a share of {share:g} of {count} frames leaves {held} to measure on and {count - held} to train on",
            where="--holdout", hint="give more frames, another share, or --check FRAMES",
        )  # fmt: skip
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[:held]), np.sort(order[held:])


@contextlib.contextmanager
def _checkpoint_folder(folder: Path | None) -> Iterator[Path]:
    """The folder, or one that exists as long as the training."""
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    yield folder


def _check_folder(out: Path, name: str, *, resume: bool) -> None:
    """Checks that the folder holds no files of others, and a stopped adaptation only if it is resumed."""
    from spikeport.pipeline.training.checkpoints import CHECKPOINT
    from spikeport.pipeline.training.epoch_log import METRICS

    names = [SUMMARY, f"{name}.nir", f"{name}.nir.json", f"{name}.net", METRICS, CHECKPOINT]
    held = {entry.name for entry in out.iterdir() if not entry.name.startswith(".")} if out.is_dir() else set()
    if CHECKPOINT not in held or held - set(names):
        check_folder(out, names, "adaptation", schema=SCHEMA)
        if resume and SUMMARY in held:
            raise UserError("this folder holds a finished adaptation", where=str(out),
                            hint="without --resume it is replaced; name another --out for a new one")  # fmt: skip
        if resume:
            note(f"{out} holds no stopped adaptation, so a new one starts")
    elif not resume:
        raise UserError("this folder holds a stopped adaptation", where=str(out),
                        hint="--resume continues it; name another --out for a new one")  # fmt: skip


def _compare_with_lava(
    network: CompiledNetwork, frames: np.ndarray, labels: np.ndarray | None, samples: int, seed: int
) -> SpikeComparison:
    from spikeport.export.network.sampling import draw
    from spikeport.pipeline.stages.simulation import compare

    drawn = draw(min(samples, len(frames)), len(frames), labels, seed=seed)
    return compare(network, frames[drawn.rows])


def _written(adaptation: Adaptation, folder: Path, name: str, *, trained: bool) -> Adaptation:
    from spikeport.pipeline.training.checkpoints import CHECKPOINT
    from spikeport.pipeline.training.epoch_log import METRICS

    nir, net = folder / f"{name}.nir", folder / f"{name}.net"
    adaptation.network.save(nir)
    adaptation.network.save(net)
    write_json(folder / SUMMARY, adaptation.values())
    (folder / CHECKPOINT).unlink(missing_ok=True)
    if not trained:
        (folder / METRICS).unlink(missing_ok=True)  # of an adaptation that is replaced
    return replace(adaptation, files=(nir, net, folder / SUMMARY))
