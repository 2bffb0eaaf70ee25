"""How the forward of a network is run, and which of the tensors that it returns are its outputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class ForwardRun:
    """How a network was run to read its modules.

    Attributes:
        takes_recording: whether its forward takes a recording `[T, B, ...]`; else one time step `[B, ...]`.
        returned: for each output, the tensors that hold it, by their place in `tensors_of` the result; several where
            the network repeats its input over steps of its own and returns a list of them.
        count: number of tensors that one step returned; 0: not known.
        membrane: whether the outputs are membranes, else spikes or currents.
    """

    takes_recording: bool
    returned: tuple[tuple[int, ...], ...]
    count: int
    membrane: bool


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Puts a network into eval mode, and each of its modules back into the mode that it had.

    Args:
        model: the network.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def tensors_of(result: Any) -> list[Tensor]:
    """The tensors that a forward returns, in order.

    Args:
        result: a tensor, or nested lists and tuples.
    """
    return [each for each in flat(result) if isinstance(each, Tensor)]


def flat(values: Any) -> Iterator[Any]:
    """The items of nested lists and tuples.

    Args:
        values: the lists, or a single item.
    """
    if isinstance(values, (tuple, list)):
        for each in values:
            yield from flat(each)
    else:
        yield values
