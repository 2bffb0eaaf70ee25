"""Checks that a network can be trained in this machine's memory, before anything is read or allocated."""

from __future__ import annotations

import os

from torch import nn

from spikeport.errors import UserError

COPIES = 4  # weights, their gradients, and the optimizer's two moments


def check_weights_fit(module: nn.Module, where: str, hint: str) -> None:
    """Raises UserError if the training of `module` needs more than all memory of this machine.

    Args:
        module: may be on the meta device.
        where: recipe section that describes it.
        hint: how to make it smaller.
    """
    weights = sum(parameter.numel() for parameter in module.parameters())
    memory = machine_memory()
    if memory is not None and 4 * COPIES * weights > memory:
        raise UserError(
            f"its {weights:,} weights take {4 * COPIES * weights / 2**30:,.0f} GiB to train, and this machine has "
            f"{memory / 2**30:,.0f} GiB",
            where=where,
            hint=hint,
        )


def machine_memory() -> int | None:
    """Bytes of this machine's memory, None if the system does not report it."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return None
