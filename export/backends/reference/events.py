"""The event-driven engine: compiled loops over packed layers, with the samples divided among threads."""

from __future__ import annotations

import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from spikeport.export.backends.reference.bounds import fits_int32
from spikeport.export.backends.reference.storage import Layout, Rows
from spikeport.export.network.integer_network import IntegerNetwork

PIECES_PER_THREAD = 8  # of a chunk of samples, on average, so that no thread works on a long last piece alone


def refusal(network: IntegerNetwork, steps: int, device: str) -> str:
    """Reason why this engine cannot run a network; "" if it can.

    Args:
        network: the network.
        steps: number of time steps of a sample.
        device: device of torch, for example "cpu".
    """
    if device != "cpu":
        return f"it computes on the CPU, not on {device}"
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed"
    if not fits_int32(network, steps):
        return "a layer's numbers could pass 32 bits"
    return ""


class EventEngine:
    """Runs a network for samples of a fixed number of time steps. Threads share the plan; each has its own state.

    Args:
        layout: network, time steps, and what the output contains.

    Attributes:
        fixed_bytes: memory of the plan and of the threads' states.
        work_bytes: memory for each sample beside its frames and output.
    """

    def __init__(self, layout: Layout) -> None:
        from spikeport.export.backends.reference.execution_plan import pack

        self.layout, self.threads = layout, thread_count()
        self.plan = pack(layout.network, layout.steps, layout.keep_layers)
        self.fixed_bytes = self.plan.shared_bytes + self.threads * self.plan.state_bytes
        self.work_bytes = 0

    def run(self, frames: np.ndarray, rows: Rows) -> None:
        """Simulates samples.

        Args:
            frames: uint8 `[n, T, inputs]`, writable.
            rows: where the output is written.
        """
        piece = max(1, -(-len(frames) // (self.threads * PIECES_PER_THREAD)))
        pieces = [slice(start, start + piece) for start in range(0, len(frames), piece)]
        if self.threads == 1 or len(pieces) < 2:
            self._run_piece(frames, rows)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            try:
                for _ in pool.map(lambda piece: self._run_piece(frames[piece], rows.part(piece)), pieces):
                    pass
            except BaseException:  # Ctrl-C too: running pieces end, the others are canceled
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _run_piece(self, frames: np.ndarray, rows: Rows) -> None:
        from spikeport.export.backends.reference.kernels import run_samples

        plan = self.plan
        run_samples(
            frames, plan.graded, plan.fields, plan.weights, plan.tables, plan.places, plan.neurons, plan.unbiased,
            plan.sizes, rows.spikes, rows.membrane, rows.counts,
        )  # fmt: skip


def thread_count() -> int:
    """Number of threads: NUMBA_NUM_THREADS or OMP_NUM_THREADS if set, at most the processors of this process."""
    have = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "").split(",")[0].strip()
        if value.isdigit() and int(value):
            return min(int(value), have)
    return have
