"""Losses at full precision, whatever precision the networks run in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(loss: Callable[P, R]) -> Callable[P, R]:
    """`loss`, computed without autocast: a product of matrices is else rounded to half precision inside."""

    @wraps(loss)
    def computed(*args: P.args, **kwargs: P.kwargs) -> R:
        device = next((one.device.type for one in args if isinstance(one, Tensor)), "cpu")
        with torch.autocast(device, enabled=False):
            return loss(*args, **kwargs)

    return computed


def wide(tensor: Tensor) -> Tensor:
    """float64 as it is, everything else as float32."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
