"""Lava's processes: several at once, replaced when they fail or grow old, gone when nobody needs them."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest

from spikeport.errors import UserError
from spikeport.export.backends.lava import driver
from spikeport.export.backends.lava.driver import simulate
from spikeport.export.backends.lava.inside import session
from spikeport.export.backends.lava.process import LavaTimeout, LavaWorker
from spikeport.export.backends.reference.simulate import simulate as simulate_reference
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork

pytestmark = [pytest.mark.lava, pytest.mark.xdist_group("lava")]

ROOT = Path(__file__).parents[4]


@pytest.fixture
def network():
    rng = np.random.default_rng(11)
    weight = 2 * rng.integers(-60, 90, (7, 5))
    layer = IntegerLayer(
        name="fc", kind="dense", weight=weight, bias=None, i_decay=900, v_decay=30, vth_mant=170, input_shape=(5,)
    )
    return IntegerNetwork(input_shape=(5,), layers=(layer,))


@pytest.fixture
def frames():
    return (np.random.default_rng(12).random((90, 9, 5)) < 0.4).astype(np.uint8)


class Watched(LavaWorker):
    """Remembers every process."""

    started: list["Watched"]

    def __enter__(self):
        type(self).started.append(self)
        return super().__enter__()


@pytest.fixture
def watched(monkeypatch):
    Watched.started = []
    monkeypatch.setattr(driver, "LavaWorker", Watched)
    return Watched


def test_two_processes_give_what_the_reference_gives(watched, network, frames):
    seen = []
    trace = simulate(network, frames, workers=2, keep_layers=True, progress=lambda *now: seen.append(now))
    np.testing.assert_array_equal(trace.spikes, simulate_reference(network, frames).spikes)
    np.testing.assert_array_equal(trace.layer_spikes[0], trace.spikes)
    assert trace.spikes.sum() > 500
    assert seen == sorted(set(seen))
    assert seen[-1] == (90, 90)
    assert len(watched.started) == 2
    assert all(worker.networks for worker in watched.started)


def test_nothing_is_left_of_them(watched, network, frames):
    simulate(network, frames[:4], workers=1)
    assert session.members(watched.started[0]._process.pid) == []
    assert not Path(watched.started[0]._folder).exists()


def test_old_processes_are_replaced(watched, network, frames, monkeypatch):
    monkeypatch.setattr(driver, "NETWORKS_PER_PROCESS", 1)
    monkeypatch.setattr(driver, "JOB_S", 0.0)
    trace = simulate(network, frames[:25], workers=1)
    np.testing.assert_array_equal(trace.spikes, simulate_reference(network, frames[:25]).spikes)
    assert len(watched.started) == 4  # 22 samples are 200 steps, then one a job


@pytest.mark.parametrize("victim", ["worker", "part"])
def test_the_samples_of_a_killed_process_go_to_a_new_one(watched, network, frames, victim):
    """Killing the worker, or one of the processes that Lava starts for parts of the network."""
    killed = []

    def kill(done, total):
        if not killed and done > 30:  # in the second job: the first has 22 samples
            process = watched.started[0]._process.pid
            parts = [pid for pid in session.members(process) if pid != process and b"worker.py" in command(pid)]
            killed.append(process if victim == "worker" else parts[-1])
            os.kill(killed[0], signal.SIGKILL)

    many = np.concatenate([frames] * 8)
    trace = simulate(network, many, workers=1, progress=kill, timeout_s=1800)
    np.testing.assert_array_equal(trace.spikes, simulate_reference(network, many).spikes)
    assert killed
    assert len(watched.started) == 2
    assert session.members(watched.started[0]._process.pid) == []


@pytest.mark.parametrize("count", [1, 3, 4, 5, 7])
def test_a_process_lost_while_a_network_is_built_is_noticed(watched, network, frames, count):
    """The youngest of `count` processes is killed, most before Lava has started them all: multiprocessing reaps it
    when it starts the next one, so that no zombie is left to see."""
    killed = []

    def kill():
        while not killed:
            for worker in watched.started[:1]:
                living = session.members(worker._process.pid) if worker._process else []
                living = [pid for pid in living if b"worker.py" in command(pid)]
                if len(living) >= count:
                    killed.append(max(living, key=born))
                    os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    trace = simulate(network, frames[:20], workers=1, timeout_s=1800)
    thread.join()
    np.testing.assert_array_equal(trace.spikes, simulate_reference(network, frames[:20]).spikes)
    assert len(watched.started) <= 2  # tried again, unless a helper of Python's was hit that it starts anew


def born(pid):
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]), pid
    return 0, pid


def test_a_sample_on_which_lava_fails_twice_is_named(watched, network, frames):
    """22 samples are the first job, so the kill after 40 falls into the second one."""

    def kill(done, total):
        if done > 40:
            os.kill(watched.started[-1]._process.pid, signal.SIGKILL)

    with pytest.raises(
        UserError, match=r"Lava failed 2 times, the last on sample \d+: .*run this sample alone"
    ) as raised:
        simulate(network, np.concatenate([frames] * 8), workers=1, progress=kill)
    named = int(re.search(r"sample (\d+)", str(raised.value))[1])
    assert 40 <= named < 720
    assert len(watched.started) == 2


def test_a_time_out_keeps_what_is_done(network, frames, monkeypatch):
    """The time is up when a few samples are done, however long that took."""
    ahead_s = [0.0]
    clock = types.SimpleNamespace(monotonic=lambda: time.monotonic() + ahead_s[0])
    monkeypatch.setattr(driver, "time", clock)
    monkeypatch.setattr(driver, "JOB_S", 0.5)
    long = np.tile(frames, (4, 100, 1))

    def progress(done, total):
        if done > 3:
            ahead_s[0] = 10_000.0

    reported = r"did not finish within 9000 s: \d+ of 360 samples are done.*longer time-out"
    with pytest.raises(LavaTimeout, match=reported) as raised:
        simulate(network, long, workers=1, progress=progress, timeout_s=9000)
    done = raised.value.done
    assert 0 < len(done) < 360
    np.testing.assert_array_equal(done, np.arange(len(done)))
    np.testing.assert_array_equal(raised.value.trace.spikes, simulate_reference(network, long[done]).spikes)


def test_bad_frames_name_their_sample(network, frames):
    frames[7, 3, 2] = 2
    with pytest.raises(UserError, match=r"sample 7 has a value of 2, outside 0\.\.1.*--message-bits"):
        simulate(network, frames, workers=1)
    with pytest.raises(UserError, match="no time steps"):
        simulate(network, frames[:, :0])


def test_no_samples_are_no_work(network, frames):
    assert simulate(network, frames[:0]).spikes.shape == (0, 9, 7)


RUNS_LONG = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had us ignore it
import numpy as np
from spikeport.export.backends.lava.driver import simulate
from spikeport.export.backends.known_answers import known_network
simulate(known_network(), np.ones((4000, 50, 1), np.uint8), workers=2,
         progress=lambda done, total: print(done, flush=True))
"""


@pytest.fixture
def short_folder():
    """pytest's own are too long for the sockets that Lava's processes talk through."""
    with tempfile.TemporaryDirectory(prefix="sp-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_whoever_ends_the_driver_ends_lava(short_folder, how):
    """Ctrl-C, and even a kill that lets nobody clean up: no process, no file, no shared memory stays."""
    environment = os.environ | {"TMPDIR": str(short_folder), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", RUNS_LONG], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    )
    watchdog = threading.Timer(1800, process.kill)
    watchdog.start()
    assert process.stdout.readline(), "it did not start"
    watchdog.cancel()
    inside = living_in(short_folder)
    assert len(inside) > 4
    shared = set().union(*(session.shared_memory(pid) for pid in inside))
    assert shared
    process.send_signal(how)
    process.wait(30)
    end = time.monotonic() + 300
    while time.monotonic() < end and (living_in(short_folder) or list(short_folder.iterdir())):
        time.sleep(0.1)
    assert living_in(short_folder) == []
    assert list(short_folder.iterdir()) == []
    assert [path for path in shared if Path(path).exists()] == []


def living_in(folder):
    """Ids of processes whose working directory lies in `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder) in os.readlink(entry / "cwd") and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


def command(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
