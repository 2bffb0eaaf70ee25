"""HDF5 through the guarded child: what h5py gives, or one clear error, whatever the file does to the library."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from spikeport.errors import UserError
from spikeport.export.formats import safe_hdf5
from spikeport.export.formats.safe_hdf5 import Tree, Unsupported, read_tree, text_of


def written(path, fill):
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def test_values_come_as_h5py_gives_them(tmp_path):
    arrays = {
        "ints": np.arange(-3, 9, dtype=np.int16).reshape(3, 4),
        "big": np.array([1.5, -2e300], dtype=">f8"),
        "half": np.float16([0.5]),
        "flags": np.array([True, False]),
        "scalar": np.uint64(2**63 + 1),
        "none": np.zeros((0, 3), dtype=np.float32),
        "fixed": np.array([b"dense"], dtype="S10"),
    }

    def fill(file):
        for name, array in arrays.items():
            file[f"a/b/{name}"] = array
        file.create_dataset("a/packed", data=np.arange(1000).reshape(10, 100), compression="gzip")
        file["text"] = "größer"
        file.create_dataset("edges", data=[["in", "fc"], ["fc", "out"]], dtype=h5py.string_dtype())
        file["a"].attrs["name"] = "fc 1"
        file["a"].attrs["scale"] = 0.1

    tree = read_tree(written(tmp_path / "f.h5", fill))
    inner = tree.members["a"].members["b"]
    for name, array in arrays.items():
        read = inner.members[name]
        assert (read.dtype, read.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(read, array)
    np.testing.assert_array_equal(tree.members["a"].members["packed"], np.arange(1000).reshape(10, 100))
    assert text_of(tree.members["text"]) == "größer"
    assert tree.members["edges"].tolist() == [["in", "fc"], ["fc", "out"]]
    assert (text_of(tree.members["a"].attributes["name"]), tree.members["a"].attributes["scale"]) == ("fc 1", 0.1)


def test_what_no_network_holds_is_named_not_read(tmp_path):
    def fill(file):
        file["pair"] = np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
        file["empty"] = h5py.Empty("f4")
        file["reference"] = file.ref
        file["latin"] = np.array([b"\xff\xfe"], dtype=h5py.string_dtype())
        file["kind"] = np.dtype("f4")

    members = read_tree(written(tmp_path / "f.h5", fill)).members
    assert all(isinstance(value, Unsupported) for value in members.values())
    assert "UTF-8" in members["latin"].what
    assert text_of(members["latin"]) is None


def loop(file):
    file["a/b"] = file["/"]


def deep(file):
    group = file
    for _ in range(40):
        group = group.create_group("g")


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (loop, "reached by more than one path"),
        (lambda f: f.__setitem__("x", f.create_dataset("y", data=1)), "reached by more than one path"),
        (lambda f: f.__setitem__("x", h5py.SoftLink("/y")), "'x' is a link"),
        (lambda f: f.__setitem__("x", h5py.ExternalLink("/etc/passwd", "/")), "'x' is a link"),
        (deep, "nested more than 32 deep"),
        (lambda f: f.create_dataset("x", shape=(1 << 40,), dtype="f8", chunks=(1024,)), "declares 8796093022208 bytes"),
        (lambda f: f.create_dataset("x", shape=(0, 1 << 62), dtype="u1", maxshape=(1, None)), "declares"),
        (
            lambda f: f.create_dataset("x", data=np.zeros(30 << 20, dtype=np.int64), compression="gzip"),
            "declares 251658240 bytes",
        ),
        (lambda f: f.create_dataset("x", shape=(9,), dtype="u1", external=[("/etc/passwd", 0, 9)]), "other files"),
    ],
)
def test_traps_are_refused(tmp_path, fill, words):
    path = written(tmp_path / "f.h5", fill)
    with pytest.raises(UserError, match=words):
        read_tree(path)


@pytest.mark.parametrize("data", [b"", b"PK not HDF5", b"\x89HDF\r\n\x1a\n" + bytes(200)])
def test_what_is_no_hdf5_is_said_so(tmp_path, data):
    (tmp_path / "f.h5").write_bytes(data)
    with pytest.raises(UserError, match=r"f\.h5: is not a readable HDF5 file: "):
        read_tree(tmp_path / "f.h5")
    with pytest.raises(UserError, match="no such file"):
        read_tree(tmp_path / "absent.h5")
    with pytest.raises(UserError, match="no such file"):
        read_tree(tmp_path)


def sound(path):
    return written(path, lambda file: file.__setitem__("x", np.arange(4)))


def child():
    assert safe_hdf5._child is not None
    return safe_hdf5._child.process


def test_one_child_serves_many_files_and_is_replaced_when_it_dies(tmp_path):
    path = sound(tmp_path / "f.h5")
    read_tree(path)
    first = child()
    for _ in range(20):
        read_tree(path)
    assert child() is first
    first.kill()
    first.wait()
    np.testing.assert_array_equal(read_tree(path).members["x"], np.arange(4))
    assert child() is not first


STARTED = "sys.stdout.buffer.write(bytes([255] * 8)); sys.stdout.flush()"


def script(tmp_path, body, start=STARTED):
    """A child that does `start`, and `body` where it should answer."""
    path = tmp_path / "safe_hdf5_child.py"
    path.write_text(f"import os, sys, time, signal\n{start}\nfor line in sys.stdin.buffer:\n    {body}\n")
    return path


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("raise ImportError('h5py is broken')", "ended with code 1; ImportError: h5py is broken"),
        ("os._exit(3)", "ended with code 3; it said nothing"),
        ("os.kill(os.getpid(), signal.SIGKILL)", r"\(SIGKILL\); it said nothing"),
    ],
)
def test_a_child_that_dies_at_its_start_accuses_no_file(tmp_path, monkeypatch, start, words):
    path = sound(tmp_path / "f.h5")
    safe_hdf5._release_child()
    with monkeypatch.context() as patch:
        patch.setattr(safe_hdf5, "__file__", str(script(tmp_path, "pass", start)))
        with pytest.raises(UserError, match=f"the process that reads HDF5 files does not start: .*{words}") as raised:
            read_tree(path)
    assert "no readable" not in str(raised.value)
    np.testing.assert_array_equal(read_tree(path).members["x"], np.arange(4))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"libhdf5 crashed on it \(SIGSEGV\)"),
        ("os.kill(os.getpid(), signal.SIGXCPU)", "does not come to an end"),
        ("time.sleep(3600)", "libhdf5 hangs on it"),
        ("sys.exit(7)", "ended with code 7"),
        ("sys.stdout.buffer.write(b'abc'); sys.stdout.flush(); os._exit(0)", "ended with code 0"),
    ],
)
def test_whatever_ends_the_child_is_one_error_and_the_next_file_is_read(tmp_path, monkeypatch, body, words):
    path = sound(tmp_path / "f.h5")
    safe_hdf5._release_child()
    fake = script(tmp_path, body)
    with monkeypatch.context() as patch:
        patch.setattr(safe_hdf5, "__file__", str(fake))
        patch.setattr(safe_hdf5, "TIMEOUT_S", 1.0 if "hangs" in words else 600.0)
        with pytest.raises(UserError, match=f"is not a readable HDF5 file: .*{words}"):
            read_tree(path)
    np.testing.assert_array_equal(read_tree(path).members["x"], np.arange(4))


def test_the_child_has_limits_and_none_of_ours(tmp_path):
    """Memory limited once it has read; the working directory's modules are not imported (-I)."""
    (tmp_path / "json.py").write_text("raise SystemExit('imported from the working directory')")
    path = sound(tmp_path / "f.h5")
    code = (
        "import sys\nfrom spikeport.export.formats import safe_hdf5\n"
        "safe_hdf5.read_tree(sys.argv[1])"
        "\nprint(open(f'/proc/{safe_hdf5._child.process.pid}/limits').read())"
    )
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert ran.returncode == 0, ran.stderr
    if sys.platform == "linux":
        limits = {line[:26].strip(): line[26:].split()[0] for line in ran.stdout.split("\n") if line[26:].split()}
        assert limits["Max address space"].isdigit()
        assert limits["Max cpu time"].isdigit()
        assert limits["Max core file size"] == "0"


