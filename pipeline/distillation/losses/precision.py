"""Losses in float32 or wider, whatever precision the networks run in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(loss: Callable[P, R]) -> Callable[P, R]:
    """Runs a loss without autocast, which would round matrix products to half precision.

    Args:
        loss: the function.
    """

    @wraps(loss)
    def computed(*args: P.args, **kwargs: P.kwargs) -> R:
        device = next((one.device.type for one in args if isinstance(one, Tensor)), "cpu")
        with torch.autocast(device, enabled=False):
            return loss(*args, **kwargs)

    return computed


def at_least_float32(tensor: Tensor) -> Tensor:
    """float64 unchanged, all else as float32.

    Args:
        tensor: any floating-point tensor.
    """
    return tensor if tensor.dtype == torch.float64 else tensor.float()
