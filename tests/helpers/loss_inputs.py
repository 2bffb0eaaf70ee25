"""Float64 inputs of losses."""

import torch
from torch import Tensor

SPEC = 5e-7  # the specification prints six decimals


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def row(*values: float) -> Tensor:
    """One sample's logits, `[1, K]`."""
    return torch.tensor([values], dtype=torch.float64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
