"""Archives that are hostile or damaged write nothing outside their folder and leave nothing behind."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from archive_host import EVENTS, Host, left, quiet, set_archives, tarred, zipped

from spikeport import temporaries
from spikeport.errors import MissingDependencyError
from spikeport.pipeline.data.downloads.download import download


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_file_with_another_hash_never_gets_its_name(host: Host, tmp_path: Path, monkeypatch) -> None:
    set_archives(monkeypatch, "toy", (replace(host.archive("events.zip", zipped(EVENTS)), md5="0" * 32),))
    with pytest.raises(MissingDependencyError, match=r"events\.zip: File not found or corrupted"):
        download("toy", tmp_path, quiet)
    assert not (tmp_path / "IN" / "events.zip").exists()
    assert not (tmp_path / "IN" / "Events").exists()


OUTSIDE = ("../../out.bin", "/out.bin", "a/../../out.bin", "..\\out.bin", "C:\\out.bin")


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_cannot_write_outside_its_folder(host: Host, tmp_path: Path, monkeypatch, name, pack) -> None:
    content = pack({**EVENTS, name: b"x"})
    set_archives(monkeypatch, "toy", (host.archive("events.any", content),))
    with pytest.raises(MissingDependencyError, match=r"its member .*out\.bin.* leaves the folder"):
        download("toy", tmp_path / "root", quiet)
    assert left(tmp_path) == ["root/IN/events.any"]


def linked(kind: bytes, target: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("Events/link")
        member.type, member.linkname = kind, target
        archive.addfile(member)
        file = tarfile.TarInfo("Events/link/1.bin")
        archive.addfile(file, io.BytesIO())
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "../../.."), (tarfile.SYMTYPE, "/tmp"), (tarfile.LNKTYPE, "../../x"), (tarfile.CHRTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ],
)  # fmt: skip
def test_links_out_and_devices_are_refused(host: Host, tmp_path: Path, monkeypatch, kind: bytes, target: str) -> None:
    set_archives(monkeypatch, "toy", (host.archive("events.tar", linked(kind, target)),))
    with pytest.raises(MissingDependencyError, match=r"events\.tar: this archive is not unpacked"):
        download("toy", tmp_path, quiet)
    assert left(tmp_path) == ["IN/events.tar"]


def test_a_link_in_a_zip_is_refused(host: Host, tmp_path: Path, monkeypatch) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("Events/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc")
    set_archives(monkeypatch, "toy", (host.archive("events.zip", buffer.getvalue()),))
    with pytest.raises(MissingDependencyError, match="its member 'Events/link' is not a file"):
        download("toy", tmp_path, quiet)


def test_an_archive_in_place_is_unpacked_if_it_is_the_published_one(host: Host, tmp_path: Path, monkeypatch) -> None:
    toy = host.archive("events.zip", zipped(EVENTS))
    set_archives(monkeypatch, "toy", (toy,))
    (tmp_path / "IN").mkdir()
    forged = zipped(dict.fromkeys(EVENTS, b"forged"))
    (tmp_path / "IN" / "events.zip").write_bytes(forged)
    hashed: list[tuple[int, int, str]] = []
    with pytest.raises(MissingDependencyError) as caught:
        download("toy", tmp_path, quiet, lambda *reported: hashed.append(reported))
    assert f"its MD5 is {hashlib.md5(forged).hexdigest()}, not {toy.md5}" in str(caught.value)
    assert f"Hint: remove {tmp_path / 'IN' / 'events.zip'}; the same command then fetches it" in str(caught.value)
    assert left(tmp_path) == ["IN/events.zip"]
    assert hashed == [(0, 0, "checking events.zip (MB)")]
    assert host.asked == []
    (tmp_path / "IN" / "events.zip").write_bytes(host.files["events.zip"])
    assert download("toy", tmp_path, quiet)[0]["state"] == "fetched"
    assert host.asked == []
    hashed.clear()
    download("toy", tmp_path, quiet, lambda *reported: hashed.append(reported))
    assert hashed == []  # all is there: nothing is read again


def test_a_file_that_stays_packed_and_is_another_is_said(host: Host, tmp_path: Path, monkeypatch) -> None:
    toy = host.archive("labels.gz", b"packed", content_folder="RAW", into="RAW", unpack=False)
    set_archives(monkeypatch, "toy", (toy,))
    (tmp_path / "RAW").mkdir()
    (tmp_path / "RAW" / "labels.gz").write_bytes(b"own")
    state = "here, but not the published file: labels.gz has another MD5"
    assert download("toy", tmp_path, quiet) == [{"part": "RAW/labels.gz", "state": state}]
    (tmp_path / "RAW" / "labels.gz").unlink()
    os.mkfifo(tmp_path / "RAW" / "labels.gz")
    with pytest.raises(MissingDependencyError, match="only files are read: this is a named pipe"):
        download("toy", tmp_path, quiet)


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_that_is_cut_short_leaves_nothing(host: Host, tmp_path: Path, monkeypatch, cut: float, pack) -> None:
    noise = {name: np.random.default_rng(4).bytes(50_000) for name in EVENTS}
    content = pack(noise)
    set_archives(monkeypatch, "toy", (host.archive("events.any", content[: int(cut * len(content))]),))
    with pytest.raises(MissingDependencyError, match=r"events\.any"):
        download("toy", tmp_path, quiet)
    assert left(tmp_path) == ["IN/events.any"]


def test_an_archive_that_lacks_something_leaves_nothing(host: Host, tmp_path: Path, monkeypatch) -> None:
    set_archives(monkeypatch, "toy", (host.archive("events.zip", zipped({"Events/3/1.bin": b"one"})),))
    with pytest.raises(MissingDependencyError, match=r"IN/Events/<class>/<id>\.bin is not in it in full"):
        download("toy", tmp_path, quiet)
    assert left(tmp_path) == ["IN/events.zip"]


def bomb(pack: str) -> bytes:
    """200 MiB of zeros in less than 2 MiB."""
    buffer = io.BytesIO()
    zeros = bytes(50 * 2**20)
    if pack == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for n in range(4):
                archive.writestr(f"Events/3/{n}.bin", zeros)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for n in range(4):
                member = tarfile.TarInfo(f"Events/3/{n}.bin")
                member.size = len(zeros)
                archive.addfile(member, io.BytesIO(zeros))
    return buffer.getvalue()


@pytest.mark.parametrize("pack", ["zip", "tar"])
def test_a_bomb_is_refused(host: Host, tmp_path: Path, monkeypatch, pack: str) -> None:
    content = bomb(pack)
    most = 2**20 + 100 * len(content)
    set_archives(monkeypatch, "toy", (host.archive("events.any", content),))
    with pytest.raises(
        MissingDependencyError, match=f"it unpacks to more than {most:,} bytes, 100 times its {len(content):,}"
    ):
        download("toy", tmp_path, quiet)
    assert left(tmp_path) == ["IN/events.any"]


def test_an_archive_inside_has_no_bound_of_its_own(host: Host, tmp_path: Path, monkeypatch) -> None:
    """A bomb in a bomb: the inner one is small in the outer."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Events/1.bin", bytes(60 * 2**20))
        archive.writestr("Events/2.bin", bytes(60 * 2**20))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.zip", inner.getvalue())
    set_archives(monkeypatch, "toy", (host.archive("outer.zip", outer.getvalue(), inner=("inner.zip",)),))
    with pytest.raises(
        MissingDependencyError, match=r"outer\.zip: this archive is not unpacked: it unpacks to more than"
    ):
        download("toy", tmp_path, quiet)
    assert left(tmp_path) == ["IN/outer.zip"]


