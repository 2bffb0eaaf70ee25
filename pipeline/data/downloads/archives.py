"""What each named set consists of: which archive brings which folder, and the words when it is not there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spikeport.errors import MissingDependencyError


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One file of a host. `into`: the folder under the root that it is unpacked in; `brings`: what is there then,
    with at least `count` files `*suffix`; `layout`: how they lie in `brings`; `inner`: archives inside it.

    `tonic`: the class of tonic.datasets and the prefix of its attributes that know address and MD5, where tonic
    does. An archive without an address must be asked for: `ask` says where.
    """

    file: str
    into: str
    brings: str
    layout: str
    suffix: tuple[str, ...]
    count: int
    tonic: tuple[str, str] | None = None
    url: str = ""
    md5: str = ""
    inner: tuple[str, ...] = ()
    unpack: bool = True
    ask: str = ""

    def is_complete(self, root: Path) -> bool:
        """Whether all that it brings is under `root`."""
        if not self.unpack:
            return (root / self.brings / self.file).is_file()
        return self.is_whole(root / self.brings)

    def is_whole(self, folder: Path) -> bool:
        """Whether `folder` has all files that it brings."""
        return sum(path.suffix.lower() in self.suffix for path in folder.rglob("*")) >= self.count

    def address(self) -> tuple[str, str]:
        """Where it is fetched from and its MD5."""
        if self.tonic is None:
            return self.url, self.md5
        import tonic.datasets

        known, prefix = getattr(tonic.datasets, self.tonic[0]), self.tonic[1]
        return getattr(known, f"{prefix}url"), getattr(known, f"{prefix}md5" if prefix else "file_md5")


def _mnist(file: str, md5: str) -> Archive:
    return Archive(
        file=file,
        into="MNIST/raw",
        brings="MNIST/raw",
        layout=file,
        suffix=(".gz",),
        count=1,
        url=f"https://ossci-datasets.s3.amazonaws.com/mnist/{file}",
        md5=md5,
        unpack=False,
    )


CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

ARCHIVES: dict[str, tuple[Archive, ...]] = {
    "nmnist": (
        Archive(
            file="train.zip",
            into="NMNIST",
            brings="NMNIST/Train",
            layout="<digit>/<id>.bin",
            suffix=(".bin",),
            count=60_000,
            tonic=("NMNIST", "train_"),
        ),
        Archive(
            file="test.zip",
            into="NMNIST",
            brings="NMNIST/Test",
            layout="<digit>/<id>.bin",
            suffix=(".bin",),
            count=10_000,
            tonic=("NMNIST", "test_"),
        ),
        _mnist("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        _mnist("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        _mnist("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        _mnist("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ),
    "ncaltech101": (
        Archive(
            file="N-Caltech101-archive.zip",
            into="NCALTECH101",
            brings="NCALTECH101/Caltech101",
            layout="<class>/image_0001.bin",
            suffix=(".bin",),
            count=8_709,
            tonic=("NCALTECH101", ""),
            inner=("Caltech101.zip",),
        ),
        Archive(
            file="caltech-101.zip",
            into="Caltech101",
            brings="Caltech101/101_ObjectCategories",
            layout="<class>/image_0001.jpg",
            suffix=(".jpg",),
            count=9_144,
            url="https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
            md5="3138e1922a9193bfa496528edbbc45d0",
            inner=("101_ObjectCategories.tar.gz",),
        ),
    ),
    "cifar10dvs": (
        Archive(
            file="CIFAR10DVS.zip",
            into="CIFAR10DVS",
            brings="CIFAR10DVS",
            layout="<class>/cifar10_<class>_<n>.aedat4 (or .aedat)",
            suffix=(".aedat4", ".aedat"),
            count=10_000,
            tonic=("CIFAR10DVS", ""),
            inner=tuple(f"{name}.zip" for name in CIFAR10),
        ),
        Archive(
            file="cifar-10-binary.tar.gz",
            into="CIFAR10",
            brings="CIFAR10/cifar-10-batches-bin",
            layout="data_batch_1.bin ... data_batch_5.bin, test_batch.bin",
            suffix=(".bin",),
            count=6,
            url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            md5="c32a1d4ab5d03f1284b67883e8d87530",
        ),
    ),
    "cepdvs": (
        Archive(
            file="CEP-DVS",
            into="CEP-DVS",
            brings="CEP-DVS/events",
            layout="<class>/<n>.mat (or .npz, .npy, .bin, .aedat4)",
            suffix=(".mat",),
            count=10_000,
            ask="its authors (github.com/Brain-Cog-Lab/Transfer-for-DVS, issue 2)",
        ),
        Archive(
            file="CEP-DVS",
            into="CEP-DVS",
            brings="CEP-DVS/images",
            layout="<class>/<n>.png",
            suffix=(".png", ".jpg"),
            count=10_000,
            ask="its authors (github.com/Brain-Cog-Lab/Transfer-for-DVS, issue 2)",
        ),
    ),
    "dvsgesture": (
        Archive(
            file="ibmGestureTrain.tar.gz",
            into="DVSGesture",
            brings="DVSGesture/ibmGestureTrain",
            layout="user01_fluorescent/0.npy",
            suffix=(".npy",),
            count=1_000,
            tonic=("DVSGesture", "train_"),
        ),
        Archive(
            file="ibmGestureTest.tar.gz",
            into="DVSGesture",
            brings="DVSGesture/ibmGestureTest",
            layout="user24_fluorescent/0.npy",
            suffix=(".npy",),
            count=200,
            tonic=("DVSGesture", "test_"),
        ),
    ),
}


def absent(name: str, brings: str, folder: Path, file: str = "") -> MissingDependencyError:
    """What to say where `brings` of set `name` is not at `folder`: what to place there, from which archive."""
    archive = next(a for a in ARCHIVES[name] if a.brings == brings and file in ("", a.file))
    return MissingDependencyError(
        f"{brings} of {name} is not there", where=str(folder), hint=how_to_get(name, archive, folder)
    )


def how_to_get(name: str, archive: Archive, folder: Path, *, tried: bool = False) -> str:
    """The command that brings an archive, and what to place where without it; only that where it was `tried`."""
    if archive.ask:
        return f"ask {archive.ask} for it, and place it as {folder}/{archive.layout}"
    if archive.unpack:
        files = " and then ".join((archive.file, *archive.inner[:1]))
        by_hand = f"unpack {files}, so that {folder}/{archive.layout} is there"
    else:
        by_hand = f"place {archive.file} in {folder}"
    by_hand += f" (from a copy of {archive.file} with MD5 {archive.address()[1]})"
    command = f"spikeport data download {name} --root DIR, and data.root = DIR"
    return f"the host may be gone: {by_hand}" if tried else f"{command}; where the host is gone, {by_hand}"
