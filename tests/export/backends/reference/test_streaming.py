"""What the reference reads and holds: lazy frames, budgets, refusals, engines to fall back on."""

import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from random_networks import random_frames, random_network
from reference_cases import ENGINES

from spikeport.errors import UserError
from spikeport.export.backends.reference import storage
from spikeport.export.backends.reference.events import thread_count
from spikeport.export.backends.reference.simulate import iter_simulate, simulate
from spikeport.export.formats.frames_file import open_frames
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import Readout


def small(**given):
    options = {"kind": "dense", "bias": None, "i_decay": 4096, "v_decay": 300, "vth_mant": 40} | given
    weight = np.array([[30, -20, 44], [-6, 50, 12]])
    return IntegerNetwork(
        input_shape=(3,), layers=(IntegerLayer(name="fc", weight=weight, input_shape=(3,), **options),)
    )


def frames_of(samples, steps=7, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (samples, steps, 3)).astype(np.uint8)


class Lazy:
    """Frames that only slice, and remember what was asked of them."""

    def __init__(self, frames):
        self.frames, self.shape, self.dtype, self.asked = frames, frames.shape, frames.dtype, []

    def __getitem__(self, rows):
        self.asked.append((rows.start, rows.stop))
        return self.frames[rows]


@pytest.mark.parametrize("engine", ENGINES)
def test_frames_are_read_in_pieces_that_the_budget_allows(engine, monkeypatch):
    monkeypatch.setattr(storage, "CHUNK_BYTES", 5 * 2 * 7 * 3)
    frames, seen = Lazy(frames_of(12)), []
    trace = simulate(small(), frames, engine=engine, progress=lambda done, total: seen.append((done, total)))
    assert frames.asked == [(0, 5), (5, 10), (10, 12)]
    assert seen == [(5, 12), (10, 12), (12, 12)]
    whole = simulate(small(), frames.frames, engine=engine)
    np.testing.assert_array_equal(trace.spikes, whole.spikes)
    np.testing.assert_array_equal(trace.counts.synops, whole.counts.synops)
    assert whole.spikes.any()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_streaming_form_gives_the_same_piece_by_piece(engine, monkeypatch):
    monkeypatch.setattr(storage, "CHUNK_BYTES", 800)
    network = small(vth_mant=131071)
    network = IntegerNetwork(input_shape=(3,), layers=network.layers, readout=Readout(kind="membrane"))
    frames = frames_of(11)
    whole = simulate(network, frames, keep_layers=True, engine=engine)
    parts = list(iter_simulate(network, frames, keep_layers=True, engine=engine))
    assert len(parts) > 2
    assert [rows.start for rows, _ in parts] == [0, *(rows.stop for rows, _ in parts[:-1])]
    np.testing.assert_array_equal(np.concatenate([trace.membrane for _, trace in parts]), whole.membrane)
    np.testing.assert_array_equal(np.concatenate([trace.layer_spikes[0] for _, trace in parts]), whole.layer_spikes[0])
    events = np.concatenate([trace.counts.events_in for _, trace in parts])
    np.testing.assert_array_equal(events, frames.sum(axis=(1, 2), dtype=np.int64)[:, None])


def test_a_mapped_file_is_read_and_stays_as_it_was(tmp_path):
    frames = frames_of(2000)
    np.save(tmp_path / "frames.npy", frames)
    mapped = np.load(tmp_path / "frames.npy", mmap_mode="r", allow_pickle=False)
    network = small()
    np.testing.assert_array_equal(simulate(network, mapped[3:]).spikes, simulate(network, frames[3:]).spikes)
    np.testing.assert_array_equal(mapped, frames)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads a process's memory as Linux tells it")
@pytest.mark.parametrize("opened", ["mapped", "reader"])
def test_pages_of_a_file_that_were_read_do_not_stay(tmp_path, opened):
    """128 MB of frames in a file, of which no more than a few chunks of 4 MiB are in memory afterwards."""
    path = tmp_path / "frames.npy"
    written = np.lib.format.open_memmap(path, "w+", np.uint8, (4000, 10, 3200))
    written[:] = 1
    del written
    frames = np.load(path, mmap_mode="r", allow_pickle=False) if opened == "mapped" else open_frames(path, (3200,))[0]
    weight = np.full((1, 3200), 2)
    layer = IntegerLayer(
        name="fc", kind="dense", weight=weight, bias=None, i_decay=4096, v_decay=0, vth_mant=1, input_shape=(3200,)
    )
    network = IntegerNetwork(input_shape=(3200,), layers=(layer,))
    before = file_pages()
    assert simulate(network, frames, memory_bytes=8 << 20).spikes.all()
    assert file_pages() - before < 16 << 20


