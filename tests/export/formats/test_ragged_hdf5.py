"""Ragged arrays through the guarded child: the rows that were written, in order, or an error that names the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from spikeport.errors import UserError
from spikeport.export.formats.ragged_hdf5 import Ragged, read_members, read_rows
from spikeport.export.formats.safe_hdf5 import Unsupported

ROWS = 4_501  # two blocks


def ragged(file: h5py.File, name: str, rows: list[np.ndarray], **more: Any) -> h5py.Dataset:
    made = file.create_dataset(name, (len(rows),), h5py.vlen_dtype(rows[0].dtype), **more)
    for number, row in enumerate(rows):
        made[number] = row
    return made


def test_rows_are_those_that_were_written(tmp_path: Path) -> None:
    """Empty rows, compressed references, and more rows than a block has; two readers in turn.

    h5py 3.16 gives wrong values for big-endian ragged arrays: it loses their byte order.
    """
    generator = np.random.default_rng(4)
    lengths = generator.integers(0, 4, ROWS)
    half = [generator.random(n).astype(np.float16) for n in lengths]
    big = [generator.integers(0, 9, n).astype(">i4") for n in lengths]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        ragged(file, "g/half", half)
        ragged(file, "g/big", big, chunks=(700,), compression="gzip")
    one, other = (read_rows(tmp_path / "a.h5", ("g/half", "g/big")) for _ in range(2))
    found = list(zip(one, other, strict=True))
    assert len(found) == ROWS
    for pair, first, second in zip(found, half, big, strict=True):
        for row in pair:
            assert [column.dtype for column in row] == [np.float16, ">i4"]
            assert [column.tolist() for column in row] == [first.tolist(), second.tolist()]


def test_no_rows(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("r", (0,), h5py.vlen_dtype(np.float32))
    assert list(read_rows(tmp_path / "a.h5", ["r"])) == []


def test_named_values_come_without_the_rest(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        ragged(file, "r", [np.zeros(3, np.uint16)] * 5)
        file["n"] = np.arange(6).reshape(2, 3)
        file["names"] = ["ab", "größer"]
        file["pair"] = np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
        file["elsewhere"] = h5py.SoftLink("/n")
    found = read_members(tmp_path / "a.h5", ("names", "r", "pair", "n"))
    assert found["r"] == Ragged(np.dtype(np.uint16), (5,))
    assert isinstance(found["pair"], Unsupported)
    assert isinstance(found["names"], np.ndarray)
    assert found["names"].tolist() == ["ab", "größer"]
    np.testing.assert_array_equal(found["n"], [[0, 1, 2], [3, 4, 5]])  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"a\.h5: this file cannot be read: it has a link in place of 'elsewhere'"):
        read_members(tmp_path / "a.h5", ("n", "elsewhere"))


def shared(file: h5py.File) -> None:
    """Every row refers to the values of the first one."""
    rows = ragged(file, "r", [np.arange(5_000.0), *[np.zeros(1)] * 30])
    at = rows.id.get_offset()
    name = file.filename
    file.close()
    content = bytearray(Path(name).read_bytes())
    content[at : at + 16 * 31] = content[at : at + 16] * 31
    Path(name).write_bytes(content)


@pytest.mark.parametrize(("fill", "words"), [
    (shared, "recordings 0 to 30 of r are longer than the file"),
    (lambda f: f.create_dataset("r", (1 << 40,), h5py.vlen_dtype(np.uint8), chunks=(64,)), "declares 1099511627776"),
    (lambda f: f.create_dataset("r", (3, 2), h5py.vlen_dtype(np.uint8)), "not a ragged array of numbers"),
    (lambda f: f.create_dataset("r", (3,), h5py.string_dtype()), "not a ragged array of numbers"),
    (lambda f: f.create_dataset("r", (3,), "f4"), r"r is float32 \[3\], not a ragged array of numbers"),
    (lambda f: f.create_group("r"), "r is not a data set"),
    (lambda f: None, "there is no r in it"),
])  # fmt: skip
def test_what_is_no_ragged_array_or_cannot_be_true_is_refused(tmp_path: Path, fill: Any, words: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        fill(file)
    with pytest.raises(UserError, match=rf"a\.h5: this file cannot be read: .*{words}"):
        list(read_rows(tmp_path / "a.h5", ["r"]))


def test_arrays_have_one_length(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        ragged(file, "r", [np.zeros(2)] * 5)
        ragged(file, "s", [np.zeros(2)] * 4)
    with pytest.raises(UserError, match="r has 5 recordings, s has 4"):
        next(read_rows(tmp_path / "a.h5", ("r", "s")))


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    for name, count in (("a.h5", 2 * ROWS), ("other.h5", 2 * ROWS - 1)):
        with h5py.File(tmp_path / name, "w") as file:
            ragged(file, "r", [np.zeros(1)] * count)
    rows = read_rows(tmp_path / "a.h5", ["r"])
    next(rows)
    os.replace(tmp_path / "other.h5", tmp_path / "a.h5")
    with pytest.raises(UserError, match=r"a\.h5: this file cannot be read: it changed while it was read"):
        list(rows)
