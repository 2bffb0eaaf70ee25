"""Functions that networks call between their modules, as modules that have a place on the chip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.export.frontends.wiring import Sum

ADAPTIVE_POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
CONCATENATIONS = ("cat", "concat", "concatenate")
# their results do not depend on the values of the tensor
CONSTANTS = frozenset((
    "zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "new_zeros", "new_ones",
    "new_empty", "new_full", "new_tensor",
))  # fmt: skip
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

    Args:
        name: name of the module, for the error.
        module: the adaptive pool.
        entering: its input, `[B, C, H, W]` or `[B, C, N]`.
        result: its output.

    Raises:
        UserError: its windows differ in size.
    """
    kernel = []
    axes = 1 if isinstance(module, (nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d)) else 2
    for size, out in zip(entering.shape[-axes:], result.shape[-axes:], strict=True):
        if size % out:
            raise UserError(
                f"{type(module).__name__} makes {out} places of {size}", where=name,
                cause="its windows differ in size", hint="use AvgPool2d, or a size that is a multiple",
            )  # fmt: skip
        kernel.append(size // out)
    average = isinstance(module, (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d))
    if axes == 1:
        return (nn.AvgPool1d if average else nn.MaxPool1d)(kernel[0])
    return (nn.AvgPool2d if average else nn.MaxPool2d)((kernel[0], kernel[1]))


def concatenated_axis(args: tuple[Any, ...], kwargs: Mapping[str, Any], first: Tensor) -> int:
    """The axis of a concatenation, not negative.

    Args:
        args: its arguments.
        kwargs: its arguments by name.
        first: the first tensor.
    """
    axis = kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else 0))
    return int(axis) % first.ndim


def _max_pool(args: tuple[Any, ...], kwargs: Mapping[str, Any], first: Tensor, result: Tensor) -> nn.Module | None:
    """`max_pool1d` or `max_pool2d`, which torch calls by one name."""
    keys = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    return _pool(nn.MaxPool1d if first.ndim == 3 else nn.MaxPool2d, keys)(args, kwargs, first, result)


def _adaptive(kind: type[nn.Module]) -> Callable[..., nn.Module | None]:
    def make(args: tuple[Any, ...], kwargs: Mapping[str, Any], first: Tensor, result: Tensor) -> nn.Module | None:
        return fixed_pool(kind.__name__, kind(1), first, result)

    return make


def same_sample(name: str, first: Tensor, result: Any) -> bool:
    """Whether a function picks the only time step of a recording, or adds an axis: `x[0]`, `unsqueeze`.

    Args:
        name: its name.
        first: the tensor that it takes.
        result: what it returns.
    """
    if name in ("__getitem__", "select", "unsqueeze", "squeeze", "unbind"):
        tensors = result if isinstance(result, (tuple, list)) else (result,)
        return all(isinstance(each, Tensor) and each.numel() == first.numel() for each in tensors)
    return False


FUNCTIONS: dict[str, Callable[..., nn.Module | None]] = {
    "max_pool1d": _max_pool,
    "_max_pool1d": _max_pool,
    "max_pool2d": _max_pool,
    "_max_pool2d": _max_pool,
    "boolean_dispatch": _max_pool,
    "avg_pool1d": _pool(nn.AvgPool1d, ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")),
    "adaptive_avg_pool1d": _adaptive(nn.AdaptiveAvgPool1d),
    "adaptive_avg_pool2d": _adaptive(nn.AdaptiveAvgPool2d),
    "adaptive_max_pool1d": _adaptive(nn.AdaptiveMaxPool1d),
    "adaptive_max_pool2d": _adaptive(nn.AdaptiveMaxPool2d),
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
