"""Weights from a local safetensors file, written here or by another library for the same network."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from spikeport.errors import UserError

COUNTER = "num_batches_tracked"  # of batch norm; many files lack it, and nothing here uses it
NAMED = 3  # mismatches that an error names


def load_pretrained(
    module: nn.Module,
    path: str | os.PathLike[str],
    *,
    prefixes: Sequence[tuple[str, str]] = (),
    fresh_head: bool = False,
) -> None:
    """Fills `module` from the file.

    Args:
        module: network of the same layers.
        path: safetensors file with the module's keys, or those of another library.
        prefixes: pairs of what keys begin with in the file and in the module; the first pair that fits is used.
        fresh_head: whether a `head` of another shape keeps the weights that it has.

    Raises:
        UserError: keys, shapes or values do not fit; it names the first ones.
    """
    try:
        found = load_file(os.fspath(path))
    except (SafetensorError, OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(
            "cannot be read as weights", where=str(path), cause=str(error), hint="give a safetensors file"
        ) from error
    ours = module.state_dict()
    if not set(found) & set(ours):
        found = {_renamed(key, prefixes): tensor for key, tensor in found.items()}
    head = {key for key in ours if key.startswith("head.")}
    if fresh_head and any(key not in found or found[key].shape != ours[key].shape for key in head):
        found = {key: tensor for key, tensor in found.items() if key not in head} | {key: ours[key] for key in head}
    faults = weight_faults(ours, found)
    if faults:
        more = f" and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise UserError(
            "these weights belong to another network",
            where=str(path),
            cause=", ".join(faults[:NAMED]) + more,
            hint="use weights of the same network and size; teacher.epochs of 1 or more lets the head be another",
        )
    module.load_state_dict(found, strict=False)


def _renamed(key: str, prefixes: Sequence[tuple[str, str]]) -> str:
    for theirs, ours in prefixes:
        if key.startswith(theirs):
            return ours + key[len(theirs) :]
    return key


def weight_faults(ours: dict[str, Tensor], found: dict[str, Tensor]) -> list[str]:
    """Why tensors are not the weights of a network, sorted: missing and unknown names, shapes, values.

    Args:
        ours: the network's own, by name.
        found: those that it is to get.
    """
    faults = [f"no {key}" for key in ours if key not in found and not key.endswith(COUNTER)]
    faults += [f"unknown {key}" for key in found if key not in ours]
    for key in ours.keys() & found.keys():
        if ours[key].shape != found[key].shape:
            faults.append(f"{key} is {list(found[key].shape)}, not {list(ours[key].shape)}")
        elif found[key].is_floating_point() and not torch.isfinite(found[key]).all():
            faults.append(f"{key} holds values that are not finite")
    return sorted(faults)
