"""Memory layout of a simulation's output, chunk sizes for a memory budget, and checks of the frames."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.network.fixed_point import BIAS_LIMIT
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.neurons.sigma_delta import VALUE_LIMIT
from spikeport.export.network.spike_trace import LayerCounts, SpikeTrace

COUNTS = tuple(LayerCounts.__dataclass_fields__)  # in the order of kernels.EVENTS_IN and on
DEFAULT_SHARE = 4  # the default budget is the free memory over this number
DEFAULT_MOST = 4 << 30
CHUNK_BYTES = 64 << 20  # larger chunks are not faster, and progress is reported after each


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Output of `n` samples, zero until an engine writes it.

    Attributes:
        spikes: uint8 `[n, entries]`, or int32 for the values of a sigma-delta network; in a row, `[T, neurons]` of each
            layer that is kept, one after the other.
        membrane: int32 `[n, T, K]`; of size 0 if the membrane is not the read-out.
        counts: int64 `[n, T, 6, L]`, or `[n, 1, 6, L]` summed over time.
    """

    spikes: np.ndarray
    membrane: np.ndarray
    counts: np.ndarray

    def part(self, rows: slice) -> Rows:
        """A view of some rows; the memory is shared.

        Args:
            rows: the samples.
        """
        membrane = self.membrane[rows] if self.membrane.size else self.membrane
        return Rows(spikes=self.spikes[rows], membrane=membrane, counts=self.counts[rows])


@dataclass(frozen=True)
class Layout:
    """Layout of the output that is stored for each sample.

    Attributes:
        network: the network.
        steps: time steps of a sample.
        keep_layers: whether the spikes of every layer are kept, or the output alone.
        per_step: whether counts are kept for each time step.
    """

    network: IntegerNetwork
    steps: int
    keep_layers: bool
    per_step: bool = False

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Entry at which each layer's spikes begin in a row, -1 if they are not kept."""
        last, at, starts = len(self.network.layers) - 1, 0, []
        for index, layer in enumerate(self.network.layers):
            stored = self.keep_layers or index == last
            starts.append(at if stored else -1)
            at += self.steps * layer.neurons * stored
        return tuple(starts)

    @property
    def entries(self) -> int:
        """Spikes, or values, in a row."""
        return self.starts[-1] + self.steps * self.network.layers[-1].neurons

    @property
    def reads_membrane(self) -> bool:
        """Whether the membrane is the read-out."""
        return self.network.readout.kind == "membrane"

    @property
    def sample_bytes(self) -> int:
        """Memory of one sample's output."""
        membrane = 4 * self.steps * self.network.layers[-1].neurons * self.reads_membrane
        counted = self.count_steps + self.per_step  # counts of each time step, and their sum
        held = self.entries * (5 if self.network.sends_values else 1)  # values of 4 bytes, and where they are not 0
        return held + membrane + 8 * counted * len(COUNTS) * len(self.network.layers)

    @property
    def count_steps(self) -> int:
        """Number of time steps with counts of their own."""
        return self.steps if self.per_step else 1

    def rows(self, samples: int) -> Rows:
        """Zeros for the output of `samples` samples.

        Args:
            samples: number of samples.
        """
        shape = (samples, self.steps, self.network.layers[-1].neurons) if self.reads_membrane else (0, 0, 0)
        return Rows(
            spikes=np.zeros((samples, self.entries), np.int32 if self.network.sends_values else np.uint8),
            membrane=np.zeros(shape, np.int32),
            counts=np.zeros((samples, self.count_steps, len(COUNTS), len(self.network.layers)), np.int64),
        )

    def layer(self, rows: Rows, index: int) -> np.ndarray:
        """A view of the spikes `[n, T, *shape]` of a layer that is kept.

        Args:
            rows: the output of samples.
            index: index of the layer.
        """
        layer, start = self.network.layers[index], self.starts[index]
        part = rows.spikes[:, start : start + self.steps * layer.neurons]
        return part.reshape(len(part), self.steps, *layer.output_shape)

    def trace(self, rows: Rows) -> SpikeTrace:
        """The output as a spike trace; its arrays share memory with `rows`.

        Args:
            rows: the output of samples.
        """
        last = len(self.network.layers) - 1
        layers = tuple(self.layer(rows, index) for index in range(last + 1)) if self.keep_layers else None
        output = self.layer(rows, last).reshape(len(rows.spikes), self.steps, self.network.layers[last].neurons)
        values = self.network.sends_values
        return SpikeTrace(
            backend="reference",
            spikes=(output != 0).astype(np.uint8) if values else output,
            counts=_named(rows.counts.sum(axis=1) if self.per_step else rows.counts[:, 0]),
            step_counts=_named(rows.counts) if self.per_step else None,
            layer_spikes=None if values else layers,
            values=output if values else None,
            layer_values=layers if values else None,
            membrane=rows.membrane if self.reads_membrane else None,
        )


def _named(counts: np.ndarray) -> LayerCounts:
    """Counts `[..., 6, L]` by name."""
    return LayerCounts(**{key: counts[..., index, :] for index, key in enumerate(COUNTS)})


