"""One Lava process: networks and frames in, spikes out, one after the other."""

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
from typing import Any

import numpy as np

from spikeport.errors import MissingDependencyError, UserError
from spikeport.export.backends.base import SimulationTimeout
from spikeport.export.backends.lava.environment import LAVA_NC, VARIABLE, interpreter
from spikeport.export.backends.lava.inside import session
from spikeport.export.backends.lava.schedule import SampleSchedule, schedule
from spikeport.export.formats.netx.write import write_netx
from spikeport.export.network.fixed_point import BIAS_LIMIT
from spikeport.export.network.integer_network import IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.progress import Progress

Arrays = dict[str, np.ndarray]
BACKEND = f"lava {LAVA_NC} fixed_pt"
_START_TIMEOUT_S = 600.0  # a process that is lost is noticed at once; on a busy machine imports take minutes
_END_TIMEOUT_S = 5.0
_SOCKET_FOLDER = 70  # a socket's path has at most 107 characters; those of Lava go with the worker's folder if they can


class LavaTimeout(SimulationTimeout):
    """Lava did not finish in time. See `SimulationTimeout` for the attributes."""

    def __init__(self, timeout_s: float, samples: int, trace: SpikeTrace, done: np.ndarray) -> None:
        self.trace, self.done = trace, done
        super().__init__(
            f"Lava did not finish within {timeout_s:g} s",
            cause=f"{len(done)} of {samples} samples are done",
            hint="give it fewer samples or a longer time-out (check.lava_timeout_s)",
        )


class LavaLost(UserError):  # noqa: N818
    """Lava's process ended, or said that it failed, after `done` samples of what it was given."""

    done = 0


