"""Checkpoints and weights as safetensors files; values that are not tensors are JSON in the header.

Nothing is pickled, and a file is written completely or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.files import atomic_path

HEADER = "spikeport"  # key of the JSON in the safetensors header
SEAL = "sha256"  # key of the digest of JSON and tensors
_OTHER_FILE = "copy the file again, or repeat the stage that wrote it (spikeport run --from)"
_TENSOR, _TUPLE, _PAIRS = "__tensor__", "__tuple__", "__pairs__"


def write_tree(tree: Any, path: str | os.PathLike[str]) -> None:
    """Writes nested dicts, lists, tuples, plain values and tensors to a file.

    Args:
        tree: the nested values.
        path: the file.

    Raises:
        TypeError: another type of value.
    """
    tensors: dict[str, Tensor] = {}
    text = json.dumps(_encode(tree, tensors))
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={HEADER: text, SEAL: _seal(text, tensors)})


def read_tree(path: str | os.PathLike[str]) -> Any:
    """Reads a file of `write_tree`, with tensors on the CPU.

    Args:
        path: the file.

    Raises:
        UserError: the file is damaged, or is not such a file.
    """
    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        text = metadata[HEADER]
        if metadata.get(SEAL, "") not in ("", _seal(text, tensors)):
            raise ValueError("its content was changed")
        return _decode(json.loads(text), tensors)
    except (SafetensorError, OSError, LookupError, ValueError, TypeError, RecursionError) as error:
        raise UserError(
            "cannot be read as a checkpoint",
            where=str(path),
            cause=str(error),
            hint="delete it; training then starts over",
        ) from error


def check_tree(tree: object) -> None:
    """Checks that `write_tree` can hold a value.

    Args:
        tree: the value.

    Raises:
        TypeError: it cannot.
    """
    _encode(tree, {})


def _seal(text: str, tensors: dict[str, Tensor]) -> str:
    """Digest of a checkpoint's content, so that a changed bit is noticed."""
    digest = hashlib.sha256(text.encode())
    for key in sorted(tensors):
        tensor = tensors[key].contiguous()
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _encode(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        key = str(len(tensors))
        tensors[key] = value.detach().cpu().contiguous().clone()  # a clone: safetensors refuses shared memory
        return {_TENSOR: key}
    if isinstance(value, dict):
        pairs = [[_encode(key, tensors), _encode(entry, tensors)] for key, entry in value.items()]
        return {_PAIRS: pairs}  # keys need not be texts: an optimizer numbers its parameters
    if isinstance(value, tuple):
        return {_TUPLE: [_encode(entry, tensors) for entry in value]}
    if isinstance(value, list):
        return [_encode(entry, tensors) for entry in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a checkpoint cannot hold {type(value).__name__}")


def _decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(entry, tensors) for entry in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    if _TUPLE in value:
        return tuple(_decode(entry, tensors) for entry in value[_TUPLE])
    return {_decode(key, tensors): _decode(entry, tensors) for key, entry in value[_PAIRS]}


def save_weights(module: nn.Module, path: str | os.PathLike[str]) -> None:
    """Writes the parameters and buffers of a module as safetensors.

    Args:
        module: the module.
        path: the file.
    """
    tensors = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in module.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Reads a file of `save_weights`, by name.

    Args:
        path: the file.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise UserError("cannot be read as weights", where=str(path), cause=str(error), hint=_OTHER_FILE) from error


def load_weights(module: nn.Module, path: str | os.PathLike[str]) -> None:
    """Loads a file of `save_weights` into a module of the same structure.

    Args:
        module: the module; its parameters and buffers are overwritten.
        path: the file.

    Raises:
        UserError: the file is damaged, or belongs to another network.
    """
    tensors = read_weights(path)
    own = module.state_dict()
    for key, tensor in tensors.items():
        if key in own and tensor.dtype != own[key].dtype:
            why = f"{key} is of {tensor.dtype}, not {own[key].dtype}"
            raise UserError("these are not weights of this network", where=str(path), cause=why, hint=_OTHER_FILE)
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            why = f"{key} holds values that are not finite"
            raise UserError("these weights are damaged", where=str(path), cause=why, hint=_OTHER_FILE)
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(
            "these weights belong to another network",
            where=str(path),
            cause=str(error).splitlines()[-1].strip(),
            hint="use the recipe they were trained with",
        ) from error
