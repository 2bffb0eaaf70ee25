"""Groups of rows with a weight scale of their own, for layers in which few rows have much larger weights.

A layer on the chip has one scale, that of its largest weight. Rows in layers of their own have their own scales. Relays
stand beside them, whose weight must be above the threshold, so that no scale is finer than this weight allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import nir
import numpy as np

from spikeport.errors import UserError
from spikeport.export.graph.parameters import per_row
from spikeport.export.lowering.branches.populations import Population, scale_of
from spikeport.export.lowering.branches.relays import ABOVE, divisor_of
from spikeport.export.network.fixed_point import BIAS_LIMIT, WEIGHT_LIMIT

GROUPS_LIMIT = 16
PER_OCTAVE = 16  # sizes of rows are told apart by factors of 2^(1/16)

RowScales = int | Mapping[str, int]


def asked_of(
    found: Mapping[str, Population], asked: RowScales, scales: Mapping[str, float], whole: set[str]
) -> tuple[dict[str, int], list[str]]:
    """Groups of rows of each population, and notes on what a request does not reach.

    Args:
        found: the populations by name.
        asked: groups of rows of every layer, or by name of a layer's weights or neurons.
        scales: scales of weight nodes that are on an integer grid already.
        whole: names of populations that stay as they are, since their membranes are read out.

    Raises:
        UserError: a number is not possible, a name is unknown, or rows of the named layer cannot be apart.
    """
    _check(asked)
    neurons = {name: p for name, p in found.items() if p.neuron is not None}
    if isinstance(asked, int):
        faults = {name: _fault(p, scales, whole) for name, p in neurons.items()} if asked > 1 else {}
        counts = {name: asked for name, fault in faults.items() if fault is None}
        return counts, [f"{name}: one row scale, since it {fault[0]}" for name, fault in faults.items() if fault]
    counts = {}
    for name, count in asked.items():
        owners = [each for each, p in neurons.items() if name in (each, *(path.weights for path in p.paths))]
        if not owners:
            raise UserError(f"row scales were asked for {name!r}, which is not a layer",
                            hint=f"layers are {', '.join(neurons)}")  # fmt: skip
        for owner in owners:
            if count > 1 and (fault := _fault(neurons[owner], scales, whole)):
                raise UserError(f"rows cannot have scales of their own: it {fault[0]}", where=name, cause=fault[1],
                                hint="leave this layer out; --clones makes its weights finer")  # fmt: skip
            counts[owner] = count
    return counts, []


def refuse_delays(graph: nir.NIRGraph, asked: RowScales) -> None:
    """Checks that a graph whose rows get scales of their own has no delays.

    Args:
        graph: the graph.
        asked: as for `asked_of`.

    Raises:
        UserError: it has one, and row scales were asked for.
    """
    delay = next((name for name, node in graph.nodes.items() if isinstance(node, nir.Delay)), None)
    if asked != 1 and delay is not None:
        raise UserError("row scales were asked for in a network with delays", where=delay,
                        cause="rows in layers of their own need relays, which would have delays of their own",
                        hint="leave the row scales out; --clones makes weights finer")  # fmt: skip


def whole_words(names: Sequence[str]) -> list[str]:
    """A note on populations that row scales would not make finer; none without such populations.

    Args:
        names: their names.
    """
    return [f"one row scale, since more would not be finer beside relays: {', '.join(names)}"] if names else []


def row_groups(p: Population, count: int) -> np.ndarray | None:
    """The group of each neuron, int64 of the population's shape; None where groups would not make a weight finer.

    The sum over rows of the squared rounding step is the least that `count` groups can have.

    Args:
        p: the population.
        count: groups at most.
    """
    sizes, level = _sizes(p)
    steps = np.maximum(sizes, ABOVE * level)  # the largest weight of a row's layer beside relays
    octaves = np.ceil(PER_OCTAVE * np.log2(steps)).astype(np.int64)
    values, group_of, numbers = np.unique(octaves, return_inverse=True, return_counts=True)
    error, ends = _best(values / PER_OCTAVE, numbers, count)
    if not error < len(sizes) * sizes.max() ** 2 * 2 ** (-2 / PER_OCTAVE):
        return None
    groups = np.searchsorted(ends, group_of.ravel(), side="left")
    channel = np.repeat(groups, int(np.prod(p.shape)) // len(groups))
    return channel.reshape(p.shape)


def _check(asked: RowScales) -> None:
    for count in (asked,) if isinstance(asked, int) else asked.values():
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= GROUPS_LIMIT:
            raise UserError(f"{count!r} row scales are not possible", hint=f"use 1 to {GROUPS_LIMIT}")


def _fault(p: Population, scales: Mapping[str, float], whole: set[str]) -> tuple[str, str] | None:
    """(why rows of a population cannot be in different layers, the cause)."""
    assert p.neuron is not None
    if p.step is None or p.name in whole:
        return "is read out by its voltage", "one layer holds all voltages that are read"
    if scale_of(p, scales) is not None:
        return "is quantized already", "row scales make weights finer that are rounded"
    if p.neuron.recurrence:
        return "has recurrent weights", "netx leads spikes back to their own layer only"
    if np.any(np.asarray(p.step.i_decay) != 1):
        return "has a current that lasts", "a relay beside such neurons would fire more than once"
    return None


def _sizes(p: Population) -> tuple[np.ndarray, float]:
    """(largest weight of each row, or bias in the same measure; threshold), where rows share the largest threshold."""
    assert p.step is not None
    on_grid = len(p.shape) == 3 and all(path.layer.kind == "conv" for path in p.paths)
    rows = p.shape[0] if on_grid else int(np.prod(p.shape))
    threshold = divisor_of(p) * _by_row(p.step.threshold, p, rows)
    gain = np.abs(_by_row(p.step.gain, p, rows))
    weight, bias = np.zeros(rows), divisor_of(p) * np.abs(_by_row(p.step.drive, p, rows))
    for path in p.paths:
        factor = gain * np.abs(_by_row(path.layer.gain, p, rows)) * divisor_of(p) / path.layer.divisor
        own, constant = (np.abs(each).reshape(len(each), -1) for each in (path.layer.weight, path.layer.bias))
        repeats = rows // len(own)
        weight = np.maximum(weight, factor * np.repeat(own.max(axis=1), repeats))
        bias = bias + factor * np.repeat(constant.max(axis=1), rows // len(constant))
    level = float(threshold.max())
    sizes = level / threshold * np.maximum(weight, bias * WEIGHT_LIMIT / BIAS_LIMIT)
    return sizes, level


def _by_row(value: float | np.ndarray, p: Population, rows: int) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        return np.full(rows, float(array))
    if array.size == rows:
        return array.ravel()
    found = per_row(array, p.shape)
    return np.abs(array).reshape(rows, -1).max(axis=1) if found is None else np.repeat(found, rows // len(found))


def _best(octaves: np.ndarray, numbers: np.ndarray, count: int) -> tuple[float, np.ndarray]:
    """(least error, last index of each group) of sorted sizes in at most `count` groups, by dynamic programming."""
    total = np.concatenate([[0], np.cumsum(numbers)])
    size = len(octaves)
    cost = np.where(
        np.arange(size + 1)[:, None] < np.arange(size + 1),
        (total - total[:, None]) * np.concatenate([[0.0], 4.0**octaves]),
        np.inf,
    )
    best, choices = cost[0].copy(), []
    best[0] = 0.0
    for _ in range(min(count, size) - 1):
        tried = best[:, None] + cost
        tried[np.arange(size + 1), np.arange(size + 1)] = best  # a group without rows
        choices.append(tried.argmin(axis=0))
        best = tried.min(axis=0)
    ends, end = [size], size
    for choice in reversed(choices):
        end = int(choice[end])
        ends.append(end)
    found = np.unique([each - 1 for each in ends if each > 0])
    return float(best[size]), found
