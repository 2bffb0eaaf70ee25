"""Whether this machine can hold what training a network takes, said before anything is read or allocated."""

from __future__ import annotations

import os

from torch import nn

from spikeport.errors import UserError

COPIES = 4  # weights, their gradients, and the optimizer's two moments


def check_weights_fit(module: nn.Module, where: str, hint: str) -> None:
    """Raises UserError where the weights of `module` (which may be on the meta device), with what their training adds,
    are more than all memory of this machine."""
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
    """Bytes of this machine's memory, None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return None
