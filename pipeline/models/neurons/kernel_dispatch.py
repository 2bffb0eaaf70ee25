"""Calls the compiled loops of neurons: for which tensors, with which views of them, and on how many threads.

A loop processes `[T, N]`. Within a step the order of neurons is free, as long as every tensor has the same one.
Convolutions therefore keep their channels last, and nothing is copied between them and their neurons.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

VALUES_PER_THREAD = 1 << 17  # values of T * N that justify a thread (about 0.1 ms of work)
GRAIN = 1024  # neurons; parts of threads are multiples, because threads that write to one cache line block each other

_pool: ThreadPoolExecutor | None = None


def compiles(values: Tensor) -> bool:
    """Whether the compiled loops compute this tensor. For other tensors, torch's operations do.

    Args:
        values: `[T, ...]`.
    """
    return values.device.type == "cpu" and values.dtype == torch.float32 and values.numel() > 0 and _dense(values)


def rows(values: Tensor) -> np.ndarray:
    """A view `[T, N]` of a tensor that `compiles`, with neurons in memory order.

    Args:
        values: `[T, ...]`.
    """
    return values.detach().as_strided((len(values), values.numel() // len(values)), _strides(values)).numpy()


def rows_like(values: Tensor | None, like: Tensor) -> np.ndarray:
    """`values` in the neuron order of `rows(like)`, copied only if it differs; no rows for None.

    Args:
        values: `[T, ...]`, or None.
        like: a tensor of the same shape.
    """
    if values is None:
        return np.empty((0, 0), np.float32)
    if values.dtype != like.dtype or not _dense(values) or not _same_order(values, like):
        values = torch.empty_like(like).copy_(values)
    return rows(values)


def run(kernel: Callable[..., None], values: np.ndarray, *others: Any) -> None:
    """Calls `kernel(begin, end, values, *others)` for all neurons of `values`, on several threads if they are many.

    Args:
        kernel: a compiled loop, which releases Python's lock.
        values: `[T, N]`.
        others: further arguments of the kernel.
    """
    steps, neurons = values.shape
    parts = max(1, min(torch.get_num_threads(), steps * neurons // VALUES_PER_THREAD, neurons // GRAIN))
    edges = [neurons * part // parts // GRAIN * GRAIN for part in range(parts)] + [neurons]
    own, *rest = itertools.pairwise(edges)
    waiting = [_threads().submit(kernel, *share, values, *others) for share in rest]
    kernel(*own, values, *others)
    for other in waiting:
        other.result()


def _threads() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), "neurons")
    return _pool


def _forget_threads() -> None:
    """For a forked process, which has no threads of its parent."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


def _strides(values: Tensor) -> tuple[int, int]:
    return values.numel() // len(values), 1


def _dense(values: Tensor) -> bool:
    """Whether steps are contiguous, whatever the order of the other dimensions."""
    inner = sorted(range(1, values.ndim), key=values.stride, reverse=True)
    return values.permute(0, *inner).is_contiguous()


def _same_order(one: Tensor, other: Tensor) -> bool:
    """Whether two dense tensors of one shape have their values in the same order in memory."""
    strides = zip(one.shape, one.stride(), other.stride(), strict=True)
    return all(mine == its for size, mine, its in strides if size > 1)
