"""Tiny folders of the named sets in their real layout and formats, by name of the source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from data_folders import write_idx
from PIL import Image
from spike_trains import write_part

from spikeport.pipeline.run.sections.data import Data

CALTECH = ("BACKGROUND_Google", "Faces_easy", "accordion")
GESTURES = 11


def nmnist_file(path: Path, seed: int, size: tuple[int, int] = (34, 34)) -> None:
    """N-MNIST's 40 bits an event: x 8, y 8, polarity 1, time 23, most significant first; 60 events in 300 ms."""
    generator = np.random.default_rng(seed)
    times = np.sort(generator.integers(0, 300_000, 60))
    x, y = generator.integers(0, size[1], 60), generator.integers(0, size[0], 60)
    y[:2], x[:2] = (0, size[0] - 1), (0, size[1] - 1)  # corners, so that the bounding box is known
    words = [int(a) << 32 | int(b) << 24 | int(s % 2) << 23 | int(t) for s, (a, b, t) in enumerate(zip(x, y, times))]  # noqa: B905
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(word.to_bytes(5, "big") for word in words))


def picture(path: Path, value: int, size: tuple[int, int] = (30, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value // 2, 255 - value)).save(path)


def nmnist(root: Path, train: int = 12, test: int = 6) -> Data:
    """Digits 0, 3 and 7 in turn; recording 00001 of a part belongs to its first image; there are two more images."""
    for folder, prefix, count in (("Train", "train", train), ("Test", "t10k", test)):
        labels = np.resize([3, 0, 7], count + 2)
        images = np.random.default_rng(count).integers(0, 256, (count + 2, 28, 28))
        write_idx(root / "MNIST" / "raw", images, labels, prefix)
        for row in range(count):
            nmnist_file(root / "NMNIST" / folder / str(labels[row]) / f"{row + 1:05}.bin", 100 * count + row)
    return _data("nmnist", root, height=34, width=34, split="official", validation=3, test=test)


def ncaltech101(root: Path, each: int = 10) -> Data:
    """Recordings of many sizes in unequal classes; Caltech101 has one class and some files more, as the real one."""
    images = root / "Caltech101" / "101_ObjectCategories"
    for label, name in enumerate(CALTECH):
        for n in range(1, each + label + 1):
            size = (20 + n, 31 + label)
            nmnist_file(root / "NCALTECH101" / "Caltech101" / name / f"image_{n:04}.bin", 50 * label + n, size)
            picture(images / name / f"image_{n:04}.jpg", 70 * label + 6 * n, size[::-1])
    picture(images / "Faces" / "image_0001.jpg", 9)
    (images / "BACKGROUND_Google" / "tmp").write_bytes(b"no picture")
    return _data("ncaltech101", root, height=12, width=16, split="first", validation=3, test=3)


def aedat2_file(path: Path, seed: int) -> None:
    """AEDAT 2.0 of a DVS128, the format of CIFAR10-DVS: 80 events in 1.2 s."""
    generator = np.random.default_rng(seed)
    address = generator.integers(0, 2**15, 80)
    words = np.stack([address, np.sort(generator.integers(0, 1_200_000, 80))], axis=1).astype(">u4")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n" + words.tobytes())


def cifar10dvs(root: Path, each: int = 6) -> Data:
    """Three classes; image 2 n + 1 of a batch file belongs to recording n, as in pairs.csv."""
    lines = ["recording,image"]
    generator = np.random.default_rng(8)
    folder = root / "CIFAR10" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for label, name in enumerate(("airplane", "automobile", "bird")):
        records = []
        for n in range(each):
            key = f"{name}/cifar10_{name}_{n + 7}"
            aedat2_file(root / "CIFAR10DVS" / f"{key}.aedat", 90 * label + n)
            lines.append(f"{key},data_batch_{label + 1}/{2 * n + 1}")
            for filler in (9, label):
                records.append(np.concatenate([[filler], generator.integers(0, 256, 3072)]))
        (folder / f"data_batch_{label + 1}.bin").write_bytes(np.array(records, np.uint8).tobytes())
        np.array([label, *range(256), *generator.integers(0, 256, 2816)], np.uint8).tofile(folder / "test_batch.bin")
    (root / "pairs.csv").write_text("\n".join(lines) + "\n")
    return _data("cifar10dvs", root, height=32, width=16, validation=3, test=6, pairs="pairs.csv", step_us=240_000)


def cepdvs(root: Path, each: int = 12) -> Data:
    """Numbers without leading zeros, so that the order of names differs from that of numbers."""
    from scipy.io import savemat

    for label, name in enumerate(("fish", "trees", "vehicles_1")):
        for n in range(each):
            generator = np.random.default_rng(70 * label + n)
            path = root / "CEP-DVS" / "events" / name / f"{n}.mat"
            path.parent.mkdir(parents=True, exist_ok=True)
            columns = {"ts": np.sort(generator.integers(0, 500_000, 40)).astype(float)}
            columns |= {"x": generator.integers(3, 60, 40), "y": generator.integers(5, 50, 40)}
            savemat(path, {k: v[:, None] for k, v in (columns | {"p": generator.choice([-1, 1], 40)}).items()})
            picture(root / "CEP-DVS" / "images" / name / f"{n:03}.png", 80 * label + 6 * n)
    return _data("cepdvs", root, height=10, width=14, split="first", train=15, validation=6, test=9, step_us=100_000)


def dvsgesture(root: Path, people: int = 3) -> Data:
    """Four columns x, y, polarity and time in ms; each person makes each gesture once."""
    for part, first, count in (("ibmGestureTrain", 1, people), ("ibmGestureTest", 24, 1)):
        for user in range(first, first + count):
            folder = root / "DVSGesture" / part / f"user{user:02}_fluorescent_led"
            folder.mkdir(parents=True)
            for label in range(GESTURES):
                generator = np.random.default_rng(100 * user + label)
                table = generator.integers(0, [128, 128, 2, 6000], (90, 4)).astype(float)
                np.save(folder / f"{label}.npy", table[np.argsort(table[:, 3])])
    return _data("dvsgesture", root, height=16, width=16, split="official", validation=11, test=11, step_us=900_000)


def ncars(root: Path, train: int = 6, test: int = 4) -> Data:
    """DAT files of 60 events in 90 ms, of 120 x 100 pixels and smaller, in the folders of the archives."""
    for part, count in (("train", train), ("test", test)):
        for label, name in enumerate(("background", "cars")):
            folder = root / "NCARS" / part / name
            folder.mkdir(parents=True)
            for n in range(count + label):
                generator = np.random.default_rng(1000 * label + 10 * count + n)
                t = np.sort(generator.integers(0, 90_000, 60))
                x, y, p = generator.integers(0, (120 - n, 100 - n, 2), (60, 3)).T
                words = np.stack([t, x | y << 14 | p << 28], axis=1).astype("<u4").tobytes()
                (folder / f"obj_{n:06}_td.dat").write_bytes(b"% Data file\n% Version 2\n\x00\x08" + words)
    return _data("ncars", root, height=25, width=40, split="official", validation=3, test=9, step_us=30_000)


def asldvs(root: Path, each: int = 2, persons: int = 5) -> Data:
    """MATLAB files of three letters by five persons, as their archives are unpacked."""
    from scipy.io import savemat

    for person in range(1, persons + 1):
        for letter in "aky":
            folder = root / "ASLDVS" / f"Yin{person}" / letter
            folder.mkdir(parents=True)
            for n in range(each):
                generator = np.random.default_rng(100 * person + 10 * ord(letter) + n)
                x, y, pol = generator.integers(0, (240, 180, 2), (70, 3)).T
                columns = {"ts": np.sort(generator.integers(4_000, 104_000, 70)), "x": x, "y": y, "pol": pol}
                savemat(folder / f"{letter}_{n:04}.mat", {name: column[:, None] for name, column in columns.items()})
    return _data("asldvs", root, height=30, width=40, validation=6, test=6, step_us=25_000)


def pokerdvs(root: Path, sessions: int = 6) -> Data:
    """AEDAT 2.0 of one clock: each session has the four cards, 1 ms apart, and a pause of 60 ms follows."""
    for session in range(sessions):
        for label, name in enumerate(("club", "diamond", "heart", "spade")):
            path = root / "POKERDVS" / name / f"x{name}{session:02}.aedat"
            path.parent.mkdir(parents=True, exist_ok=True)
            generator = np.random.default_rng(10 * session + label)
            y, x, p = generator.integers(0, (35, 33, 2), (90, 3)).T
            times = 122_089 + 136_000 * session + 19_000 * label + np.linspace(0, 18_000, 90).astype(int)
            words = np.stack([y << 8 | x << 1 | 1 - p, times], axis=1).astype(">u4").tobytes()
            path.write_bytes(b"#!AER-DAT2.0\r\n# cards\r\n" + words)
    return _data("pokerdvs", root, height=35, width=35, validation=4, test=8, step_us=5_000)


def shd(root: Path) -> Data:
    """Four words of three speakers, of whom the third is tested only."""
    write_part(root / "SHD" / "shd_train.h5", (0, 1), 3)
    write_part(root / "SHD" / "shd_test.h5", (1, 2), 1)
    return _data("shd", root, channels=700, split="official", validation=4, test=8, step_us=150_000)


def ssc(root: Path) -> Data:
    """Three words in three parts."""
    for part, each in (("train", 3), ("valid", 2), ("test", 1)):
        write_part(root / "SSC" / f"ssc_{part}.h5", (each, each + 7), each, 3)
    return _data("ssc", root, channels=140, split="official", validation=6, test=6, step_us=150_000)


SETS = {
    "nmnist": nmnist,
    "ncaltech101": ncaltech101,
    "cifar10dvs": cifar10dvs,
    "cepdvs": cepdvs,
    "dvsgesture": dvsgesture,
    "ncars": ncars,
    "asldvs": asldvs,
    "pokerdvs": pokerdvs,
    "shd": shd,
    "ssc": ssc,
}
WITHOUT_IMAGES = ("dvsgesture", "ncars", "asldvs", "pokerdvs", "shd", "ssc")


def _data(source: str, root: Path, **more: Any) -> Data:
    return Data.model_validate({"source": source, "root": str(root), "steps": 4, "step_us": 75_000, **more})