def test_a_tar_whose_own_records_are_huge_is_refused(host: Host, tmp_path: Path, monkeypatch) -> None:
    """A header of attributes of 1 GiB, which Python's reader would hold in memory."""
    member = tarfile.TarInfo("Events/x")
    member.type, member.size = tarfile.XHDTYPE, 2**30
    content = gzip.compress(member.tobuf() + bytes(4096))
    set_archives(monkeypatch, "toy", (host.archive("events.tar.gz", content),))
    with pytest.raises(MissingDependencyError, match=r"a record in it says it has 1,073,741,824 bytes"):
        download("toy", tmp_path, quiet)


def test_what_a_killed_unpacking_left_is_swept(host: Host, tmp_path: Path, monkeypatch) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    made = temporaries.temporary_folder(tmp_path)
    drop = temporaries.drop
    left_over = tmp_path / "IN" / made.name.replace(f"-{os.getpid()}-", f"-{gone.pid}-")
    drop(made)
    left_over.mkdir(parents=True)
    (left_over / "half").write_bytes(b"x")
    set_archives(monkeypatch, "toy", (host.archive("events.zip", zipped(EVENTS)),))
    download("toy", tmp_path, quiet)
    assert left(tmp_path) == ["IN/Events/3/1.bin", "IN/Events/7/2.bin", "IN/events.zip"]
