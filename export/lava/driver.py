"""Drives Lava as a subprocess: networks and input spikes in, output spikes out, progress as it goes."""

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

from export.integer_network import IntegerLayer, IntegerNetwork
from export.lava.environment import LAVA_NC, VARIABLE, interpreter
from export.netx import write_netx
from export.spike_trace import SpikeTrace
from hardware_profiles.errors import MissingPart, UserError

Progress = Callable[[int, int], None]
BACKEND = f"lava {LAVA_NC} fixed_pt"
_START_TIMEOUT_S = 120.0


class LavaWorker:
    """One Lava process that runs networks one after the other; use it in a `with` block.

    Raises MissingPart where Lava is not installed or does not start.
    """

    def __init__(self) -> None:
        self._python = interpreter()

    def __enter__(self) -> LavaWorker:
        script = Path(__file__).parent / "inside" / "worker.py"
        self._folder = tempfile.TemporaryDirectory(prefix="spikeport-lava-")
        self._process = subprocess.Popen(
            [str(self._python), "-I", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._folder.name,
            start_new_session=True,
        )
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._complaints: deque[str] = deque(maxlen=40)
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._overhear, daemon=True).start()
        try:
            answer = self._answers.get(timeout=_START_TIMEOUT_S)
        except queue.Empty:
            answer = None
        if not answer or "ready" not in answer:
            self.close()
            raise MissingPart(
                "Lava does not start",
                where=str(self._python),
                why=self._last_words(),
                mend=f"run `spikeport lava install`, or set {VARIABLE} to an interpreter that has Lava",
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
        """Spikes of every sample as `reference.simulate` gives them, without counts.

        All samples run back to back in one network, state reset between them. Raises UserError where Lava fails or
        does not finish within `timeout_s`.
        """
        folder = Path(self._folder.name)
        net = folder / f"{time.monotonic_ns()}.net"  # netx never closes the file: a new name each time
        sent, received = folder / "frames.npy", folder / "spikes.npz"
        request = {"net": str(net), "frames": str(sent), "output": str(received), "keep_layers": keep_layers}
        samples, steps = frames.shape[:2]
        if samples == 0:
            empty = np.zeros((0, steps, int(np.prod(network.output_shape))), dtype=np.uint8)
            return SpikeTrace(backend=BACKEND, spikes=empty)
        write_netx(network, net)
        np.save(sent, frames.astype(np.uint8), allow_pickle=False)
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        self._await_done(timeout_s, progress)
        with np.load(received, allow_pickle=False) as archive:
            layers = [archive[f"layer{index}"] for index in range(len(network.layers)) if f"layer{index}" in archive]
        net.unlink()
        return SpikeTrace(
            backend=BACKEND,
            spikes=layers[-1].reshape(samples, steps, -1),
            layer_spikes=tuple(layers) if keep_layers else None,
        )

    def close(self) -> None:
        """Ends the process and everything it started."""
        if self._process.poll() is None:
            with contextlib.suppress(OSError):
                if self._process.stdin:
                    self._process.stdin.close()
            _kill_session(self._process)
        self._folder.cleanup()

    def _await_done(self, timeout_s: float, progress: Progress | None) -> None:
        end = time.monotonic() + timeout_s
        while True:
            try:
                answer = self._answers.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                self.close()
                raise UserError(
                    f"Lava did not finish within {timeout_s:g} s",
                    mend="give it fewer samples or a longer time-out (check.lava_timeout_s)",
                ) from None
            if answer is None:
                raise UserError("Lava's process ended before it was done", why=self._last_words())
            if "error" in answer:
                raise UserError("Lava failed", why=f"{answer['error']} {self._last_words()}")
            if "done" in answer:
                return
            if progress:
                progress(answer["progress"], answer["total"])

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                self._answers.put(json.loads(line))
        self._answers.put(None)

    def _overhear(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self._complaints.append(line.rstrip())

    def _last_words(self) -> str:
        time.sleep(0.1)  # the listening thread may be a line behind
        said = [line for line in self._complaints if line.strip()]
        return said[-1] if said else "it said nothing"


def simulate(
    network: IntegerNetwork,
    frames: np.ndarray,
    *,
    keep_layers: bool = False,
    timeout_s: float = 1800.0,
    progress: Progress | None = None,
) -> SpikeTrace:
    """`LavaWorker.simulate` in a process of its own."""
    with LavaWorker() as worker:
        return worker.simulate(network, frames, keep_layers=keep_layers, timeout_s=timeout_s, progress=progress)


def known_network() -> IntegerNetwork:
    """One neuron without leak: a spike adds 2, it fires above 5, so with a spike every step at every third one."""
    neuron = IntegerLayer(
        name="known",
        kind="dense",
        weight=np.array([[2]]),
        bias=None,
        i_decay=4096,
        v_decay=0,
        vth_mant=5,
        input_shape=(1,),
    )
    return IntegerNetwork(input_shape=(1,), layers=(neuron,))


def known_answer() -> bool:
    """Whether Lava runs `known_network` as worked out by hand, twice in a row. Raises as `LavaWorker`."""
    trace = simulate(known_network(), np.ones((2, 7, 1), dtype=np.uint8), timeout_s=120.0)
    return trace.spikes[:, :, 0].tolist() == [[0, 0, 1, 0, 0, 1, 0]] * 2


def _kill_session(process: subprocess.Popen[str]) -> None:
    """Lava starts a process per network part; they share the session of the worker."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
