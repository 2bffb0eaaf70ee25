"""Functions that networks call between their modules, as modules that have a place on the chip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from spikeport.errors import UserError


class Sum(nn.Module):
    """An addition of signals, in the wiring a list of sources."""


PASSED_ON = frozenset((
    "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout", "contiguous", "clone",
    "detach", "to", "float", "double", "type", "cpu", "cuda", "requires_grad_", "expand_as",
))  # fmt: skip


def _pool(kind: type[nn.Module], keys: tuple[str, ...]) -> Callable[..., nn.Module | None]:
    def make(args: tuple[Any, ...], kwargs: Mapping[str, Any], first: Tensor, result: Tensor) -> nn.Module | None:
        given = dict(zip(keys, args[1:], strict=False)) | {key: value for key, value in kwargs.items() if key in keys}
        if given.get("stride") in (None, [], ()):
            given.pop("stride", None)
        return kind(**given)

    return make


def _flatten(args: tuple[Any, ...], kwargs: Mapping[str, Any], first: Tensor, result: Tensor) -> nn.Module | None:
    """`flatten`, `view` and `reshape` that merge all axes behind the batch, or change nothing."""
    if tuple(result.shape) == tuple(first.shape):
        return nn.Identity()
    whole = result.ndim == 2 and len(result) == len(first) and first.ndim > 2
    return nn.Flatten() if whole else None


def _sum(args: tuple[Any, ...], kwargs: Mapping[str, Any], first: Tensor, result: Tensor) -> nn.Module | None:
    """An addition of two signals of one shape, without a factor."""
    tensors = [each for each in args if isinstance(each, Tensor)]
    plain = kwargs.get("alpha", 1) == 1 and len(tensors) == 2
    return Sum() if plain and tensors[0].shape == tensors[1].shape == result.shape else None


def fixed_pool(name: str, module: nn.Module, entering: Tensor, result: Tensor) -> nn.Module:
    """An adaptive pool as the pool that it is for this size of input.

    Raises:
        UserError: its windows differ in size.
    """
    kernel = []
    for size, out in zip(entering.shape[-2:], result.shape[-2:], strict=True):
        if size % out:
            raise UserError(
                f"{type(module).__name__} makes {out} places of {size}", where=name,
                cause="its windows differ in size", hint="use AvgPool2d, or a size that is a multiple",
            )  # fmt: skip
        kernel.append(size // out)
    return (nn.AvgPool2d if isinstance(module, nn.AdaptiveAvgPool2d) else nn.MaxPool2d)((kernel[0], kernel[1]))


FUNCTIONS: dict[str, Callable[..., nn.Module | None]] = {
    "max_pool2d": _pool(nn.MaxPool2d, ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")),
    "_max_pool2d": _pool(nn.MaxPool2d, ("kernel_size", "stride", "padding", "dilation", "ceil_mode")),
    "boolean_dispatch": _pool(nn.MaxPool2d, ("kernel_size", "stride", "padding", "dilation", "ceil_mode")),
    "avg_pool2d": _pool(
        nn.AvgPool2d, ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
    ),
    "relu": lambda *_: nn.ReLU(),
    "flatten": _flatten,
    "view": _flatten,
    "reshape": _flatten,
    "add": _sum,
    "__add__": _sum,
    "__radd__": _sum,
    "add_": _sum,
    "__iadd__": _sum,
}
