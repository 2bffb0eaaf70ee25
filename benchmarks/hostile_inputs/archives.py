"""Hostile archives of a data set that are already downloaded: forged archives, and archives with the expected MD5."""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from hostile_inputs.cases import Case
from hostile_inputs.event_files import as_file, some_events
from hostile_inputs.recordings import ANY

Make = Callable[[Path, np.random.Generator], bytes]
WORDS = ["data", "download", "nmnist", "--root", "root"]
BIN = as_file(".bin", some_events(np.random.default_rng(0)))


def _zip(members: dict[str, bytes] | Callable[[Path], dict[str, bytes]], mode: int = 0o644) -> Make:
    def make(folder: Path, rng: np.random.Generator) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("Train/0/1.bin", BIN)
            for name, content in (members(folder) if callable(members) else members).items():
                info = zipfile.ZipInfo(name)
                info.external_attr = mode << 16
                archive.writestr(info, content)
            archive.writestr("Train/1/2.bin", BIN)
        return buffer.getvalue()

    return make


def _tar(change: Callable[[tarfile.TarInfo, Path], object], form: str = "w:gz") -> Make:
    """A valid archive with one more member, which `change` makes."""

    def make(folder: Path, rng: np.random.Generator) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=form) as archive:
            for name in ("Train/0/1.bin", "odd", "Train/1/2.bin"):
                info = tarfile.TarInfo(name)
                info.size = len(BIN)
                if name == "odd":
                    change(info, folder)
                declared, info.size = info.size, min(info.size, len(BIN))
                block = bytearray(info.tobuf())
                if declared != info.size:  # a false size; the checksums are corrected
                    info.size = declared
                    block = bytearray(info.tobuf())
                    info.size = len(BIN)
                archive.fileobj.write(block)
                archive.fileobj.write(BIN.ljust(-(-len(BIN) // 512) * 512, b"\0") if info.isreg() else b"")
        return buffer.getvalue()

    return make


def _named(name: str) -> Callable[[tarfile.TarInfo, Path], object]:
    return lambda info, folder: setattr(info, "name", name)


def _kind(kind: bytes, target: str = "") -> Callable[[tarfile.TarInfo, Path], object]:
    def change(info: tarfile.TarInfo, folder: Path) -> None:
        info.type, info.linkname, info.size = kind, target.replace("OUT", str(folder.parent)), 0

    return change


def _two(first: bytes, target: str) -> Make:
    """A link, and a file whose path goes through the link."""

    def make(folder: Path, rng: np.random.Generator) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            link, file = tarfile.TarInfo("Train"), tarfile.TarInfo("Train/escaped")
            link.type, link.linkname, file.size = first, target.replace("OUT", str(folder.parent)), len(BIN)
            archive.addfile(link)
            archive.addfile(file, io.BytesIO(BIN))
        return buffer.getvalue()

    return make


def _overlapping(folder: Path, rng: np.random.Generator) -> bytes:
    """A thousand members of 64 MiB that share their bytes: 64 GiB from 64 KiB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("Train/0/0.bin", bytes(64 << 20))
        first = archive.infolist()[0]
        for number in range(1, 1000):
            other = zipfile.ZipInfo(f"Train/0/{number}.bin")
            for name in ("CRC", "compress_size", "file_size", "header_offset", "compress_type"):
                setattr(other, name, getattr(first, name))
            archive.filelist.append(other)
            archive.NameToInfo[other.filename] = other
    return buffer.getvalue()


def _bomb(folder: Path, rng: np.random.Generator) -> bytes:
    """Twelve members of 256 MiB of zeros."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(12):
            with archive.open(f"Train/0/{number}.bin", "w") as member:
                for _ in range(64):
                    member.write(bytes(4 << 20))
    return buffer.getvalue()


def _lying(folder: Path, rng: np.random.Generator) -> bytes:
    """A member whose header declares 2^32 - 2 bytes."""
    content = bytearray(_zip({"Train/0/3.bin": b"x" * 77})(folder, rng))
    return bytes(content).replace((77).to_bytes(4, "little"), (2**32 - 2).to_bytes(4, "little"))


def _locked(folder: Path, rng: np.random.Generator) -> bytes:
    """Encrypted members."""
    content = bytearray(_zip({})(folder, rng))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := content.find(mark, start + 1)) >= 0:
            content[start + at] |= 1
    return bytes(content)


def _any(name: str, form: str) -> Make:
    def make(folder: Path, rng: np.random.Generator) -> bytes:
        sound = _zip({})(folder, rng) if form == "zip" else _tar(_named("Train/2/3.bin"))(folder, rng)
        return ANY[name](rng, sound)

    return make


ZIPS: dict[str, Make] = {
    "sound": _zip({}),
    "a member above the folder": _zip({"../escaped": b"x"}),
    "a member far above": _zip({"../" * 30 + "tmp/spikeport-escaped": b"x"}),
    "a member above, with backslashes": _zip({"..\\..\\escaped": b"x"}),
    "an absolute member": _zip(lambda folder: {f"{folder.parent}/escaped": b"x"}),
    "a drive": _zip({"C:\\escaped": b"x"}),
    "a link out": _zip(lambda folder: {"Train/link": str(folder.parent).encode()}, stat.S_IFLNK | 0o777),
    "a link to /etc/passwd": _zip({"Train/0/9.bin": b"/etc/passwd"}, stat.S_IFLNK | 0o777),
    "a device": _zip({"Train/0/9.bin": b""}, stat.S_IFCHR | 0o666),
    "a FIFO": _zip({"Train/0/9.bin": b""}, stat.S_IFIFO | 0o666),
    "a program for everybody": _zip({"Train/run": b"#!/bin/sh"}, 0o6777),
    "names that steer": _zip({"Train/\x1b[31m\u202e\n.bin": b"x"}),
    "a name of 5,000": _zip({"Train/" + "a" * 5000: b"x"}),
    "a name of 300 folders": _zip({"Train/" + "a/" * 300 + "b": b"x"}),
    "a file that is a folder too": _zip({"Train/0": b"x", "Train/0/1.bin/x": b"y"}),
    "an empty name": _zip({"": b"x"}),
    "20,000 members": _zip({f"Train/2/{n}.txt": b"" for n in range(20_000)}),
    "a bomb": _bomb,
    "members that overlap": _overlapping,
    "sizes that lie": _lying,
    "a password": _locked,
    "no member": lambda folder, rng: b"PK\x05\x06" + bytes(18),
    **{f"zip {name}": _any(name, "zip") for name in ANY},
}
TARS: dict[str, Make] = {
    "sound": _tar(_named("Train/2/3.bin")),
    "a member above the folder": _tar(_named("../escaped")),
    "an absolute member": _tar(lambda info, folder: setattr(info, "name", f"{folder.parent}/escaped")),
    "a link above": _tar(_kind(tarfile.SYMTYPE, "../../..")),
    "an absolute link": _tar(_kind(tarfile.SYMTYPE, "OUT")),
    "a hard link above": _tar(_kind(tarfile.LNKTYPE, "../../mine")),
    "an absolute hard link": _tar(_kind(tarfile.LNKTYPE, "/etc/passwd")),
    "a link to itself": _tar(_kind(tarfile.SYMTYPE, "odd")),
    "a device": _tar(_kind(tarfile.CHRTYPE)),
    "a disk": _tar(_kind(tarfile.BLKTYPE)),
    "a FIFO": _tar(_kind(tarfile.FIFOTYPE)),
    "through a link": _two(tarfile.SYMTYPE, "../.."),
    "through an absolute link": _two(tarfile.SYMTYPE, "OUT"),
    "names that steer": _tar(_named("Train/\x1b[31m\u202e\n")),
    "a name of 5,000": _tar(_named("Train/" + "a" * 5000)),
    "sizes that lie": _tar(lambda info, folder: setattr(info, "size", 1 << 40)),
    "negative time": _tar(lambda info, folder: setattr(info, "mtime", -1e10)),
    "setuid": _tar(lambda info, folder: setattr(info, "mode", 0o6777)),
    "packed by xz": _tar(_named("Train/2/3.bin"), "w:xz"),
    **{f"tar {name}": _any(name, "tar") for name in ANY},
}


def _build(file: str, make: Make) -> Callable[..., list[str]]:
    def build(folder: Path, rng: np.random.Generator) -> list[str]:
        (folder / "root" / "NMNIST").mkdir(parents=True)
        (folder / "mine").write_text("mine")
        (folder / "root" / "NMNIST" / file).write_bytes(make(folder, rng))
        return WORDS

    return build


def _prepare(file: str, trusted: bool) -> Callable[[], None]:
    """Disables the network and makes this archive the only one of the set; `trusted`: its MD5 is the expected one."""

    def prepare() -> None:
        from spikeport.pipeline.data.downloads import download
        from spikeport.pipeline.data.downloads.archives import Archive
        from spikeport.pipeline.data.sources.table import SOURCES

        def gone(url: str, md5: str, file: Path) -> None:
            raise OSError("no host is asked here")

        digest = hashlib.md5(Path("root/NMNIST", file).read_bytes(), usedforsecurity=False).hexdigest()
        archive = Archive(
            file=file, into="NMNIST", content_folder="NMNIST/Train", layout="<digit>/<id>.bin",
            suffix=(".bin",), count=2,
            url="https://localhost/nothing", md5=digest if trusted else "0" * 32,
        )  # fmt: skip
        SOURCES["nmnist"] = replace(SOURCES["nmnist"], archives=(archive,))
        download._fetch = gone

    return prepare


def cases() -> list[Case]:
    """All hostile archives, in order."""
    found = []
    for file, kinds in (("train.zip", ZIPS), ("train.tar.gz", TARS)):
        for name, make in kinds.items():
            built = _build(file, make)
            found.append(Case("archives", f"{file} {name}", built, ("root/NMNIST",), _prepare(file, True)))
            if not name.startswith(("zip ", "tar ")):
                prepare = _prepare(file, False)
                found.append(Case("archives", f"{file} {name}, forged", built, ("root/NMNIST",), prepare, (2, 3)))
    return found
