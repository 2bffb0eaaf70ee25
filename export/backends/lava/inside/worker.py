"""Runs .net files in Lava's netx. It runs in Lava's environment and imports nothing of Spikeport but the modules here.

Reads JSON requests from standard input, one a line, and writes JSON messages to standard output: `progress`, then
`done` or `error`. Everything that Lava prints goes to standard error. When standard input is closed, all processes that
Lava started are ended and their files removed.
"""

import contextlib
import json
import multiprocessing.process
import multiprocessing.util
import os
import pathlib
import queue
import shutil
import signal
import sys
import threading
import time
import traceback
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # the interpreter is isolated (-I)

import session
import shims

shims.apply()
warnings.filterwarnings("ignore", message="Cannot import module")  # Lava looks for models beside every process

import numpy as np
import probes
from lava.lib.dl.netx.hdf5 import Network
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source


def run(request, send) -> None:
    """Runs all samples of a request in one network and writes spikes and voltages to `output`.

    Layer k is k + 1 steps late. With reset_offset=1 every layer is reset together with the first frame of a sample.

    Args:
        request: dictionary with `net`; `frames` (.npy, [N, T, ...] integers: spikes, messages, or the bias of input
            neurons); `output` (.npz to write); `keep_layers`; `membrane`; `message_bits`; `values` (whether neurons
            send integers: sigma-delta); `drive` (whether frames drive input neurons); `interval` (steps between
            resets); `period` (steps between samples); `flush` ([time step, layer, part, variable]: set to 0 after
            this step of each sample).
        tell: function that sends a message.
    """
    started.forget()
    frames = np.load(request["frames"], allow_pickle=False)
    samples, steps = frames.shape[:2]
    network = Network(
        net_config=request["net"],
        reset_interval=request["interval"],
        reset_offset=1,
        input_message_bits=request["message_bits"],
    )
    depth = len(network.layers)
    total = (samples - 1) * request["period"] + steps + depth
    encodes = request["drive"] and request["values"]  # a Delta takes its input in the step in which it is sent
    data = _as_input(frames, network.layers[0].inp.shape, request["period"], total, late=encodes)
    if encodes:
        source = Source(data=data)
        source.s_out.connect(network.layers[0].neuron.a_in)
    elif request["drive"]:
        driver = probes.Driver(data=data)
        driver.target.connect_var(network.layers[0].neuron.bias_mant)
    else:
        source = Source(data=data)
        source.s_out.connect(network.inp)
    sinks = {}
    for index in range(depth) if request["keep_layers"] else [depth - 1]:
        layer = network.layers[index]
        port = network.out if index == depth - 1 else layer.out
        sinks[f"layer{index}"] = index, Sink(shape=layer.out.shape, buffer=total)
        port.connect(sinks[f"layer{index}"][1].a_in)
    if request["membrane"]:
        probe = probes.Probe(shape=(*network.out_layer.neuron.v.shape, total))
        probe.source.connect_var(network.out_layer.neuron.v)
        sinks["membrane"] = depth - 1, probe
    try:
        _run_all(network, request, samples, steps, total, send)
        arrays = {}
        for name, (index, sink) in sinks.items():
            arrays[name] = _as_frames(sink.data.get(), index, samples, steps, request["period"])
    finally:
        started.ending()
        network.stop()
        network.net_config.f.close()  # netx leaves the file open
    wide = {"membrane", *(arrays if request["values"] else ())}
    np.savez(request["output"], **{k: a.astype(np.int32 if k in wide else np.uint8) for k, a in arrays.items()})


def _run_all(network, request, samples, steps, total, send) -> None:
    """Runs `total` steps. Pauses after each sample, to report progress, and where a variable is set to 0."""
    configuration = Loihi2SimCfg(select_tag="fixed_pt")
    starts = [n * request["period"] for n in range(samples)]
    ends = [start + steps for start in starts]
    flushed = {}
    for start in starts:
        for step, *variable in request["flush"]:
            flushed.setdefault(start + step, []).append(variable)
    done = 0
    for pause in sorted({step for step in (*ends, *flushed, total) if step}):
        network.run(condition=RunSteps(num_steps=pause - done), run_cfg=configuration)
        done = pause
        for layer, part, name in flushed.get(done, ()):
            variable = getattr(getattr(network.layers[layer], part), name)
            variable.set(np.zeros(variable.shape, dtype=np.int32))
        send({"progress": sum(end <= done for end in ends), "total": samples})