class LavaWorker:
    """One Lava process that runs networks one after the other; use it in a `with` block.

    `networks` and `steps`: how many it has run (Lava keeps some memory of each). Raises MissingDependencyError where
    Lava is not installed or does not start.
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
                raise LavaLost("Lava was closed before it started")
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
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._complaints: deque[str] = deque(maxlen=40)
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._overhear, daemon=True).start()
        answer = None
        with contextlib.suppress(queue.Empty):
            answer = self._answers.get(timeout=_START_TIMEOUT_S)
        if not answer or "ready" not in answer:
            words, closed, process = self._last_words(), self._closed, self._process
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1 if answer is None else 0)  # its pipe may close a moment before
            killed = (process.returncode or 0) < 0
            self.close()
            if closed:
                raise LavaLost("Lava was closed while it started")
            if killed:
                raise LavaLost("Lava's process was lost while it started", cause=f"signal {-process.returncode}")
            raise MissingDependencyError(
                "Lava does not start",
                where=str(self._python),
                cause=words,
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
        """Spikes of every sample as `reference.simulate` gives them, without counts, in this one process.

        Samples share networks as `plan` says. Raises LavaLost where Lava fails, LavaTimeout after `timeout_s`, and
        UserError for frames that the network cannot take.
        """
        samples, steps = frames.shape[:2]
        rule = schedule(network, steps)
        parts: list[tuple[range, Arrays]] = []
        end = time.monotonic() + timeout_s
        for job in jobs(samples, samples if rule.together else 1):
            left = end - time.monotonic()
            job_progress = None if progress is None else _shifted(progress, job.start, samples)
            try:
                arrays = self.run(network, rule, frames[job.start : job.stop], job, keep_layers, left, job_progress)
            except TimeoutError:
                self.close()
                raise LavaTimeout(timeout_s, samples, *assemble(network, steps, parts, keep_layers)) from None
            parts.append((job, arrays))
        return assemble(network, steps, parts, keep_layers)[0]

    def run(
        self,
        network: IntegerNetwork,
        rule: SampleSchedule,
        frames: Any,
        job: range,
        keep_layers: bool,
        timeout_s: float | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Arrays:
        """One Lava network over `frames`, the samples `job` of a set: `layer<i>` `[N, T, *shape]`, and `membrane`
        where the read-out asks for it. Raises TimeoutError, LavaLost, or UserError naming the first bad sample.
        """
        assert self._process
        assert self._process.stdin
        folder = Path(self._folder)
        self.networks += 1
        self.steps += len(job) * rule.period
        net = folder / f"{self.networks}.net"  # netx remembers files by name: a new one each time
        sent, received = folder / "frames.npy", folder / "spikes.npz"
        try:
            write_netx(network, net)
            np.save(sent, as_sent(network, np.asarray(frames), job.start), allow_pickle=False)
            request = {
                "net": str(net),
                "frames": str(sent),
                "output": str(received),
                "keep_layers": keep_layers,
                "membrane": network.readout.kind == "membrane",
                "message_bits": network.input_message_bits,
                "drive": network.layers[0].kind == "input",
                "interval": rule.interval,
                "period": rule.period,
                "flush": rule.flush,
            }
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            self._await_done(timeout_s, progress)
            with np.load(received, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            raise LavaLost("Lava's process is gone", cause=self._last_words()) from error
        finally:
            net.unlink(missing_ok=True)

    def close(self) -> None:
        """Ends the process and everything it started, and removes its files; again does nothing."""
        with self._closing:
            if self._closed or self._process is None:
                self._closed = True
                return
            self._closed = True
            with contextlib.suppress(OSError):
                if self._process.stdin:
                    self._process.stdin.close()  # the worker then ends its session itself
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_TIMEOUT_S)
            session.end(self._process.pid, self._folder)  # where it could not
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _await_done(self, timeout_s: float | None, progress: Callable[[int], None] | None) -> None:
        end = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        done = 0
        while True:
            try:
                answer = self._answers.get(timeout=max(0.0, min(0.5, end - time.monotonic())))
            except queue.Empty:
                if time.monotonic() >= end:
                    raise TimeoutError from None
                # Lava's processes hold the worker's end of the pipe too, so that its death does not close it.
                answer = {} if self._process and self._process.poll() is None else None
            if answer is None or "error" in answer:
                lost = (
                    LavaLost("Lava failed", cause=answer["error"])
                    if answer
                    else LavaLost("Lava's process ended before it was done", cause=self._last_words())
                )
                lost.done = done
                raise lost
            if "done" in answer:
                return
            done = answer.get("progress", done)
            if progress and "progress" in answer:
                progress(done)

    def _listen(self) -> None:
        assert self._process
        assert self._process.stdout
        for line in self._process.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                self._answers.put(json.loads(line))
        self._answers.put(None)

    def _overhear(self) -> None:
        assert self._process
        assert self._process.stderr
        for line in self._process.stderr:
            self._complaints.append(line.rstrip())

    def _last_words(self) -> str:
        time.sleep(0.1)  # the listening thread may be a line behind
        said = [line for line in self._complaints if line.strip()]
        return said[-1] if said else "it said nothing"


def as_sent(network: IntegerNetwork, frames: np.ndarray, first: int) -> np.ndarray:
    """`frames` as int16 that Lava takes: spikes, messages, or the bias of input neurons for each step.

    Raises UserError naming the sample (`first` is the number of `frames[0]`) that holds a value which Lava would
    change: it takes everything but 0 as one spike, and keeps biases in 13 bits.
    """
    values = frames.astype(np.int64)
    if not np.array_equal(values, frames):
        raise UserError("frames hold values that are no integers", where="frames", hint="bin events to counts")
    layer = network.layers[0]
    low, high, what = 0, network.input_limit, "value"
    if layer.kind == "input":
        values = int(layer.weight[0]) * values + layer.bias_map
        low, high, what = -BIAS_LIMIT, BIAS_LIMIT, f"bias {int(layer.weight[0])} x + bias"
    outside = (values < low) | (values > high)
    if outside.any():
        place = tuple(int(at) for at in np.argwhere(outside)[0])
        raise UserError(
            f"sample {first + place[0]} has a {what} of {values[place]}, outside {low}..{high}",
            where="frames",
            hint="clip the frames, or export with --message-bits" if high == 1 else "clip or rescale the frames",
        )
    return values.astype(np.int16)


def jobs(samples: int, size: int) -> list[range]:
    """`samples` in order, `size` at a time."""
    return [range(start, min(start + size, samples)) for start in range(0, samples, max(size, 1))]


def assemble(
    network: IntegerNetwork, steps: int, parts: list[tuple[range, Arrays]], keep_layers: bool
) -> tuple[SpikeTrace, np.ndarray]:
    """The parts that are there as one trace, in the order of samples, and which samples they are."""
    parts = sorted(parts, key=lambda part: part[0].start)
    done = np.array([sample for job, _ in parts for sample in job], dtype=np.int64)
    outputs = int(np.prod(network.output_shape))

    def joined(name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        arrays = [arrays[name].reshape(len(job), steps, *shape) for job, arrays in parts]
        return np.concatenate(arrays) if arrays else np.zeros((0, steps, *shape), dtype=dtype)

    kept = tuple(joined(f"layer{k}", layer.output_shape, np.uint8) for k, layer in enumerate(network.layers)) if (
        keep_layers
    ) else None  # fmt: skip
    trace = SpikeTrace(
        backend=BACKEND,
        spikes=joined(f"layer{len(network.layers) - 1}", (outputs,), np.uint8),
        layer_spikes=kept,
        membrane=joined("membrane", (outputs,), np.int32) if network.readout.kind == "membrane" else None,
    )
    return trace, done


def _shifted(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    return lambda done: progress(before + done, total)
