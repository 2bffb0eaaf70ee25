"""Spreads samples over several Lava processes, and replaces processes that crash or have run for long."""

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
from spikeport.export.backends.lava.process import LavaCrashed, LavaTimeout, LavaWorker
from spikeport.export.backends.lava.results import Arrays, assemble
from spikeport.export.backends.lava.schedule import schedule
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.progress import Progress

TRIES = 2
NETWORKS_PER_PROCESS, STEPS_PER_PROCESS = 200, 1_000_000  # Lava keeps some memory of each network that it ran
FIRST_STEPS = 200  # time steps of a process's first job, which measures how long a sample takes
JOB_S = 10.0  # seconds that a later job should take: a time-out loses at most one job of each process


def simulate(
    network: IntegerNetwork,
    frames: Any,
    *,
    keep_layers: bool = False,
    workers: int | None = None,
    timeout_s: float = 1800.0,
    progress: Progress | None = None,
) -> SpikeTrace:
    """Runs every sample in Lava. A process that crashes is replaced, and its samples are tried once more.

    Args:
        network: the network to run.
        frames: `[N, T, *input_shape]`, anything that is sliced by samples.
        keep_layers: whether the trace holds the spikes of every layer.
        workers: Lava processes at once; None: one for each core.
        timeout_s: seconds for all samples.
        progress: called with (samples done, samples in all).

    Returns:
        Spikes, and the membrane if it is the read-out; no counts. See `Backend.simulate`.

    Raises:
        LavaTimeout: the time is over; the error holds the samples that are done.
        UserError: Lava failed twice on a sample, or a sample is not a legal input.
        MissingDependencyError: Lava is not installed.
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
    """Whether Lava gives the outputs of `known_answers`, which were computed by hand.

    Raises:
        MissingDependencyError: Lava is not installed or does not start.
        LavaCrashed: its process ended.
    """
    with LavaWorker() as worker:
        return all(
            np.array_equal(worker.simulate(network, frames, timeout_s=120.0).output, expected)
            for network, frames, expected in known_answers()
        )


class _Pool:
    """Threads, each with a Lava process of its own, that take jobs (ranges of samples) from one queue."""

    def __init__(self, network: IntegerNetwork, frames: Any, keep_layers: bool, workers: int) -> None:
        self._network, self._frames, self._keep_layers = network, frames, keep_layers
        self._samples, self._steps = frames.shape[:2]
        self._schedule = schedule(network, self._steps)
        self._lock = threading.Lock()
        self._next, self._again = 0, deque[range]()  # first sample never tried, and jobs that failed once
        self._tries: Counter[int] = Counter()
        self._events: queue.Queue[tuple[range, Arrays] | tuple[range, int] | BaseException] = queue.Queue()
        self._alive: set[LavaWorker] = set()
        self._stopped = False
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(workers)]

    def run(self, end: float, progress: Progress | None) -> tuple[list[tuple[range, Arrays]], bool]:
        """Jobs and their arrays that are done by `end` (monotonic seconds), and whether these are all."""
        for thread in self._threads:
            thread.start()
        parts: list[tuple[range, Arrays]] = []
        under_way: dict[int, int] = {}
        done = reported = 0
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
            if progress and reported < (now := min(self._samples, done + sum(under_way.values()))):
                progress(now, self._samples)
                reported = now
        return parts, True

    def close(self) -> None:
        """Ends every process and waits until they are gone."""
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
                except LavaCrashed as error:
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
        """The next job; None if no job is left."""
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
            size = max(1, min(size, share)) if self._schedule.shared else 1
            self._next += size
            return range(self._next - size, self._next)

    def _failed(self, job: range, error: LavaCrashed) -> None:
        """Puts the job back for another process; raises UserError when it failed before."""
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
            hint="run this sample alone, or use the reference backend",
        )

    def _start(self) -> LavaWorker:
        worker = LavaWorker()
        with self._lock:
            if self._stopped:
                raise LavaCrashed("stopped")
            self._alive.add(worker)
        return worker.__enter__()

    def _end(self, worker: LavaWorker) -> None:
        worker.close()
        with self._lock:
            self._alive.discard(worker)
