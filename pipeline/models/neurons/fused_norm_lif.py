"""Batch norm and the leaky neurons behind it in one operation, for float32 training on the CPU.

Both are bound by memory bandwidth. Fused, they read or write a layer's values nine times a step instead of fourteen
times, and the backward pass recomputes normalized currents and membranes instead of storing them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spikeport.pipeline.models.neurons import fused_norm_lif_kernels as kernels
from spikeport.pipeline.models.neurons.base import SLOPE
from spikeport.pipeline.models.neurons.kernel_dispatch import compiles, rows, rows_like, run
from spikeport.pipeline.models.neurons.leaky import LoihiLeaky
from spikeport.pipeline.models.neurons.leaky_kernels import BLOCK


def can_fuse(norm: nn.Module | None, neurons: nn.Module | None, values: Tensor) -> bool:
    """Whether `fused_norm_lif` computes what `norm` and then `neurons` would for `values`.

    Neither has a hook or a replaced forward, the norm is in training mode, values `[T, B, C, H, W]` are float32 with
    channels last, and the number of channels divides a block.

    Args:
        norm: the norm; None if there is none.
        neurons: the neurons after it; None if there are none.
        values: `[T, B, C, H, W]`.
    """
    return (
        type(norm) is nn.BatchNorm2d
        and type(neurons) is LoihiLeaky
        and norm.training
        and norm.affine
        and norm.track_running_stats
        and neurons.numerics == "float"
        and not any(_changed(module) for module in (norm, neurons))
        and compiles(values)
        and BLOCK % values.shape[2] == 0
        and values.stride(2) == 1
        and not torch.is_autocast_enabled(values.device.type)
    )


def _changed(module: nn.Module) -> bool:
    return "forward" in vars(module) or bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )


def fused_norm_lif(
    norm: nn.Module | None, neurons: nn.Module, values: Tensor, *, reset_mem: bool = True
) -> tuple[Tensor, Tensor]:
    """Spikes and membranes after reset, both `[T, B, C, H, W]`; the norm's running statistics are updated as in torch.

    Args:
        norm: batch norm.
        neurons: leaky neurons.
        values: `[T, B, C, H, W]`, for which `can_fuse` is true.
        reset_mem: False returns an empty tensor of membranes.
    """
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(neurons, LoihiLeaky)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    mean, variance = statistics(values.detach())
    count = values.numel() // values.shape[2]
    with torch.no_grad():
        norm.num_batches_tracked += 1
        share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(torch.from_numpy(mean).float(), share)
        norm.running_var.lerp_(torch.from_numpy(variance * (count / max(count - 1, 1))).float(), share)
    scale = 1 / np.sqrt(variance + norm.eps)
    numbers = (mean, scale, float(neurons.beta), float(neurons.threshold))
    return _FusedNormLeaky.apply(values, norm.weight, norm.bias, numbers, reset_mem)


def statistics(values: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance of each channel.

    Args:
        values: `[T, B, C, H, W]`.

    Returns:
        Mean and variance, float64 `[C]`.
    """
    channels = values.shape[2]
    flat = rows(values)
    found = _blocks(flat)
    run(kernels.sums_of, flat, *found)
    count = values.numel() // channels
    mean, square = (_by_channel(sums, channels) / count for sums in found)
    return mean, np.maximum(square - mean * mean, 0)


class _FusedNormLeaky(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, weight: Tensor, bias: Tensor, numbers: tuple[Any, ...], wanted: bool
    ) -> tuple[Tensor, Tensor]:
        mean, scale, beta, threshold = numbers
        gain = weight.detach().double().numpy() * scale
        ctx.tiles = _tile(gain), _tile(bias.detach().double().numpy() - mean * gain)
        ctx.numbers = mean, scale, gain, np.float32(beta), np.float32(threshold)
        spikes = torch.empty_like(values)
        reset_mem = torch.empty_like(values) if wanted else values.new_empty(0)
        held = rows(reset_mem) if wanted else np.empty((0, 0), np.float32)
        run(kernels.integrate, rows(values), *ctx.tiles, *ctx.numbers[3:], rows(spikes), held)
        ctx.save_for_backward(values)
        ctx.set_materialize_grads(False)
        return spikes, reset_mem

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_spk: Tensor | None, grad_reset_mem: Tensor | None) -> tuple[Tensor | None, ...]:
        """As `leaky._LeakyFunction.backward`, and with y = w xhat + b, xhat = (x - mean) s over n values:

        dL/db = sum dy, dL/dw = sum dy xhat, dL/dx = w s (dy - dL/db / n - xhat dL/dw / n).
        """
        (values,) = ctx.saved_tensors
        mean, scale, gain, beta, threshold = ctx.numbers
        channels, flat = values.shape[2], rows(values)
        gradient, found = torch.empty_like(values), _blocks(flat)
        given = [rows_like(of, values) for of in (grad_spk, grad_reset_mem)]
        of_currents = rows(gradient)
        run(
            kernels.gradients, flat, *ctx.tiles, beta, threshold, np.float32(SLOPE), *given, of_currents, *found,
        )  # fmt: skip
        total, product = (_by_channel(sums, channels) for sums in found)
        of_weight = (product - mean * total) * scale
        count = values.numel() // channels
        slope = -gain * scale * of_weight / count
        parts = gain, slope, -gain * total / count - mean * slope
        run(kernels.combine, flat, of_currents, *map(_tile, parts))
        return gradient, _like(of_weight, values), _like(total, values), None, None


def _blocks(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shape = (-(-flat.shape[1] // BLOCK), BLOCK)
    return np.empty(shape), np.empty(shape)


def _by_channel(sums: np.ndarray, channels: int) -> np.ndarray:
    return sums.sum(0).reshape(-1, channels).sum(0)


def _tile(numbers: np.ndarray) -> np.ndarray:
    return np.tile(numbers.astype(np.float32), BLOCK // len(numbers))


def _like(numbers: np.ndarray, values: Tensor) -> Tensor:
    return torch.from_numpy(numbers).to(values.dtype)
