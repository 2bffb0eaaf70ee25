"""Drives Lava: samples spread over several Lava processes, which are replaced when they fail or grow old."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import Counter, deque
from typing import Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.backends.known_answers import known_answers
from spikeport.export.backends.lava.process import Arrays, LavaLost, LavaTimeout, LavaWorker, assemble
from spikeport.export.backends.lava.schedule import schedule
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.progress import Progress

__all__ = ["LavaLost", "LavaTimeout", "LavaWorker", "known_answer", "simulate"]

TRIES = 2
NETWORKS_PER_PROCESS, STEPS_PER_PROCESS = 200, 1_000_000  # Lava keeps some memory of every network it ran
FIRST_STEPS = 200  # steps of a process's first job, which tells how long a sample takes
JOB_S = 10.0  # seconds that later jobs aim at: what a time-out may lose


def simulate(
    network: IntegerNetwork,
    frames: Any,
    *,
    keep_layers: bool = False,
    workers: int | None = None,
    timeout_s: float = 1800.0,
    progress: Progress | None = None,
) -> SpikeTrace:
    """Spikes of every sample as `reference.simulate` gives them, without counts; `membrane` where the read-out is it.

    `frames`: `[N, T, *input_shape]`, anything that slices by samples. `workers`: Lava processes at once (None: one a
    core). A process that fails is replaced and its samples are tried once more. `progress(done, total)` counts
    samples. Raises LavaTimeout, which holds what is done; UserError naming the sample on which Lava failed twice, or
    whose values the network cannot take; MissingDependencyError where there is no Lava.
    """
    samples, steps = frames.shape[:2]
    if steps < 1:
        raise UserError("frames have no time steps", where="frames")
    if samples == 0:
        return assemble(network, steps, [], keep_layers)[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool = _Pool(network, frames, keep_layers, max(1, min(workers or cores, samples)))
    try:
        parts, finished = pool.run(time.monotonic() + timeout_s, progress)
    finally:
        pool.close()
    trace, done = assemble(network, steps, parts, keep_layers)
    if not finished:
        raise LavaTimeout(timeout_s, samples, trace, done)
    return trace


def known_answer() -> bool:
    """Whether Lava runs `known_answers` (leak, delay, recurrence, convolution) as worked out by hand.

    Raises as `LavaWorker`.
    """
    with LavaWorker() as worker:
        return all(
            np.array_equal(worker.simulate(network, frames, timeout_s=120.0).spikes, spikes)
            for network, frames, spikes in known_answers()
        )


class _Pool:
    """Threads that each serve jobs, ranges of samples, to a Lava process of their own."""

    def __init__(self, network: IntegerNetwork, frames: Any, keep_layers: bool, workers: int) -> None:
        self._network, self._frames, self._keep_layers = network, frames, keep_layers
        self._samples, self._steps = frames.shape[:2]
        self._schedule = schedule(network, self._steps)
        self._lock = threading.Lock()
        self._next, self._again = 0, deque[range]()  # samples never tried, and jobs that failed once
        self._tries: Counter[int] = Counter()
        self._events: queue.Queue[tuple[range, Arrays] | tuple[range, int] | BaseException] = queue.Queue()
        self._alive: set[LavaWorker] = set()
        self._stopped = False
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(workers)]

    def run(self, end: float, progress: Progress | None) -> tuple[list[tuple[range, Arrays]], bool]:
        """What is done by `end`, and whether that is all."""
        for thread in self._threads:
            thread.start()
        parts: list[tuple[range, Arrays]] = []
        under_way: dict[int, int] = {}
        done = said = 0
        while done < self._samples:
            try:
                event = self._events.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return parts, False
            if isinstance(event, BaseException):
                raise event
            job, result = event
            if isinstance(result, int):
                under_way[job.start] = result
            else:
                under_way.pop(job.start, None)
                parts.append((job, result))
                done += len(job)
            if progress and said < (now := min(self._samples, done + sum(under_way.values()))):
                progress(now, self._samples)
                said = now
        return parts, True

    def close(self) -> None:
        """Ends every process; returns when they are gone."""
        with self._lock:
            self._stopped = True
            alive = list(self._alive)
        for worker in alive:
            worker.close()
        for thread in self._threads:
            if thread.ident:
                thread.join()

    def _serve(self) -> None:
        worker: LavaWorker | None = None
        per_sample_s: float | None = None
        try:
            while (job := self._take(per_sample_s)) is not None:
                if worker and (worker.networks >= NETWORKS_PER_PROCESS or worker.steps >= STEPS_PER_PROCESS):
                    self._end(worker)
                    worker = None
                try:
                    worker = worker or self._start()
                    began = time.monotonic()
                    frames = self._frames[job.start : job.stop]
                    arrays = worker.run(
                        self._network,
                        self._schedule,
                        frames,
                        job,
                        self._keep_layers,
                        progress=lambda done, job=job: self._events.put((job, done)),  # type: ignore[misc]
                    )
                except LavaLost as error:
                    if worker:
                        self._end(worker)
                    worker = None
                    self._events.put((job, 0))
                    self._failed(job, error)
                else:
                    per_sample_s = (time.monotonic() - began) / len(job)
                    self._events.put((job, arrays))
        except BaseException as error:
            self._events.put(error)
        finally:
            if worker:
                self._end(worker)

    def _take(self, per_sample_s: float | None) -> range | None:
        """The next job, or None when there is nothing left to start."""
        with self._lock:
            if self._stopped:
                return None
            if self._again:
                return self._again.popleft()
            left = self._samples - self._next
            if not left:
                return None
            size = FIRST_STEPS // self._steps if per_sample_s is None else int(JOB_S / per_sample_s)
            share = -(-left // len(self._threads))
            size = max(1, min(size, share)) if self._schedule.together else 1
            self._next += size
            return range(self._next - size, self._next)

    def _failed(self, job: range, error: LavaLost) -> None:
        """Gives the job to another process, once."""
        with self._lock:
            if self._stopped:
                return
            self._tries[job.start] += 1
            if self._tries[job.start] < TRIES:
                self._again.append(job)
                return
        raise UserError(
            f"Lava failed {TRIES} times, the last on sample {job[min(error.done, len(job) - 1)]}",
            cause=str(error),
            hint="run this sample alone, or use the reference",
        )

    def _start(self) -> LavaWorker:
        worker = LavaWorker()
        with self._lock:
            if self._stopped:
                raise LavaLost("stopped")
            self._alive.add(worker)
        return worker.__enter__()

    def _end(self, worker: LavaWorker) -> None:
        worker.close()
        with self._lock:
            self._alive.discard(worker)