def file_pages():
    """Bytes of mapped files in this process's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssFile"))


def test_work_stays_within_the_budget(tmp_path):
    """2,000 samples of 200 KB from a mapped file within 24 MiB, output of 4 MB included."""
    frames = np.lib.format.open_memmap(tmp_path / "frames.npy", "w+", np.uint8, (2000, 100, 2000))
    frames[::7, ::3, 5] = 1
    weight = np.full((20, 2000), 2)
    layer = IntegerLayer(
        name="fc", kind="dense", weight=weight, bias=None, i_decay=4096, v_decay=0, vth_mant=1, input_shape=(2000,)
    )
    network = IntegerNetwork(input_shape=(2000,), layers=(layer,))
    mapped = np.load(tmp_path / "frames.npy", mmap_mode="r", allow_pickle=False)
    simulate(network, mapped[:1])  # compiled and imported
    budget = 24 << 20
    tracemalloc.start()
    try:
        trace = simulate(network, mapped, memory_bytes=budget)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert trace.spikes.nbytes < peak < budget
    assert trace.spikes.sum() == 286 * 34 * 20


def test_a_budget_that_holds_no_sample_is_refused():
    with pytest.raises(UserError, match=r"budget of 0.0 MiB is too small.*iter_simulate"):
        simulate(small(), frames_of(3), memory_bytes=1000)


@pytest.mark.parametrize(("value", "dtype"), [(2, np.uint8), (-1, np.int64), (0.5, float), (float("nan"), float)])
def test_values_that_are_no_spikes_are_refused_by_sample(value, dtype):
    frames = frames_of(9).astype(dtype)
    frames[6, 2, 1] = value
    with pytest.raises(UserError, match=rf"sample 6 holds {value}"):
        simulate(small(), frames)


@pytest.mark.parametrize("dtype", [bool, np.int32, np.float32])
def test_other_types_of_frames_mean_the_same(dtype):
    frames = frames_of(5)
    np.testing.assert_array_equal(simulate(small(), frames.astype(dtype)).spikes, simulate(small(), frames).spikes)
    frames.setflags(write=False)
    np.testing.assert_array_equal(simulate(small(), frames).spikes, simulate(small(), frames.copy()).spikes)


def test_words_are_no_frames():
    with pytest.raises(UserError, match="are not numbers"):
        simulate(small(), np.full((1, 2, 3), "1"))


def test_a_drive_beyond_a_bias_is_refused_by_sample():
    layer = IntegerLayer(
        name="in", kind="input", weight=np.array([-40]), bias=np.array([-20, -20, -20]), i_decay=4096, v_decay=0,
        vth_mant=9, input_shape=(3,),
    )  # fmt: skip
    network = IntegerNetwork(input_shape=(3,), layers=(layer,))
    frames = 100 * frames_of(4)
    assert simulate(network, frames).spikes.shape == (4, 7, 3)
    frames[2, 1, 1] = 102  # -40 * 102 - 20 = -4100
    with pytest.raises(UserError, match=r"sample 2 holds 102, which is outside 0..101: input x drives in by"):
        simulate(network, frames)


def test_without_numba_the_dense_engine_serves(monkeypatch):
    expected = simulate(small(), frames_of(4), engine="events")
    monkeypatch.setitem(sys.modules, "numba", None)
    np.testing.assert_array_equal(simulate(small(), frames_of(4)).spikes, expected.spikes)
    with pytest.raises(UserError, match="numba is not installed"):
        simulate(small(), frames_of(4), engine="events")


def test_an_unknown_engine_is_refused():
    with pytest.raises(UserError, match="use auto, events or dense"):
        simulate(small(), frames_of(1), engine="fast")


def test_a_membrane_that_was_reset_is_reported():
    network = IntegerNetwork(input_shape=(3,), layers=small().layers, readout=Readout(kind="membrane"))
    with pytest.warns(UserWarning, match="fc fired in 2 samples"):
        simulate(network, np.ones((2, 7, 3), np.uint8))


@pytest.mark.parametrize(("variable", "expected"), [("1", 1), ("1,4", 1), ("nonsense", None), ("9999", None)])
def test_threads_follow_the_environment(monkeypatch, variable, expected):
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    counted = thread_count()
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert counted == (thread_count() if expected is None else expected)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_threads_change_nothing(monkeypatch, threads):
    monkeypatch.setattr("spikeport.export.backends.reference.events.thread_count", lambda: int(threads))
    rng = np.random.default_rng(5)
    network = random_network(rng)
    frames = rng.integers(0, 2, (97, 5, *network.input_shape)).astype(np.uint8)
    got, expected = (simulate(network, frames, engine=engine) for engine in ENGINES)
    np.testing.assert_array_equal(got.spikes, expected.spikes)
    np.testing.assert_array_equal(got.counts.updates_active, expected.counts.updates_active)


@pytest.mark.parametrize("engine", ENGINES)
def test_no_samples_and_no_steps_are_no_error(engine):
    assert simulate(small(), frames_of(0), engine=engine).spikes.shape == (0, 7, 2)
    assert simulate(small(), frames_of(2, steps=0), engine=engine).spikes.shape == (2, 0, 2)


@pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="needs a GPU")
@pytest.mark.parametrize("seed", range(20))
def test_a_gpu_gives_the_same(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng, rich=True)
    frames = random_frames(rng, network)
    with warnings.catch_warnings(action="ignore"):
        ours, theirs = (simulate(network, frames, device=device, engine="dense") for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(ours.spikes, theirs.spikes)
    np.testing.assert_array_equal(ours.counts.updates_active, theirs.counts.updates_active)
