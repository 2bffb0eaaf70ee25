"""idx files: whole ones by hand, and headers that lie about what follows, read within bounds."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from data_folders import CLASSES, with_idx, write_idx

from spikeport import notes
from spikeport.errors import UserError
from spikeport.pipeline.data.readers import idx_files
from spikeport.pipeline.data.readers.idx_files import read_idx, read_labeled
from spikeport.pipeline.data.sources.class_folders import load

VALUES = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)


def idx(shape: tuple[int, ...], content: bytes = b"", kind: bytes = b"\x00\x00\x08") -> bytes:
    return kind + bytes([len(shape)]) + b"".join(struct.pack(">I", size) for size in shape) + content


def written(tmp_path: Path, content: bytes, name: str) -> Path:
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


NAMES = pytest.mark.parametrize("name", ["a-ubyte", "a-ubyte.gz"])


@NAMES
def test_a_whole_file(tmp_path: Path, name: str) -> None:
    found = read_idx(written(tmp_path, idx((2, 3, 5), VALUES.tobytes()), name))
    np.testing.assert_array_equal(found, VALUES)
    assert found.dtype == np.uint8
    assert read_idx(written(tmp_path, idx((0, 3)), name)).shape == (0, 3)


@NAMES
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "header missing"),
        (b"\x00\x00\x08", "header 000008"),
        (idx((2,), b"ab", kind=b"\x00\x00\x0d"), "header 00000d01"),
        (idx((2, 3))[:9], "header 000008020000000200"),
        (idx((2, 3), b"12345"), "its header states 2 x 3 bytes, 5 bytes follow"),
        (idx((2, 3), b"1234567"), "its header states 2 x 3 bytes, more follows"),
        (idx((1,) * 70, b"1"), "70 axes"),
        (idx((1,) * 255, b"1"), "255 axes"),
        (idx((65536,) * 4), "its header states 65,536 x 65,536 x 65,536 x 65,536 bytes, the file can hold"),
        (idx((2**31, 2**31, 4)), "its header states 2,147,483,648 x"),
        (idx((2**32 - 1,) * 8), "its header states 4,294,967,295 x"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    """The products of the last three are 0 or small in 64 bits."""
    with pytest.raises(UserError, match="this is not a complete idx file of bytes: ") as error:
        read_idx(written(tmp_path, content, name))
    assert why in str(error.value)


@pytest.mark.parametrize("damage", ["cut", "checksum", "no gzip"])
def test_damaged_gzip_is_named(tmp_path: Path, damage: str) -> None:
    whole = gzip.compress(idx((2, 3, 5), VALUES.tobytes()))
    content = {"cut": whole[:-9], "checksum": whole[:-8] + bytes(8), "no gzip": b"plain words"}[damage]
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.gz: this (idx file cannot be read|is not a complete idx file)"):
        read_idx(tmp_path / "a.gz")


def test_a_bomb_is_read_to_its_declared_size(tmp_path: Path) -> None:
    """64 MB of zeros behind a header of 30 bytes; and a header of 64 MB before 30 bytes."""
    bomb = written(tmp_path, idx((2, 3, 5), bytes(2**26)), "bomb.gz")
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="more follows"):
            read_idx(bomb)
        with pytest.raises(UserError, match="the file can hold"):
            read_idx(written(tmp_path, idx((2**26,), bytes(30)), "wide.gz"))
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_more_than_any_known_set_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(idx_files, "LARGEST", 29)
    with pytest.raises(UserError, match=r"of more than 29 bytes is not read: its header states 2 x 3 x 5 bytes"):
        read_idx(written(tmp_path, idx((2, 3, 5), VALUES.tobytes()), "a"))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.gz")
    with pytest.raises(UserError, match=r"a\.gz: only files are read: this is a named pipe"):
        read_idx(tmp_path / "a.gz")


def test_images_and_labels_belong_together(tmp_path: Path) -> None:
    images = written(tmp_path, idx((2, 3, 5), VALUES.tobytes()), "images")
    for shape in ((3,), (2, 1), (1, 2)):
        labels = written(tmp_path, idx(shape, bytes(int(np.prod(shape)))), "labels")
        with pytest.raises(UserError, match=r"images: images and labels do not belong together: \(2, 3, 5\) images"):
            read_labeled(images, labels)


def test_a_class_without_an_image_is_an_error(tmp_path: Path) -> None:
    """Folders called 2, 5 and 11 before labels 2 and 5 alone, and before letters."""
    options = with_idx(tmp_path).model_copy(update={"pairing": "class", "image_id_offset": 0})
    images = np.zeros((9, 3, 4))
    write_idx(tmp_path / "idx", images, np.resize([2, 5], 9))
    with pytest.raises(
        UserError, match=r"no image here has the label '11'.*1 of 3 classes have none.* are 2, 5\. Hint"
    ):
        load(options)
    for label, name in zip((2, 5, 11), CLASSES, strict=True):
        (tmp_path / "events" / str(label)).rename(tmp_path / "events" / name)
    with pytest.raises(UserError, match=r"train-labels.*no image here has the label 'ant'.*3 of 3 classes have none"):
        load(options)


def test_images_that_are_left_out_are_said(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(notes, "_printed", set())
    options = with_idx(tmp_path).model_copy(update={"pairing": "class", "image_id_offset": 0})
    write_idx(tmp_path / "idx", np.zeros((9, 3, 4)), np.resize([2, 7, 5, 11], 9))
    assert len(load(options).images.labels) == 7
    assert "2 images of " in (message := capsys.readouterr().err)
    assert "are left out: no recording has their label, 7\n" in message
