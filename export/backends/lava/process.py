"""One Lava process that runs networks one after the other: files and JSON requests in, files and messages out."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict

import numpy as np

from spikeport.errors import MissingDependencyError, UserError
from spikeport.export.backends.base import SimulationTimeout
from spikeport.export.backends.lava.environment import VARIABLE, interpreter
from spikeport.export.backends.lava.inside import session
from spikeport.export.backends.lava.results import Arrays, assemble, frames_for_lava, ranges_of
from spikeport.export.backends.lava.schedule import SampleSchedule, schedule
from spikeport.export.formats.netx.write import write_netx
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.progress import Progress

_START_TIMEOUT_S = 600.0  # a crash is noticed at once; on a busy machine imports take minutes
_END_TIMEOUT_S = 5.0
_SOCKET_FOLDER = 70  # Lava puts sockets into the worker's folder where their paths stay below 107 characters


class LavaTimeout(SimulationTimeout):
    """Lava did not finish in time. See `SimulationTimeout` for the attributes."""

    def __init__(self, timeout_s: float, samples: int, trace: SpikeTrace, done: np.ndarray) -> None:
        self.trace, self.done = trace, done
        super().__init__(
            f"Lava did not finish within {timeout_s:g} s",
            cause=f"{len(done)} of {samples} samples are done",
            hint="give it fewer samples or a longer time-out (check.timeout_s)",
        )


class LavaCrashed(UserError):  # noqa: N818 named after what happened, as MissingDependencyError is
    """Lava's process ended or reported an error.

    Attributes:
        done: number of samples of its job that it had finished.
    """

    done = 0


class Message(TypedDict, total=False):
    """One line from the process: a report under one of these keys."""

    ready: bool
    progress: int  # samples finished
    total: int
    done: bool
    error: str


class LavaWorker:
    """One Lava process that runs networks one after the other; use it in a `with` block.

    Attributes:
        networks: number of networks that it has run. Lava keeps some memory of each.
        steps: number of time steps that it has run.

    Raises:
        MissingDependencyError: Lava is not installed or does not start.
        LavaCrashed: the process was closed or killed while it started.
    """

    def __init__(self) -> None:
        self._python = interpreter()
        self._closing = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._closed = False
        self.networks = self.steps = 0

    def __enter__(self) -> LavaWorker:
        script = Path(__file__).parent / "inside" / "worker.py"
        with self._closing:
            if self._closed:
                raise LavaCrashed("Lava was closed before it started")
            self._folder = tempfile.mkdtemp(prefix="spikeport-lava-")
            self._process = subprocess.Popen(
                [str(self._python), "-I", str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=self._folder,
                env=os.environ | ({"TMPDIR": self._folder} if len(self._folder) < _SOCKET_FOLDER else {}),
                start_new_session=True,
            )
        self._messages: queue.Queue[Message | None] = queue.Queue()
        self._errors: deque[str] = deque(maxlen=40)
        threading.Thread(target=self._read_messages, daemon=True).start()
        threading.Thread(target=self._read_errors, daemon=True).start()
        message = None
        with contextlib.suppress(queue.Empty):
            message = self._messages.get(timeout=_START_TIMEOUT_S)
        if not message or "ready" not in message:
            cause, closed, process = self._last_error(), self._closed, self._process
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1 if message is None else 0)  # the pipe may close before the process ends
            killed = (process.returncode or 0) < 0
            self.close()
            if closed:
                raise LavaCrashed("Lava was closed while it started")
            if killed:
                raise LavaCrashed("Lava's process was killed while it started", cause=f"signal {-process.returncode}")
            raise MissingDependencyError(
                "Lava does not start",
                where=str(self._python),
                cause=cause,
                hint=f"run `spikeport lava install`, or set {VARIABLE} to an interpreter that has Lava",
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def simulate(
        self,
        network: IntegerNetwork,
        frames: np.ndarray,
        *,
        keep_layers: bool = False,
        timeout_s: float = 1800.0,
        progress: Progress | None = None,
    ) -> SpikeTrace:
        """Simulates samples in this one process, see `Backend.simulate`.

        Args:
            network, frames, keep_layers, timeout_s, progress: as for `Backend.simulate`.

        Raises:
            LavaCrashed: Lava failed.
            LavaTimeout: `timeout_s` seconds have passed; the process is closed.
            UserError: the frames are not legal inputs of the network.
        """
        samples, steps = frames.shape[:2]
        planned = schedule(network, steps)
        parts: list[tuple[range, Arrays]] = []
        end = time.monotonic() + timeout_s
        for job in ranges_of(samples, samples if planned.shared else 1):
            left = end - time.monotonic()
            job_progress = None if progress is None else _shifted(progress, job.start, samples)
            try:
                arrays = self.run(network, planned, frames[job.start : job.stop], job, keep_layers, left, job_progress)
            except TimeoutError:
                self.close()
                raise LavaTimeout(timeout_s, samples, *assemble(network, steps, parts, keep_layers)) from None
            parts.append((job, arrays))
        return assemble(network, steps, parts, keep_layers)[0]

    def run(
        self,
        network: IntegerNetwork,
        planned: SampleSchedule,
        frames: Any,
        job: range,
        keep_layers: bool,
        timeout_s: float | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Arrays:
        """Runs one Lava network.

        Args:
            network: the network.
            planned: how the samples follow each other.
            frames: frames of the samples, `[N, T, *input_shape]`.
            job: numbers of these samples in the whole set.
            keep_layers: whether to return every layer.
            timeout_s: seconds; None: without limit.
            progress: called with the number of samples done.

        Returns:
            `layer<i>` uint8, or int32 for values, `[N, T, *shape]`, and `membrane` int32 if it is the read-out.

        Raises:
            TimeoutError: the time is over.
            LavaCrashed: Lava failed.
            UserError: a sample is not a legal input.
        """
        assert self._process
        assert self._process.stdin
        folder = Path(self._folder)
        self.networks += 1
        self.steps += len(job) * planned.period
        net = folder / f"{self.networks}.net"  # netx remembers files by name: a new one each time
        sent, received = folder / "frames.npy", folder / "spikes.npz"
        try:
            write_netx(network, net)
            np.save(sent, frames_for_lava(network, np.asarray(frames), job.start), allow_pickle=False)
            request = {
                "net": str(net),
                "frames": str(sent),
                "output": str(received),
                "keep_layers": keep_layers,
                "membrane": network.readout.kind == "membrane",
                "message_bits": network.input_message_bits,
                "values": network.sends_values,
                "drive": network.layers[0].kind == "input",
                "interval": planned.interval,
                "period": planned.period,
                "flush": planned.emptied,
            }
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            self._await_done(timeout_s, progress)
            with np.load(received, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            raise LavaCrashed("Lava's process is gone", cause=self._last_error()) from error
        finally:
            net.unlink(missing_ok=True)

    def close(self) -> None:
        """Ends the process and everything it started, and removes its files. A second call does nothing."""
        with self._closing:
            if self._closed or self._process is None:
                self._closed = True
                return
            self._closed = True
            with contextlib.suppress(OSError):
                if self._process.stdin:
                    self._process.stdin.close()  # the worker then ends its own session
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_TIMEOUT_S)
            session.end(self._process.pid, self._folder)  # in case it could not
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _await_done(self, timeout_s: float | None, progress: Callable[[int], None] | None) -> None:
        end = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        done = 0
        while True:
            try:
                message = self._messages.get(timeout=max(0.0, min(0.5, end - time.monotonic())))
            except queue.Empty:
                if time.monotonic() >= end:
                    raise TimeoutError from None
                # Lava's processes share the worker's end of the pipe, which stays open when the worker dies.
                message = {} if self._process and self._process.poll() is None else None
            if message is None or "error" in message:
                crash = (
                    LavaCrashed("Lava failed", cause=message["error"])
                    if message
                    else LavaCrashed("Lava's process ended before it was done", cause=self._last_error())
                )
                crash.done = done
                raise crash
            if "done" in message:
                return
            done = message.get("progress", done)
            if progress and "progress" in message:
                progress(done)

    def _read_messages(self) -> None:
        assert self._process
        assert self._process.stdout
        for line in self._process.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                self._messages.put(json.loads(line))
        self._messages.put(None)

    def _read_errors(self) -> None:
        assert self._process
        assert self._process.stderr
        for line in self._process.stderr:
            self._errors.append(line.rstrip())

    def _last_error(self) -> str:
        time.sleep(0.1)  # the thread that reads may be a line behind
        lines = [line for line in self._errors if line.strip()]
        return lines[-1] if lines else "it printed nothing"


def _shifted(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    return lambda done: progress(before + done, total)
