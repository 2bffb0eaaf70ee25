"""Every way in which class folders can be wrong is one line with a hint."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_folders import (
    CLASSES,
    data,
    with_idx,
    with_pictures,
    write_idx,
    write_picture,
    write_recording,
)

from spikeport.errors import MissingDependencyError, UserError
from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.data.sources.class_folders import load


def _remove(path: str) -> Callable[[Path], None]:
    return lambda root: shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()


def _empty(root: Path) -> None:
    for path in (root / "events" / "bee").iterdir():
        path.unlink()


def _one_class(root: Path) -> None:
    for name in CLASSES[1:]:
        shutil.rmtree(root / "events" / name)


def _same_id(root: Path) -> None:
    (root / "events" / "ant" / "000.npy").write_bytes(b"x")


def _same_number(root: Path) -> None:
    write_recording(root / "events" / "ant" / "0000.npz", 1)


def _foreign_file(root: Path) -> None:
    (root / "events" / "ant" / "notes.pdf").write_text("x")


def _no_picture(root: Path) -> None:
    for path in (root / "pictures" / "cat").iterdir():
        path.unlink()


def _broken_picture(root: Path) -> None:
    (root / "pictures" / "cat" / "002.png").write_bytes(b"\x89PNG no more")


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (
            _remove("events"),
            MissingDependencyError,
            ["events: the folder of recordings is not there", "/<class>/<id>.<ext>"],
        ),
        (
            _remove("pictures"),
            MissingDependencyError,
            ["pictures: the folder of static images", "train-images-idx3-ubyte.gz"],
        ),
        (_empty, UserError, ["events/bee: this class has no recording"]),
        (_one_class, UserError, ["a classifier needs two classes, 1 found"]),
        (_same_id, UserError, ["two recordings have the same id"]),
        (_same_number, UserError, ["two recordings claim one image", "0000.npz"]),
        (_foreign_file, UserError, ["no reader for notes.pdf", ".bin"]),
        (_remove("pictures/cat"), UserError, ["pictures/cat: this class has recordings, but no folder of images"]),
        (_no_picture, UserError, ["pictures/cat: this class has no image"]),
        (_remove("pictures/cat/002.png"), UserError, ["cat/002.npz: this recording has no image", "id 2"]),
        (_broken_picture, UserError, ["cat/002.png: this picture cannot be read"]),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, damage: Callable[[Path], None], kind: type[UserError], words: list[str]
) -> None:
    options = with_pictures(tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError) as caught:
        load(options)
    assert type(caught.value) is kind
    message = str(caught.value)
    assert "Hint: " in message
    for word in words:
        assert word in message


def test_a_damaged_recording_is_named_when_read(tmp_path: Path) -> None:
    options = with_pictures(tmp_path)
    (tmp_path / "events" / "bee" / "004.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"bee/004\.npz: this event file cannot be read"):
        load_dataset(options, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


def test_unique_ids_show_labels_that_disagree(tmp_path: Path) -> None:
    """Where no two images share an id, a recording in another class than its image is a mistake, not a new id."""
    for label, name in enumerate(CLASSES):
        for i in range(4):
            identity = 4 * label + i
            write_recording(tmp_path / "events" / name / f"{identity}.npz", identity)
            write_picture(tmp_path / "pictures" / name / f"{identity}.png", identity)
    (tmp_path / "events" / "ant" / "1.npz").rename(tmp_path / "events" / "cat" / "1.npz")
    with pytest.raises(UserError, match=r"cat/1\.npz: the labels .* in class cat, image 1 is of class ant"):
        load(data(tmp_path, images="pictures"))


def test_an_offset_asks_for_numbers(tmp_path: Path) -> None:
    options = with_idx(tmp_path)
    write_recording(tmp_path / "events" / "2" / "first.npz", 1)
    with pytest.raises(UserError, match="image_id_offset asks for numbers as ids, this file's is 'first'"):
        load(options)


@pytest.mark.parametrize("missing", ["root", "events"])
def test_a_missing_setting_is_named(tmp_path: Path, missing: str) -> None:
    with pytest.raises(UserError, match=rf"class-folders needs data\.{missing}"):
        load(with_pictures(tmp_path).model_copy(update={missing: ""}))


def test_damaged_idx_files_are_named(tmp_path: Path) -> None:
    options = with_idx(tmp_path)
    file = tmp_path / "idx" / "train-images-idx3-ubyte.gz"
    whole = file.read_bytes()
    for content in (b"", whole[:-20], b"\x1f\x8b nonsense"):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz: this (idx file cannot|is not a complete)"):
            load(options)
    write_idx(tmp_path / "idx", np.zeros((5, 3, 4)), np.zeros(6))
    with pytest.raises(UserError, match="images and labels do not belong together"):
        load(options)
    (tmp_path / "idx" / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(MissingDependencyError, match=r"place train-labels-idx1-ubyte\.gz in"):
        load(options)
