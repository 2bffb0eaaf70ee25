"""A disk that takes no more is one line, and leaves what was there before, whatever library does the writing."""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from full_disk import empty, fill, small_disk
from safetensors import SafetensorError

from spikeport.errors import CannotWriteError, UserError
from spikeport.export.formats.matching_ann import write_matching_ann
from spikeport.export.formats.netx.write import write_netx
from spikeport.export.formats.nir_file import write_nir
from spikeport.export.formats.onnx import export_onnx
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.spike_trace import SpikeTrace
from spikeport.files import atomic_folder, atomic_path, write_json, write_npz, write_text, writing
from spikeport.pipeline.data.frames.binning import Frames
from spikeport.pipeline.data.frames.facts import FACTS
from spikeport.pipeline.data.frames.packed import PackedFrames
from spikeport.pipeline.run.tensor_files import save_weights, write_tree

pytestmark = pytest.mark.slow

BIG = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8)


def network() -> IntegerNetwork:
    weight = 2 * np.random.default_rng(1).integers(-100, 100, (40, 3000))
    layer = IntegerLayer(
        name="fc", kind="dense", weight=weight, bias=None, i_decay=4096, v_decay=512, vth_mant=9, input_shape=(3000,)
    )
    return IntegerNetwork(input_shape=(3000,), layers=(layer,))


def graph() -> nir.NIRGraph:
    weight = np.random.default_rng(2).random((40, 3000))
    nodes = {
        "input": nir.Input(input_type={"input": np.array([3000])}),
        "fc": nir.Linear(weight=weight),
        "output": nir.Output(output_type={"output": np.array([40])}),
    }
    return nir.NIRGraph(nodes, [("input", "fc"), ("fc", "output")])


def cached(path: Path) -> None:
    from spikeport.pipeline.data.frames import cache

    frames = PackedFrames.pack(np.random.default_rng(3).integers(0, 2, (200, 3, 2, 20, 20), dtype=np.uint8))
    cache._write(path, "a" * 32, Frames(frames=frames, facts=np.zeros(200, FACTS)))


WRITERS = {
    "text": lambda path: write_text(path, "a" * 300_000),
    "json": lambda path: write_json(path, BIG.tolist()),
    "npz": lambda path: write_npz(path, big=BIG),
    "trace": lambda path: SpikeTrace(backend="reference", spikes=BIG.reshape(30, 100, 100)).save(path),
    "netx": lambda path: write_netx(network(), path),
    "nir": lambda path: write_nir(graph(), path),
    "weights": lambda path: save_weights(torch.nn.Linear(300, 300), path),
    "checkpoint": lambda path: write_tree({"a": torch.rand(300, 300)}, path),
    "onnx": lambda path: export_onnx(torch.nn.Linear(300, 300), torch.zeros(1, 300), path),
    "same shape": lambda path: write_matching_ann(network(), path),
    "frames of the cache": cached,
}


def refused(write, path: Path) -> None:
    """`write` cannot, says so in one line that names the file, and leaves folder and earlier file as they were."""
    path.write_bytes(b"before")
    held = sorted(path.parent.iterdir())
    with pytest.raises(CannotWriteError) as raised:
        write(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.cause
    assert path.read_bytes() == b"before"
    assert sorted(path.parent.iterdir()) == held


@pytest.fixture
def at_most():
    """Sets how large a file may grow, in bytes; more is EFBIG."""
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_may_not_grow(tmp_path, name, at_most):
    at_most(8192)
    refused(WRITERS[name], tmp_path / "a.bin")
    at_most(1 << 30)
    WRITERS[name](tmp_path / "a.bin")


@pytest.mark.parametrize("left", [0, 16384])
def test_a_disk_that_is_full(tmp_path, left):
    with small_disk(tmp_path / "disk", "8M") as disk:
        (disk / "here").mkdir()
        for write in WRITERS.values():
            (disk / "here" / "a.bin").write_bytes(b"before")
            fill(disk, left)
            refused(write, disk / "here" / "a.bin")
            empty(disk)
            write(disk / "here" / "a.bin")


NUMBERS = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("place", ["mkstemp", "fsync", "replace"])
def test_every_step_of_a_write_may_fail(tmp_path, monkeypatch, number, place):
    def fails(*_, **__):
        raise OSError(number, os.strerror(number))

    module = {"mkstemp": "tempfile", "fsync": "os", "replace": "os"}[place]
    monkeypatch.setattr(f"{module}.{place}", fails)
    refused(lambda path: write_text(path, "a"), tmp_path / "a.txt")


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    "made",
    [
        lambda number: OSError(number, os.strerror(number)),
        lambda number: SafetensorError(f"Error while serializing: I/O error: Full (os error {number})"),
        lambda number: RuntimeError(f"Can't write data (file write failed: errno = {number}, error message = 'Full')"),
    ],
)
def test_libraries_tell_it_in_their_own_ways(tmp_path, number, made):
    def write(path):
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise made(number)

    refused(write, tmp_path / "a.txt")


@pytest.mark.parametrize(
    "error", [ValueError("a"), KeyError("a"), FileNotFoundError(2, "no such file", "b"), OSError("b")]
)
def test_other_errors_stay_what_they_are(tmp_path, error):
    with pytest.raises(type(error)) as raised, atomic_path(tmp_path / "a.txt"):
        raise error
    assert raised.value is error
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_a_library_wraps_is_found():
    def wrapped():
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise UserError("torch cannot export this") from error

    with pytest.raises(CannotWriteError, match="No space left"), writing("a.onnx"):
        wrapped()


def put(folder, *, fails=None, **texts):
    with atomic_folder(folder) as temporary:
        for name, text in texts.items():
            write_text(temporary / name, text)
        if fails:
            raise fails


def test_a_folder_is_written_whole_or_not_at_all(tmp_path):
    def held():
        return {file.name: file.read_text() for file in out.iterdir()}

    out = tmp_path / "below" / "out"
    put(out, a="a", b="b")
    assert held() == {"a": "a", "b": "b"}
    (out / ".mine").write_text("kept")
    with pytest.raises(KeyError):
        put(out, a="new", fails=KeyError())
    assert held() == {"a": "a", "b": "b", ".mine": "kept"}
    put(out, b="new")
    assert held() == {"a": "a", "b": "new", ".mine": "kept"}
    assert [entry.name for entry in out.parent.iterdir()] == ["out"]
    with pytest.raises(KeyError):
        put(tmp_path / "never", a="a", fails=KeyError())
    assert [entry.name for entry in tmp_path.iterdir()] == ["below"]


def test_a_folder_on_a_full_disk_names_itself(tmp_path, at_most):
    at_most(8192)
    with pytest.raises(CannotWriteError, match=rf"{tmp_path}/out: cannot write here"):
        put(tmp_path / "out", a="a", b="b" * 9000)
    assert list(tmp_path.iterdir()) == []


def test_a_npz_of_another_name_has_that_name(tmp_path):
    write_npz(tmp_path / "trace", a=np.arange(3))
    with np.load(tmp_path / "trace") as found:
        assert found["a"].tolist() == [0, 1, 2]
    assert [entry.name for entry in tmp_path.iterdir()] == ["trace"]
