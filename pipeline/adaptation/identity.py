"""What a stopped adaptation is tied to, so that it continues only as it began."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from spikeport.errors import UserError
from spikeport.pipeline.adaptation.settings import AdaptSettings
from spikeport.pipeline.adaptation.source import Source
from spikeport.pipeline.run.tensor_files import read_tree
from spikeport.pipeline.training.checkpoints import CHECKPOINT

PLACEMENT = ("threads",)  # settings that may change between a stop and the resume
PARTS = {"source": "the source", "nearest": "the source", "changes": "the source", "frames": "the frames"}


def identity_of(
    source: Source, network: nn.Module, changes: Sequence[str], frames: Any, settings: AdaptSettings
) -> dict[str, object]:
    """What a checkpoint of an adaptation depends on, as JSON values.

    Args:
        source: the source.
        network: the network that is trained, before the training.
        changes: what differs between the two; it names what no weight shows, such as the reset.
        frames: `[N, T, *input_shape]`, on which it is trained.
        settings: the settings.
    """
    return {
        "settings": {key: value for key, value in asdict(settings).items() if key not in PLACEMENT},
        "source": _digest_of_weights(source.network),
        "nearest": _digest_of_weights(network),
        "changes": list(changes),
        "frames": _digest(frames),
    }


def check_resumed(folder: Path, identity: dict[str, object]) -> None:
    """Checks that a checkpoint in a folder, if there is one, is of this adaptation.

    Args:
        folder: the folder.
        identity: see `identity_of`.

    Raises:
        UserError: it is of another one. The message names what differs.
    """
    checkpoint = folder / CHECKPOINT
    if not checkpoint.exists():
        return
    try:
        saved = read_tree(checkpoint)
    except UserError as error:
        raise UserError(error.message, where=error.where, cause=error.cause,
                        hint="remove this file, and the adaptation starts anew") from error  # fmt: skip
    held = saved.get("identity") if isinstance(saved, dict) else None
    held = held if isinstance(held, dict) else {}
    before, now = held.get("settings"), identity["settings"]
    assert isinstance(now, dict)
    different = [
        f"{key} was {before.get(key)}, now it is {value}"
        for key, value in now.items()
        if isinstance(before, dict) and before.get(key) != value
    ]
    different += dict.fromkeys(f"{text} changed" for key, text in PARTS.items() if held.get(key) != identity[key])
    if different:
        raise UserError("this checkpoint is of another adaptation", where=str(checkpoint),
                        cause="; ".join(different),
                        hint="--resume with the source, frames and options of the first call, or name another "
                        "--out")  # fmt: skip


def _digest(frames: Any) -> str:
    digest = hashlib.sha256()
    for first in range(0, len(frames), 64):
        digest.update(np.ascontiguousarray(frames[first : first + 64]).tobytes())
    return f"{tuple(frames.shape)}-{digest.hexdigest()}"


def _digest_of_weights(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
