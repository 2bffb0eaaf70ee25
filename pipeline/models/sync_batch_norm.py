"""Batch norm over the samples of all processes, on any device (torch's SyncBatchNorm needs GPUs)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikeport.pipeline.models.batch_rms_norm import BatchRMSNorm


@contextlib.contextmanager
def sync_batch_norm(model: nn.Module) -> Iterator[None]:
    """Within this context the batch norms of `model` in training mode use the samples of all processes.

    Modules are not replaced, so that weights, names and types do not change.

    Args:
        model: the network.
    """
    norms: dict[nn.Module, Callable] = {
        module: partial(_sync_forward, module) for module in model.modules() if isinstance(module, _BatchNorm)
    }
    for module in model.modules():
        if isinstance(module, BatchRMSNorm):
            norms[module] = partial(module.forward, all_reduce=_all_reduce)
    with replace_forwards(norms):
        yield


@contextlib.contextmanager
def replace_forwards(forwards: dict[nn.Module, Callable]) -> Iterator[None]:
    """Replaces the forwards of modules within the block.

    Args:
        forwards: the new forward of each module.
    """
    for module, forward in forwards.items():
        module.forward = forward
    try:
        yield
    finally:
        for module in forwards:
            del module.forward


def _sync_forward(norm: _BatchNorm, x: Tensor) -> Tensor:
    if not norm.training:
        return type(norm).forward(norm, x)
    values = x.float()
    axes, shape = [0, *range(2, x.ndim)], (1, -1, *[1] * (x.ndim - 2))
    count = torch.full((1,), x.numel() / x.shape[1], device=x.device)
    # Two passes, because a variance as the difference of two sums would lose digits.
    total = _all_reduce(torch.cat([values.sum(axes), count]))
    count, mean = total[-1].detach(), total[:-1] / total[-1].detach()
    centered = values - mean.view(shape)
    variance = _all_reduce(centered.square().sum(axes)) / count
    if norm.running_mean is not None and norm.running_var is not None:
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked += 1
        momentum = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        with torch.no_grad():
            norm.running_mean.lerp_(mean, momentum)
            norm.running_var.lerp_(variance * count / (count - 1), momentum)
    normalized = centered * torch.rsqrt(variance + norm.eps).view(shape)
    if norm.affine:
        normalized = normalized * norm.weight.view(shape)
    if norm.affine and norm.bias is not None:
        normalized = normalized + norm.bias.view(shape)
    return normalized.to(x.dtype)


def _all_reduce(values: Tensor) -> Tensor:
    return _AllReduce.apply(values)


class _AllReduce(torch.autograd.Function):
    """Sum over all processes. Its gradient is the sum of the gradients of all processes."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        torch.distributed.all_reduce(total)
        return total
