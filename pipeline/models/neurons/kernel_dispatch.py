"""The compiled loops of `neuron_kernels` on tensors: which ones they take, as what, and on how many threads.

A loop sees `[T, N]`. Within a step it does not matter which neuron lies where, as long as every tensor has them in the
same order; so convolutions keep their channels last, and nothing is copied between them and their cells.
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

SHARE = 1 << 17  # values of T * N that are worth a thread of their own (about 0.1 ms)
GRAIN = 1024  # neurons; no thread's share is cut finer, for threads that write to one cache line wait for each other

_pool: ThreadPoolExecutor | None = None


def compiles(values: Tensor) -> bool:
    """Whether the compiled loops take this tensor `[T, ...]`; torch's operations do the rest."""
    return values.device.type == "cpu" and values.dtype == torch.float32 and values.numel() > 0 and _dense(values)


def rows(values: Tensor) -> np.ndarray:
    """A view `[T, N]` of a tensor that `compiles`, neurons in the order in which memory has them."""
    return values.detach().as_strided((len(values), values.numel() // len(values)), _strides(values)).numpy()


def rows_like(values: Tensor | None, like: Tensor) -> np.ndarray:
    """`values` as `rows(like)` has its neurons, copied only where they lie otherwise; no rows for None."""
    if values is None:
        return np.empty((0, 0), np.float32)
    if values.dtype != like.dtype or not _dense(values) or not _same_places(values, like):
        values = torch.empty_like(like).copy_(values)
    return rows(values)


def run(kernel: Callable[..., None], values: np.ndarray, *others: Any) -> None:
    """`kernel(begin, end, values, *others)` for all neurons of `values` `[T, N]`, on torch's threads where that pays.

    The loops let go of Python's lock. A thread that has nothing to do sleeps.
    """
    steps, neurons = values.shape
    parts = max(1, min(torch.get_num_threads(), steps * neurons // SHARE, neurons // GRAIN))
    edges = [neurons * part // parts // GRAIN * GRAIN for part in range(parts)] + [neurons]
    own, *rest = itertools.pairwise(edges)
    waiting = [_threads().submit(kernel, *share, values, *others) for share in rest]
    kernel(*own, values, *others)
    for other in waiting:
        other.result()


def _threads() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), "cells")
    return _pool


def _forget_threads() -> None:
    """A forked process has none of its parent's threads."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


def _strides(values: Tensor) -> tuple[int, int]:
    return values.numel() // len(values), 1


def _dense(values: Tensor) -> bool:
    """Whether step follows step, and each fills its piece of memory, in whatever order of its dimensions."""
    inner = sorted(range(1, values.ndim), key=values.stride, reverse=True)
    return values.permute(0, *inner).is_contiguous()


def _same_places(one: Tensor, other: Tensor) -> bool:
    """Whether two dense tensors of one shape have each value at the same place."""
    strides = zip(one.shape, one.stride(), other.stride(), strict=True)
    return all(mine == its for size, mine, its in strides if size > 1)
