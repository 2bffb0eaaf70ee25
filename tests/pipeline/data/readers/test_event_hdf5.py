"""HDF5 as the tools of cameras write it: Metavision's, DSEC's, tables; filters that HDF5 lacks are named."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
from event_tuples import read, refusal

from spikeport.errors import MissingDependencyError, UserError
from spikeport.pipeline.data.readers.recordings import read_events, read_recording

EVENTS = [(40_000_003, 1279, 4, 1), (40_000_008, 6, 719, 0), (40_000_008, 0, 3, 1), (43_000_000_000, 5, 700, 0)]
METAVISION = [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")]  # of the compound data set CD/events
ECF, BLOSC = 0x8ECF, 32001  # registered numbers of HDF5 filters


def compound() -> np.ndarray:
    return np.array([(x, y, p, t) for t, x, y, p in EVENTS], METAVISION)


def metavision(path: Path, *, packed: int | None = None, body: bytes = b"") -> Path:
    """As Metavision writes it: events and an index of them, triggers, and the geometry as an attribute.

    With a filter of HDF5 that is not installed, `body` is the one chunk as that filter would have left it.
    """
    with h5py.File(path, "w") as file:
        file.attrs["geometry"], file.attrs["format"] = "1280x720", "ECF"
        group = file.create_group("CD")
        group["indexes"] = np.array([(0, 40_000_000)], [("id", "<u8"), ("ts", "<i8")])
        file["EXT_TRIGGER/events"] = np.zeros(2, [("p", "<i2"), ("t", "<i8"), ("id", "<i2")])
        if packed is None:
            group.create_dataset("events", data=compound(), chunks=(3,), compression="gzip", shuffle=True)
            return path
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_chunk((4,))
        layout.set_filter(packed, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((4,))
        made = h5py.h5d.create(group.id, b"events", h5py.h5t.py_create(compound().dtype, logical=True), space, layout)
        made.write_direct_chunk((0,), body)
    return path


def test_metavisions_events_are_read(tmp_path: Path) -> None:
    assert read(metavision(tmp_path / "a.hdf5")) == EVENTS
    found = read_recording(tmp_path / "a.hdf5", (720, 1280), label=0, key="k")
    assert found.events["x"].tolist() == [1279, 6, 0, 5]


def test_a_file_that_needs_ecf_says_so(tmp_path: Path) -> None:
    words = refusal(metavision(tmp_path / "a.hdf5", packed=ECF, body=b"\x07" * 20))
    assert "found /CD/events, compressed with Prophesee's ECF, whose plugin HDF5 does not find" in words
    assert "HDF5_PLUGIN_PATH" in words
    assert "metavision_file_to_dat" in words


def test_other_filters_are_those_of_hdf5plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = metavision(tmp_path / "a.h5", packed=BLOSC, body=b"\x07" * 20)
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)  # not installed
    with pytest.raises(MissingDependencyError, match=r"the HDF5 filter 32001.*pip install hdf5plugin.*h5repack"):
        read_events(path)
    monkeypatch.setitem(sys.modules, "hdf5plugin", ModuleType("hdf5plugin"))  # of a version without this filter
    assert "compressed with the filter 32001" in refusal(path)


def dsec(path: Path, **changes: np.ndarray) -> Path:
    """DSEC: times relative to t_offset, in 32 bits; ms_to_idx is the first event of each millisecond."""
    t, x, y, p = (np.array(column) for column in zip(*EVENTS[:3], strict=True))
    columns = {"t": (t - 40_000_000).astype("<u4"), "x": x.astype("<u2"), "y": y.astype("<u2"), "p": p.astype("u1")}
    with h5py.File(path, "w") as file:
        for name, column in (columns | changes).items():
            file.create_dataset(f"events/{name}", data=column, chunks=column.shape, compression="gzip")
        file["ms_to_idx"] = np.array([0, 3], "<u8")
        file["t_offset"] = np.int64(40_000_000)
    return path


def test_dsecs_events_are_read_from_their_own_zero(tmp_path: Path) -> None:
    assert read(dsec(tmp_path / "a.h5")) == [(t - 40_000_000, x, y, p) for t, x, y, p in EVENTS[:3]]
    words = refusal(dsec(tmp_path / "b.h5", x=np.array([3, 4], "<u2")))
    assert "x [2], y [3], p [3], so t, x, y and p are not columns of one length" in words


@pytest.mark.parametrize("name", ["events", "CD/events", "data", "0"])
@pytest.mark.parametrize("columns", ["txyp", "pxyt"])
def test_a_table_is_read_by_the_columns_of_the_recipe(tmp_path: Path, name: str, columns: str) -> None:
    table = np.array(EVENTS)[:, ["txyp".index(letter) for letter in columns]]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[name] = table
    assert read(tmp_path / "a.h5", columns) == EVENTS
    assert "data.columns = " in refusal(tmp_path / "a.h5")


def test_a_table_among_others_is_taken_if_columns_are_given(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["label"], file["stream"] = 3, np.array(EVENTS)
    assert read(tmp_path / "a.h5", "txyp") == EVENTS
    assert "data.columns = " in refusal(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["boxes"], file["frames"] = np.array(EVENTS), np.zeros((3, 2, 5, 4))
    assert "found boxes (int64 [4, 4]), frames (float64 [3, 2, 5, 4])" in refusal(tmp_path / "b.h5", "txyp")


def test_links_and_other_members_in_metavisions_place_are_named(tmp_path: Path) -> None:
    metavision(tmp_path / "other.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["CD"] = h5py.ExternalLink("other.h5", "CD")
    assert "found a link in place of 'CD'" in refusal(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_group("CD")["events"] = h5py.ExternalLink("other.h5", "CD/events")
    assert "found a link in place of 'events'" in refusal(tmp_path / "b.h5")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_group("CD/events/deeper")
        file["CD/indexes"] = np.arange(3)
    assert "found CD (group of events, indexes)" in refusal(tmp_path / "c.h5")
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file.create_group("CD").create_dataset("events", (5_000_000_000,), METAVISION, chunks=(1 << 20,))
    with pytest.raises(UserError, match="it declares 70,000,000,000 bytes of events"):
        read_events(tmp_path / "d.h5")
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["CD/events"] = np.zeros(3, [("x", "<u2"), ("y", "<u2"), ("t", "<i8")])
    assert "no field 'p', only x, y, t" in refusal(tmp_path / "e.h5")


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    content = metavision(tmp_path / "a.h5").read_bytes()
    path = tmp_path / "b.h5"
    refused = 0
    for at in range(0, len(content), 23):
        for odd in (content[:at], content[:at] + b"\xff\x00\xff" + content[at + 3 :]):
            path.write_bytes(odd)
            try:
                read_events(path)
            except UserError as error:
                refused += str(error).isprintable()
    assert refused > 300
