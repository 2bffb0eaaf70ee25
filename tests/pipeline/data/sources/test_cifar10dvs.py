"""CIFAR10-DVS, from tiny folders written as the real files are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from loaded_sets import found, image_of
from PIL import Image
from set_folders import SETS

from spikeport.errors import UserError


def test_cifar10dvs_pairs_by_the_file_of_pairs(tmp_path: Path) -> None:
    """Record 2 n + 1 of data_batch_<label + 1>: a label byte, then 1,024 bytes of each color."""
    collection = found(SETS["cifar10dvs"](tmp_path))
    for label, name in enumerate(("airplane", "automobile", "bird")):
        content = (tmp_path / "CIFAR10" / "cifar-10-batches-bin" / f"data_batch_{label + 1}.bin").read_bytes()
        for n in range(6):
            start = 3073 * (2 * n + 1)
            expected = np.frombuffer(content[start + 1 : start + 3073], np.uint8).reshape(3, 32, 32)
            np.testing.assert_array_equal(image_of(collection, f"{name}/cifar10_{name}_{n + 7}"), expected)
    assert set(collection.images.labels.tolist()) == {0, 1, 2}  # trucks, label 9, belong to no recording here
    assert collection.paired
    assert (
        "by class: originals of test recordings may be among"
        in found(SETS["cifar10dvs"](tmp_path / "other"), pairing="class", pairs="").description
    )


def test_cifar10_may_be_pictures(tmp_path: Path) -> None:
    data = SETS["cifar10dvs"](tmp_path)
    lines = ["recording,image"]
    for label, name in enumerate(("airplane", "automobile", "bird")):
        for n in range(6):
            path = tmp_path / "pictures" / name / f"{n:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), (40 * label + n, 0, 0)).save(path)
            lines.append(f"{name}/cifar10_{name}_{n + 7},{name}/{n:04}")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    collection = found(data, images="pictures")
    assert image_of(collection, "bird/cifar10_bird_9")[0, 0, 0] == 82


def _pickles(root: Path) -> None:
    for file in (root / "CIFAR10" / "cifar-10-batches-bin").iterdir():
        file.rename(file.with_suffix(""))


def _cut(root: Path) -> None:
    file = root / "CIFAR10" / "cifar-10-batches-bin" / "test_batch.bin"
    file.write_bytes(file.read_bytes()[:-1])


def _rewrite(old: str, new: str) -> Callable[[Path], None]:
    return lambda root: (root / "pairs.csv").write_text((root / "pairs.csv").read_text().replace(old, new)) and None


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_pickles, "Python version of CIFAR-10 is not read: data_batch_1 is a pickle.*cifar-10-binary.tar.gz"),
        (_cut, r"test_batch\.bin: this is not a complete file of CIFAR-10's binary version: 3,072 bytes"),
        (lambda root: (root / "pairs.csv").unlink(), "the file of pairs is not there"),
        (_rewrite("recording,image", "a,b"), "columns recording and image"),
        (_rewrite("bird/cifar10_bird_8,", "bird/x,"), "bird_8 has no image of its own: the file has no line for it"),
        (_rewrite("data_batch_3/3", "data_batch_3/33"), "image data_batch_3/33 does not exist"),
        (_rewrite("data_batch_3/3", "data_batch_2/3"), "image data_batch_2/3 is of class automobile"),
        (_rewrite("data_batch_3/3", "data_batch_3/1"), "image data_batch_3/1 is already that of bird/cifar10_bird_7"),
    ],
)
def test_what_is_wrong_with_cifar10_is_said(tmp_path: Path, damage: Callable[[Path], None], words: str) -> None:
    data = SETS["cifar10dvs"](tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=words):
        found(data)


def test_cifar10dvs_asks_how_to_pair(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'not published.*pairing = "class"'):
        found(SETS["cifar10dvs"](tmp_path), pairs="")
