"""Mixed precision: convolutions and dense layers in 16 bits, neurons and losses in float32."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from torch import Tensor, nn

from spikeport.pipeline.models.neurons.base import LoihiNeuron
from spikeport.pipeline.models.sync_batch_norm import replace_forwards

TYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class _Scaled(MixedPrecision):
    """Loss scaling against underflow of float16 gradients; `autocast_forwards` says what runs in 16 bits."""

    @contextlib.contextmanager
    def forward_context(self) -> Iterator[None]:
        yield


def precision_plugin(precision: str, device: str) -> Precision:
    """Lightning's plugin: the scaler of losses for float16, nothing for other precisions.

    Args:
        precision: `training.precision` of the recipe.
        device: type of the device, such as "cuda".
    """
    return _Scaled("16-mixed", device) if precision == "16-mixed" else Precision()


@contextlib.contextmanager
def autocast_forwards(model: nn.Module, precision: str, device: str) -> Iterator[None]:
    """A context in which the training forwards of a network run under autocast.

    Neurons compute in float32, and so are the outputs. Forwards in eval mode do not change. A student in Loihi numerics
    does not change: its sums are integers that 16 bits do not hold.

    Args:
        model: the network.
        precision: "32", "bf16-mixed" or "16-mixed".
        device: "cpu" or "cuda".
    """
    neurons = [module for module in model.modules() if isinstance(module, LoihiNeuron)]
    if precision not in TYPES or any(neuron.numerics == "loihi" for neuron in neurons):
        yield
        return
    forwards: dict[nn.Module, Callable] = {neuron: _to_float32(neuron.forward, device) for neuron in neurons}
    forwards[model] = _autocast(model, TYPES[precision], device)
    with replace_forwards(forwards):
        yield


def _autocast(model: nn.Module, dtype: torch.dtype, device: str) -> Callable:
    forward = model.forward

    def autocast(*arguments: Any, **named: Any) -> Any:
        if not model.training:
            return forward(*arguments, **named)
        with torch.autocast(device, dtype=dtype):
            return _as_float32(forward(*arguments, **named))

    return autocast


def _to_float32(forward: Callable, device: str) -> Callable:
    def to_float32(currents: Tensor, *arguments: Any) -> Any:
        with torch.autocast(device, enabled=False):
            return forward(currents.float(), *arguments)

    return to_float32


def _as_float32(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _as_float32(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    if isinstance(value, (list, tuple)):
        return type(value)(_as_float32(entry) for entry in value)
    return value