def default_memory() -> int:
    """A quarter of the free memory, at most 4 GiB."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4 * DEFAULT_MOST
    try:
        with open("/proc/meminfo") as lines:  # memory that the system can reclaim counts as free
            free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError, IndexError):
        pass
    return min(free // DEFAULT_SHARE, DEFAULT_MOST)


def chunk_size(budget: int, held: int, per_sample: int, samples: int) -> int:
    """Number of samples for which `budget` bytes suffice.

    Args:
        budget: bytes in all.
        held: bytes that are needed whatever the number of samples.
        per_sample: bytes for each sample.
        samples: number of samples in all.

    Raises:
        UserError: the budget does not suffice for one sample.
    """
    fit = (budget - held) // max(per_sample, 1)
    if fit < 1 and samples:
        raise UserError(
            f"a memory budget of {_mib(budget)} is too small",
            cause=f"the output and tables take {_mib(held)}, and each sample at work {_mib(per_sample)} more",
            hint="allow more memory, simulate fewer samples or keep fewer layers; iter_simulate holds no output",
        )
    return max(1, min(fit, CHUNK_BYTES // max(per_sample, 1), samples))


def read_chunks(network: IntegerNetwork, frames: Any, size: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Reads frames in chunks of samples and checks them.

    Args:
        network: the network that will run.
        frames: `[N, T, *input_shape]`, anything that is sliced by samples.
        size: number of samples in a chunk.

    Yields:
        (rows, frames): writable uint8 `[n, T, inputs]`; int32 for a sigma-delta network.

    Raises:
        UserError: a sample is not a legal input of the network.
    """
    samples, steps = frames.shape[:2]
    for start in range(0, samples, size):
        rows = slice(start, min(start + size, samples))
        chunk = np.asarray(frames[rows])
        taken = (_as_values if network.sends_values else _as_bytes)(network, chunk, start)
        _forget(getattr(frames, "stored", frames), rows)
        del chunk
        yield rows, taken.reshape(len(taken), steps, int(np.prod(network.input_shape)))


def _as_bytes(network: IntegerNetwork, chunk: np.ndarray, start: int) -> np.ndarray:
    limit = network.input_limit
    if chunk.dtype == bool:
        chunk = chunk.view(np.uint8)
    if chunk.dtype.kind not in "uif":
        raise UserError(f"frames of {chunk.dtype} are not numbers", where="frames")
    signed = chunk.dtype != np.uint8
    if chunk.size and (chunk.max() > limit or (signed and not chunk.min() >= 0)):  # not: NaN is refused too
        beyond = ~((chunk >= 0) & (chunk <= limit))
        _refuse(beyond, chunk, start, f"outside 0..{limit}", network)
    # numba would compile its loops a second time for read-only arrays.
    taken = np.require(chunk, np.uint8, ["C", "W"]) if chunk.dtype == np.uint8 else chunk.astype(np.uint8)
    if chunk.dtype.kind == "f" and not np.array_equal(taken, chunk):
        _refuse(taken != chunk, chunk, start, "not an integer", network)
    return taken


def _as_values(network: IntegerNetwork, chunk: np.ndarray, start: int) -> np.ndarray:
    if chunk.dtype.kind not in "buif":
        raise UserError(f"frames of {chunk.dtype} are not numbers", where="frames")
    low, high = network.input_lowest, network.input_limit
    within = (chunk >= low) & (chunk <= high)
    if not within.all():
        _refuse(~within, chunk, start, f"outside {low}..{high}", network)
    taken = chunk.astype(np.int32)
    if not np.array_equal(taken, chunk):
        _refuse(taken != chunk, chunk, start, "not an integer", network)
    return taken


def _refuse(beyond: np.ndarray, chunk: np.ndarray, start: int, what: str, network: IntegerNetwork) -> None:
    sample = int(np.argmax(beyond.reshape(len(beyond), -1).any(axis=1)))
    value = chunk[sample][beyond[sample]].flat[0]
    raise UserError(
        f"sample {start + sample} holds {value}, which is {what}",
        where="frames",
        cause=_why(network),
        hint="make frames of 0 and 1" if network.input_limit == 1 else "scale, round or clip the frames",
    )


def _why(network: IntegerNetwork) -> str:
    if network.layers[0].kind == "input":
        most = VALUE_LIMIT if network.sends_values else BIAS_LIMIT
        return f"input x drives {network.layers[0].name} by weight x + bias, at most {most} on the chip"
    if network.sends_values:
        return "messages are integers of 16 bits with a sign"
    return "inputs are spikes" if network.input_limit == 1 else "the network's inputs have that many bits"


def _forget(stored: Any, rows: slice) -> None:
    """Releases the pages of a memory-mapped file that were read; they would count as memory of this process."""
    mapped = getattr(stored, "_mmap", None)
    if not isinstance(mapped, mmap.mmap) or getattr(stored, "mode", "") != "r" or not hasattr(mmap, "MADV_DONTNEED"):
        return
    base = np.frombuffer(mapped, np.uint8).__array_interface__["data"][0]
    first, last = np.lib.array_utils.byte_bounds(stored[rows])
    page = mmap.ALLOCATIONGRANULARITY
    begin, end = (first - base) // page * page, min(-(-(last - base) // page) * page, len(mapped))
    if 0 <= begin < end:
        mapped.madvise(mmap.MADV_DONTNEED, begin, end - begin)


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"
