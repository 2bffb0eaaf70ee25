"""The integer reference: netx's dynamics, bit for bit, over whole sets of samples.

Time is logical: a layer's spikes belong to the time step of its input, and netx's latency is left out. Two engines give
the same integers: `events` (compiled loops over events, on the CPU) and `dense` (torch, on any device, any network).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from spikeport.errors import MissingDependencyError, UserError
from spikeport.export.backends.reference import events
from spikeport.export.backends.reference.storage import COUNTS, Layout, Rows, chunk_size, default_memory, read_chunks
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.progress import Progress

Engine = Literal["auto", "events", "dense"]


def simulate(
    network: IntegerNetwork,
    frames: Any,
    *,
    keep_layers: bool = False,
    per_step: bool = False,
    memory_bytes: int | None = None,
    device: str = "cpu",
    engine: Engine = "auto",
    progress: Progress | None = None,
) -> SpikeTrace:
    """Runs every sample from a state of zero.

    Source of the dynamics: lava-nc 0.10.0, lif/models.py, dense/models.py, conv/models.py.

    Counts: a synaptic operation is counted in the time step in which the synapse receives the event. Delays therefore
    change only the time steps in which neurons are updated actively. A layer receives its own spikes one step later;
    those of the last step are not received. An input layer has no synapses, and its updates are active where its drive
    is not zero.

    Args:
        network: the network to run.
        frames: `[N, T, *input_shape]`, whole values from 0 to `network.input_limit`: an array, a memory map, or
            anything else that is sliced by samples. It is read chunk by chunk.
        keep_layers: whether the trace holds the spikes of every layer.
        per_step: whether the trace holds the counts of every time step.
        memory_bytes: memory for output and work; None: a quarter of the free memory, at most 4 GiB.
        device: "cpu", "cuda" or "cuda:N".
        engine: "events", "dense", or "auto" for the faster one that can run the network.
        progress: called with (samples done, samples in all) after each chunk.

    Returns:
        Output spikes, exact counts, and membranes if they are the read-out.

    Raises:
        UserError: a sample is not a legal input, or memory does not suffice for one sample.
    """
    layout = Layout(network, int(frames.shape[1]), keep_layers, per_step)
    samples = int(frames.shape[0])
    runner = _engine(layout, engine, device)
    held = layout.sample_bytes * samples + runner.fixed_bytes
    size = chunk_size(_budget(memory_bytes), held, _input_bytes(network, frames) + runner.work_bytes, samples)
    rows = layout.rows(samples)
    for part, chunk in read_chunks(network, frames, size):
        runner.run(chunk, rows.part(part))
        if progress:
            progress(part.stop, samples)
    _warn_if_fired(network, rows)
    return layout.trace(rows)


def iter_simulate(
    network: IntegerNetwork,
    frames: Any,
    *,
    keep_layers: bool = False,
    per_step: bool = False,
    memory_bytes: int | None = None,
    device: str = "cpu",
    engine: Engine = "auto",
) -> Iterator[tuple[slice, SpikeTrace]]:
    """Simulates in chunks, for data sets whose output does not fit in memory.

    Args:
        network, frames, keep_layers, per_step, memory_bytes, device, engine: as for `simulate`.

    Yields:
        (rows, trace) of each chunk of samples.
    """
    layout = Layout(network, int(frames.shape[1]), keep_layers, per_step)
    samples = int(frames.shape[0])
    runner = _engine(layout, engine, device)
    per_sample = layout.sample_bytes + _input_bytes(network, frames) + runner.work_bytes
    size = chunk_size(_budget(memory_bytes), runner.fixed_bytes, per_sample, samples)
    for part, chunk in read_chunks(network, frames, size):
        rows = layout.rows(len(chunk))
        runner.run(chunk, rows)
        _warn_if_fired(network, rows)
        yield part, layout.trace(rows)


def check_device(device: str) -> None:
    """Checks that torch can use `device`. Loads torch only if it is not "cpu".

    Args:
        device: `cpu`, `cuda` or `cuda:N`.

    Raises:
        UserError: it is not the name of a device, or this GPU does not exist.
        MissingDependencyError: torch can use no GPU.
    """
    if device == "cpu":
        return
    if re.fullmatch(r"cuda(:\d{1,3})?", device) is None:
        raise UserError(f"{device!r} is not a device", where="--device", hint="use cpu, cuda, or cuda:N for the GPU N")
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise MissingDependencyError(
            "torch finds no GPU",
            where="--device",
            hint="use cpu, or install a driver and a torch that is built for CUDA",
        )
    if (number := int(device.partition(":")[2] or 0)) >= count:
        raise UserError(
            f"GPU {number} does not exist", where="--device", hint=f"GPUs are numbered 0 to {count - 1} here"
        )


def _engine(layout: Layout, engine: str, device: str) -> Any:
    check_device(device)
    if engine not in ("auto", "events", "dense"):
        raise UserError(f"engine {engine!r} is unknown", hint="use auto, events or dense")
    if layout.network.sends_values:
        from spikeport.export.backends.reference.sigma_delta import SigmaDeltaEngine

        return SigmaDeltaEngine(layout, device)
    refusal = "" if engine == "dense" else events.refusal(layout.network, layout.steps, device)
    if engine == "events" and refusal:
        raise UserError("the event-driven engine cannot run this", cause=refusal, hint="use engine dense")
    if engine == "dense" or refusal:
        from spikeport.export.backends.reference.dense import DenseEngine

        return DenseEngine(layout, device)
    return events.EventEngine(layout)


def _budget(memory_bytes: int | None) -> int:
    return default_memory() if memory_bytes is None else memory_bytes


def _input_bytes(network: IntegerNetwork, frames: Any) -> int:
    """Memory of the frames of one sample, as they are read and as they are run."""
    values = int(np.prod(frames.shape[1:]))
    item = np.dtype(getattr(frames, "dtype", np.uint8)).itemsize
    return values * (2 if item == 1 else 2 + 2 * item)  # a chunk is still in memory while the next one is read


def _warn_if_fired(network: IntegerNetwork, rows: Rows) -> None:
    fired = rows.counts[:, :, COUNTS.index("spikes_out"), -1].any(axis=1)
    if network.readout.kind == "membrane" and fired.any():
        warnings.warn(
            f"{network.layers[-1].name} fired in {np.count_nonzero(fired)} samples, which reset its "
            "membrane; a membrane read-out is meant for a layer that never fires: use a smaller scale for it",
            stacklevel=3,
        )