def _as_input(frames, shape, period, total, *, late=False):
    """[N, T, C, H, W] in netx's order, (W, H, C, time) or (features, time); a sample every `period` steps.

    `late`: everything one step later.
    """
    spread = np.zeros((total, *frames.shape[2:]), dtype=np.int32)
    for n, sample in enumerate(frames):
        spread[n * period + late : n * period + late + len(sample)] = sample
    return spread.reshape(total, -1).T.copy() if len(shape) == 1 else spread.transpose(3, 2, 1, 0).copy()


def _as_frames(data, index, samples, steps, period):
    """A sink's data, (W, H, C, time) or (features, time), as [N, T, C, H, W], moved index + 1 steps earlier."""
    moved = np.moveaxis(data, -1, 0)
    if moved.ndim == 4:
        moved = moved.transpose(0, 3, 2, 1)
    starts = index + 1 + period * np.arange(samples)
    return np.stack([moved[start : start + steps] for start in starts])


def main() -> None:
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def send(message):
        with contextlib.suppress(OSError):  # the pipe is closed; `_listen` is about to end the session
            channel.write(json.dumps(message) + "\n")

    requests = queue.Queue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    threading.Thread(target=_watch, args=(send,), daemon=True).start()
    send({"ready": True})
    while True:
        line = requests.get()
        try:
            run(json.loads(line), send)
        except Exception as error:
            with contextlib.suppress(OSError):
                traceback.print_exc()
            send({"error": f"{type(error).__name__}: {error}"})
        else:
            send({"done": True})


def _listen(requests) -> None:
    """Reads requests; when standard input is closed, ends the session, even while a network runs.

    Reads the bare descriptor: Lava forks, and a fork would inherit the lock of a buffered reader that waits.
    """
    rest = b""
    while chunk := os.read(0, 65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            requests.put(line)
    _leave(0)


class Started:
    """The processes that Lava started for one network, and whether one of them ended too early.

    Lava would wait for such a process without end. When a further process is started, multiprocessing reaps the dead
    ones, so that searching for zombies would miss some. The process objects are kept instead; they hold exit codes.
    """

    def __init__(self) -> None:
        self._all = []
        self._ending = False
        start = multiprocessing.process.BaseProcess.start

        def recorded_start(process):
            self._all.append(process)  # before it runs: it may end before `start` returns
            start(process)

        multiprocessing.process.BaseProcess.start = recorded_start

    def forget(self) -> None:
        """Forgets the processes of the network before."""
        self._all, self._ending = [], False

    def ending(self) -> None:
        """Lava now ends its processes, with SIGTERM where one does not end in time; this is not an error."""
        self._ending = True

    def lost(self):
        """How a process ended too early, as text; None if all run or ended with code 0."""
        for process in list(self._all):
            popen = getattr(process, "_popen", None)  # None while it is being started
            if popen is None:
                continue
            code = popen.returncode
            if code is None:
                with contextlib.suppress(ChildProcessError):
                    dead = os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                    if dead:
                        code = dead.si_status if dead.si_code == os.CLD_EXITED else -dead.si_status
            if not code or (self._ending and code == -signal.SIGTERM):
                continue
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            return f"process {popen.pid} of Lava's {how}"
        return None


started = Started()


def _watch(send) -> None:
    """Reports a process of Lava that ended too early, and ends the session."""
    while hasattr(os, "waitid"):
        time.sleep(0.25)
        if words := started.lost():
            send({"error": words})
            _leave(1)


def _leave(status) -> None:
    """Ends the session, this process last, and removes its files."""
    sockets = multiprocessing.util.get_temp_dir()
    session.end(os.getsid(0), os.getcwd())
    shutil.rmtree(sockets, ignore_errors=True)
    os._exit(status)


if __name__ == "__main__":
    try:
        main()
    finally:
        _leave(1)
