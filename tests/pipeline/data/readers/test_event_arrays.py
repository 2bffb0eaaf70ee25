"""Files of arrays: what is not read is named with a way out, what lies about its size is refused before it is read."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from spikeport.errors import UserError
from spikeport.pipeline.data.readers import mat_files
from spikeport.pipeline.data.readers.event_columns import from_columns
from spikeport.pipeline.data.readers.recordings import Reading, read_events
from spikeport.pipeline.data.sources.event_files import list_events

T = np.array([3, 8, 8, 70_000], np.int64)
X = np.array([1, 6, 0, 5], np.int16)
Y = np.array([4, 0, 2, 3], np.int16)
P = np.array([1, 0, 0, 1], np.int8)
TABLE = np.stack([T, X, Y, P], axis=1)


def refusal(path: Path, **reading: str) -> str:
    with pytest.raises(UserError) as caught:
        read_events(path, reading=Reading(**reading))
    return str(caught.value)


@pytest.mark.parametrize("dtype", ["<u8", "<i4", "<f8", ">i8"])
@pytest.mark.parametrize("columns", ["txyp", "xytp", "pyxt"])
def test_tables_are_read_by_the_names_of_their_columns(tmp_path: Path, dtype: str, columns: str) -> None:
    table = TABLE[:, ["txyp".index(name) for name in columns]].astype(dtype)
    np.save(tmp_path / "a.npy", table)
    np.savez(tmp_path / "a.npz", table)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["events"] = table
    for name in ("a.npy", "a.npz", "a.h5"):
        found = read_events(tmp_path / name, reading=Reading(columns=columns))
        for field, column in zip("txyp", (T, X, Y, P), strict=True):
            np.testing.assert_array_equal(found[field], column)
        words = refusal(tmp_path / name)
        assert "found an array without fields, " in words
        assert f'data.columns = "{columns.replace("yx", "xy")}"' in words  # which of x and y comes first nobody can see
        assert "copy it again" not in words


def test_a_table_that_lies_on_its_side_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.concatenate([TABLE, TABLE]).T)
    assert "int64 [4, 8]" in refusal(tmp_path / "a.npy", columns="txyp")
    assert "transpose it to [N, 4]" in refusal(tmp_path / "a.npy", columns="txyp")


@pytest.mark.parametrize("on", [[-1, 1, 1, -1], [0, 1, 1, 0], [False, True, True, False], [-1.0, 1.0, 1.0, -1.0]])
def test_polarity_of_two_codes_is_taken(on: list) -> None:
    assert from_columns({"t": T, "x": X, "y": Y, "p": np.array(on)})["p"].tolist() == [0, 1, 1, 0]


def test_one_code_alone_is_what_it_says() -> None:
    for code, expected in ((-1, 0), (0, 0), (1, 1)):
        assert from_columns({"t": T, "x": X, "y": Y, "p": np.full(4, code)})["p"].tolist() == [expected] * 4


@pytest.mark.parametrize(
    ("codes", "named"),
    [([-1, 0, 1, 1], "-1, 0, 1"), ([-1, 0, 0, -1], "-1, 0"), ([1, 2, 1, 2], "1, 2"), ([0, 255, 0, 0], "0, 255")],
)
def test_other_polarities_are_refused_by_name(tmp_path: Path, codes: list[int], named: str) -> None:
    np.savez(tmp_path / "a.npz", t=T, x=X, y=Y, p=codes)
    words = refusal(tmp_path / "a.npz")
    assert f"found the polarities {named}; supported are 0 and 1 (or False and True), or -1 and 1" in words


def test_floats_are_taken_where_they_are_whole(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", t=T.astype(float), x=X.astype(np.float32), y=Y, p=P.astype(float))
    assert read_events(tmp_path / "a.npz")["t"].tolist() == T.tolist()
    for t, words in (
        (T * 1e-6, "t = 3e-06 at event 0, of type float64; supported are"),
        (T * 1e-6, "t spans 0.069997: if it is in s, convert it with numpy.rint(t * 1e6)"),
        (T + 0.25, "convert t to whole us, for example numpy.rint(t)"),
        (np.where(T == 8, np.nan, T), "t = nan at event 1"),
        (np.where(T == 8, np.inf, T), "t = inf at event 1"),
    ):
        np.savez(tmp_path / "a.npz", t=t, x=X, y=Y, p=P)
        assert words in refusal(tmp_path / "a.npz")


def test_layouts_of_other_tools_are_named_with_a_way_out(tmp_path: Path, shared_data: Path) -> None:
    def h5(name: str, **members: object) -> Path:
        with h5py.File(tmp_path / name, "w") as file:
            for key, value in members.items():
                file[key.replace("_", "/")] = value
        return tmp_path / name

    savemat(tmp_path / "td.mat", {"TD": {"x": X, "y": Y, "p": P, "ts": T}})
    (tmp_path / "v73.mat").write_bytes(b"MATLAB 7.3 MAT-file, by hand".ljust(600))
    np.savez(tmp_path / "frames.npz", frames=np.zeros((2, 3)), labels=np.zeros(2))
    (tmp_path / "array.dat").write_bytes((tmp_path / "frames.npz").read_bytes())
    (tmp_path / "raw.dat").write_bytes(b"% evt 3.0\n" + bytes(8))
    cases = {
        h5("two.h5", data=TABLE, more=TABLE): "found data (int64 [4, 4]), more (int64 [4, 4])",
        h5("deep.h5", davis_left_events=TABLE): "found davis (group of left)",
        h5("half.h5", events_t=T, events_x=X): "found events (group of t, x); supported are data sets t (in us), x, y",
        tmp_path / "td.mat": "found TD (1 x 1 struct); supported are the variables ts (in us), x, y and p. Hint: "
        'in MATLAB: ts = TD.ts, x = TD.x, y = TD.y, p = TD.p; save(file, "ts", "x", "y", "p", "-v7")',
        tmp_path
        / "v73.mat": "found a MATLAB file of version 7.3; supported are MATLAB files of version 5 to 7. Hint: save it",
        tmp_path / "frames.npz": "found frames (float64 [2, 3]), labels (float64 [2])",
        tmp_path / "array.dat": "this event file is not a .dat: its first bytes are those of .npz. Hint: rename it",
        tmp_path / "raw.dat": "found DAT of version unknown",
        shared_data / "samples" / "sample_stmnist.mat": "found spiketrain (101 x 2346 double)",
        shared_data / "samples" / "sample_aedat_header.aedat": "this event file is empty: it holds no event",
    }
    for path, words in cases.items():
        message = refusal(path)
        assert words in message, message
        assert "copy it again" not in message
        assert "\n" not in message


def npy(header: dict, body: bytes) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, header)
    return out.getvalue() + body


def test_declared_sizes_are_refused_before_they_are_taken(tmp_path: Path) -> None:
    """Each of these files of a few kB says that it holds gigabytes."""
    lie = npy({"descr": "<i8", "fortran_order": False, "shape": (3_000_000_000, 4)}, TABLE.tobytes())
    (tmp_path / "a.npy").write_bytes(lie)
    with zipfile.ZipFile(tmp_path / "lie.npz", "w") as archive:
        for name in "txyp":
            archive.writestr(f"{name}.npy", lie)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        column = npy({"descr": "|i1", "fortran_order": False, "shape": (60_000_000,)}, bytes(60_000_000))
        for name in "txyp":
            archive.writestr(f"{name}.npy", column)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "txyp":
            file.create_dataset(f"events/{name}", (3_000_000_000,), "<i8", chunks=(1 << 20,))
    savemat(tmp_path / "bomb.mat", dict.fromkeys("txyp", np.zeros(25_000_000, np.int8)), do_compression=True)
    small = io.BytesIO()
    savemat(small, {"t": np.zeros((3, 1))})
    matrix = small.getvalue()[128:]
    lies = [matrix[:-32] + struct.pack("<II", 9, 100_000_000) + bytes(100_000_000)]
    lies += [matrix.replace(b"t", name) for name in (b"x", b"y", b"p")]
    packed = [zlib.compress(each, 9) for each in lies]
    (tmp_path / "lie.mat").write_bytes(
        small.getvalue()[:128] + b"".join(struct.pack("<II", 15, len(each)) + each for each in packed)
    )
    expected = {
        "a.npy": "its header states 96,000,000,000 bytes, and it holds 128",
        "lie.npz": "its header states 96,000,000,000 bytes, and it holds 128",
        "bomb.npz": "it declares 240,000,512 bytes of events in",
        "a.h5": "it declares 96,000,000,000 bytes of events in",
        "bomb.mat": "it declares 100,000,000 bytes of events in",
        "lie.mat": "a packed variable holds more than the 4,120 bytes that its shape needs",
    }
    for name, words in expected.items():
        assert (tmp_path / name).stat().st_size < 500_000
        tracemalloc.start()
        message = refusal(tmp_path / name)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert words in message, message
        assert peak < 40 << 20, (name, peak)


def test_an_honest_file_that_packs_well_is_read(tmp_path: Path) -> None:
    count = 2_000_000  # 36 MB of columns in less than 200 kB
    columns = {"t": np.arange(count), "x": np.zeros(count, np.int16), "y": np.zeros(count, np.int64)}
    np.savez_compressed(tmp_path / "a.npz", **columns, p=np.zeros(count, bool))
    assert len(read_events(tmp_path / "a.npz")) == count


def test_nothing_outside_the_file_is_opened(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["t"] = T
        other["events/t"] = T
    layout = h5py.VirtualLayout(shape=T.shape, dtype=T.dtype)
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "t", shape=T.shape)
    T.tofile(tmp_path / "t.bin")
    makers = {
        "soft": lambda group, file: group.__setitem__("t", h5py.SoftLink("/elsewhere")),
        "external": lambda group, file: group.__setitem__("t", h5py.ExternalLink("other.h5", "t")),
        "virtual": lambda group, file: group.create_virtual_dataset("t", layout),
        "stored outside": lambda group, file: group.create_dataset(
            "t", T.shape, T.dtype, external=[(str(tmp_path / "t.bin"), 0, h5py.h5f.UNLIMITED)]
        ),
    }
    for name, make in makers.items():
        path = tmp_path / "linked.h5"
        with h5py.File(path, "w") as file:
            group = file.create_group("events")
            group["elsewhere"] = file["elsewhere"] = T
            for field, column in (("x", X), ("y", Y), ("p", P)):
                group[field] = column
            make(group, file)
        message = refusal(path)
        assert "store the events in the file itself" in message, (name, message)
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["events"] = h5py.ExternalLink("other.h5", "events")
    assert "found a link in place of 'events'" in refusal(tmp_path / "linked.h5")


def test_a_name_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.npy").write_bytes(b"x")
    try:
        os.rename(os.fsencode(tmp_path / "b" / "1.npy"), os.fsencode(tmp_path / "b") + b"/\xff\xfe.npy")
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(UserError, match="a file's name is not UTF-8") as caught:
        list_events(tmp_path)
    assert str(caught.value).isprintable()


def test_links_in_a_circle_are_one_line(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.npy").write_bytes(b"x")
    (tmp_path / "b" / "2.npy").symlink_to("2.npy")
    with pytest.raises(UserError, match=r"2\.npy") as caught:
        list_events(tmp_path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("turn", [False, True])
def test_matlab_variables_equal_scipys(tmp_path: Path, packed: bool, turn: bool) -> None:
    """Of every numeric type, long and short, beside what is no column of events."""
    generator = np.random.default_rng(7)
    dtypes = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "?")
    arrays = {f"v{at}{'x' * at}": generator.integers(0, 2, (9, 4)).astype(dtype) for at, dtype in enumerate(dtypes)}
    arrays |= {"one": np.array([[3.5]]), "none": np.zeros((0, 0)), "long": np.arange(70_000.0)[None]}
    savemat(tmp_path / "a.mat", arrays | {"words": "text", "s": {"a": 1}}, do_compression=packed)
    content = (tmp_path / "a.mat").read_bytes()
    found = {each.name: each for each in mat_files.variables(content)}
    expected = loadmat(tmp_path / "a.mat")
    assert [found["words"].numeric, found["s"].kind, found["s"].numeric] == [False, "struct", False]
    for name in arrays:
        np.testing.assert_array_equal(found[name].values(len(content)), expected[name])
        assert found[name].shape == expected[name].shape
    columns = {"timestamp": T, "x": X, "y": Y, "polarity": 2.0 * P - 1}
    savemat(tmp_path / "b.mat", {k: v[:, None] if turn else v[None] for k, v in columns.items()}, do_compression=packed)
    events = read_events(tmp_path / "b.mat")
    for field, column in zip("txyp", (T, X, Y, P), strict=True):
        np.testing.assert_array_equal(events[field], column)
    savemat(tmp_path / "c.mat", {"events": TABLE}, do_compression=packed)
    np.testing.assert_array_equal(read_events(tmp_path / "c.mat", reading=Reading(columns="txyp")), events)


def test_a_variable_that_ended_the_process_is_one_line(tmp_path: Path) -> None:
    """Bytes changed one by one in the tags: scipy's reader dies of a signal on some of them."""
    savemat(tmp_path / "a.mat", {"ts": T, "x": X, "y": Y, "p": P})
    whole = (tmp_path / "a.mat").read_bytes()
    path = tmp_path / "b.mat"
    refused = 0
    for at in range(128, len(whole)):
        for value in (0, 1, 0x0E, 0xFF):
            path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
            try:
                read_events(path)
            except UserError as error:
                refused += str(error).isprintable()
    assert refused > 500
