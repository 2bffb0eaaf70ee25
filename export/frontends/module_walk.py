"""Lists the modules of an nn.Sequential in the order of execution."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import snntorch
from torch import nn

from spikeport.errors import UserError

Named = list[tuple[str, nn.Module]]
WHOLE = "hand over the nn.Sequential itself, or pairs (name, module) in the order in which they run"
SKIPPED = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)


def named_modules(modules: nn.Module | Iterable[tuple[str, nn.Module]]) -> Named:
    """Lists modules in the order of execution. Modules of a nested Sequential are named `outer.inner`.

    A module that is used twice is listed twice; torch's `named_children` would list it once.

    Args:
        modules: an nn.Sequential, or pairs (name, module) in the order of execution.

    Returns:
        Pairs (name, module).

    Raises:
        UserError: `modules` is something else, a Sequential has its own forward or hooks, or a neuron is used twice,
            so that both places would share one membrane.
    """
    if isinstance(modules, nn.Module):
        if not isinstance(modules, nn.Sequential):
            raise UserError(
                f"a {type(modules).__name__} is not an nn.Sequential", cause="what its forward does is not known",
                hint=WHOLE,
            )  # fmt: skip
        named = list(_inside("", modules))
    else:
        named = [each for index, item in enumerate(_items(modules)) for each in _pair(index, item)]
    first: dict[int, str] = {}
    for name, module in named:
        if isinstance(module, snntorch.SpikingNeuron) and id(module) in first:
            raise UserError(
                f"is the same {type(module).__name__} as {first[id(module)]!r}", where=name,
                cause="snnTorch keeps one membrane for both, on the chip each layer has its own",
                hint="give each place a neuron of its own and train again",
            )  # fmt: skip
        first.setdefault(id(module), name)
    return named


def _items(modules: Any) -> Iterator[Any]:
    try:
        yield from modules
    except TypeError:
        raise UserError(f"a {type(modules).__name__} holds no modules", hint=WHOLE) from None


def _pair(index: int, item: Any) -> Iterator[tuple[str, nn.Module]]:
    pair = isinstance(item, (tuple, list)) and len(item) == 2
    if not pair or not isinstance(item[0], str) or not isinstance(item[1], nn.Module):
        raise UserError(f"item {index} is a {type(item).__name__}, no pair of a name and a module", hint=WHOLE)
    name, module = item
    if isinstance(module, nn.Sequential):
        yield from _inside(f"{name}.", module)
    else:
        yield name, module


def _inside(path: str, sequential: nn.Sequential) -> Iterator[tuple[str, nn.Module]]:
    where = path.removesuffix(".") or type(sequential).__name__
    if type(sequential).forward is not nn.Sequential.forward:
        raise UserError(
            f"{type(sequential).__name__} has a forward of its own, whose effect is unknown", where=where,
            hint="hand over pairs (name, module) in the order in which it runs them",
        )  # fmt: skip
    if sequential._forward_pre_hooks or sequential._forward_hooks:
        raise UserError("it has forward hooks, whose effect is unknown", where=where, hint="remove them")
    for name, module in sequential._modules.items():  # `named_children` would skip repeated modules
        assert module is not None
        if isinstance(module, nn.Sequential):
            yield from _inside(f"{path}{name}.", module)
        else:
            yield f"{path}{name}", module