def ends(pid, seconds=300):
    for _ in range(seconds * 20):
        if not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")
@pytest.mark.parametrize("how", ["return", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_the_child_ends_with_its_parent(tmp_path, how):
    path = sound(tmp_path / "f.h5")
    code = (
        "import os, sys\nfrom spikeport.export.formats import safe_hdf5\n"
        "safe_hdf5.read_tree(sys.argv[1])\nprint(safe_hdf5._child.process.pid, flush=True)\n"
    ) + ("" if how == "return" else how)
    ran = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert ends(int(ran.stdout))


def forked(path, answers):
    tree = read_tree(path)
    answers.put((isinstance(tree, Tree), safe_hdf5._child.process.pid))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_process_has_a_child_of_its_own(tmp_path):
    path = sound(tmp_path / "f.h5")
    read_tree(path)
    mine = child().pid
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    process = context.Process(target=forked, args=(path, answers))
    process.start()
    read, theirs = answers.get(timeout=600)
    process.join()
    assert read
    assert theirs != mine
    assert child().poll() is None
    np.testing.assert_array_equal(read_tree(path).members["x"], np.arange(4))


def test_signs_of_life_are_heard_and_give_more_time(tmp_path, monkeypatch):
    """Real ones come from a file of many objects (each hundred, see below); here a child sends three and ends."""
    path = tmp_path / "many.h5"
    with h5py.File(path, "w") as file:
        for index in range(450):
            file[f"g{index}"] = index
    heard = []
    monkeypatch.setattr(safe_hdf5.Watch, "again", lambda watch: heard.append(watch.timeout_s))
    tree = read_tree(path)
    assert len(tree.members) == 450
    assert int(tree.members["g449"]) == 449
    assert len(heard) == 4
    monkeypatch.undo()
    watch = safe_hdf5.Watch(child(), 100.0)
    watch._until -= 90
    before = watch._until
    watch.again()
    assert watch._until >= before + 90
    watch.over()


def test_processor_time_begins_anew_with_each_hundred_objects(tmp_path):
    """In a process of its own: the limit that the system holds grows while a file of 1,000 objects is read."""
    path = tmp_path / "many.h5"
    with h5py.File(path, "w") as file:
        for index in range(1000):
            file[f"g{index}"] = index
    code = (
        "import json, sys; path = sys.argv[1]; sys.argv[1] = json.dumps(sys.path)\n"
        "from spikeport.export.formats import safe_hdf5_child\n"
        "limits, signs = [], []\n"
        "safe_hdf5_child._lower = lambda kind, value: limits.append(kind == safe_hdf5_child.resource.RLIMIT_CPU)\n"
        "header, arrays = safe_hdf5_child.answer({'path': path}, lambda: signs.append(1))\n"
        "print(sum(limits), len(signs), len(arrays))"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=600)
    assert ran.stdout.split() == ["11", "10", "1000"], ran.stderr
