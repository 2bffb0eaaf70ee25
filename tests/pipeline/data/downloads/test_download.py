"""Downloads: from a host on this machine; what is whole is not fetched again, and what a host lacks is said."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeport import temporaries
from spikeport.errors import MissingDependencyError, UserError
from spikeport.files import CannotWriteError
from spikeport.pipeline.data.downloads.archives import Archive
from spikeport.pipeline.data.downloads.download import download
from spikeport.pipeline.data.sources.base import Source
from spikeport.pipeline.data.sources.table import SOURCES


def set_archives(monkeypatch: pytest.MonkeyPatch, name: str, archives: tuple[Archive, ...]) -> None:
    """The table has a source of this name with these archives."""
    toy = Source(name=name, about="", needs="", load=lambda *_: pytest.fail("loaded"), archives=archives)
    monkeypatch.setitem(SOURCES, name, toy)


class Host:
    """Serves `files` by name, and remembers what was asked for with GET."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.strip("/")
                host.asked.append(name)
                content = host.files.get(name)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def archive(self, name: str, content: bytes, **more: Any) -> Archive:
        self.files[name] = content
        url = f"http://127.0.0.1:{self.server.server_port}/{name}"
        usual = {
            "into": "IN",
            "content_folder": "IN/Events",
            "layout": "<class>/<id>.bin",
            "suffix": (".bin",),
            "count": 2,
        }
        return Archive(file=name, url=url, md5=hashlib.md5(content).hexdigest(), **{**usual, **more})


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.server.shutdown()
    made.server.server_close()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def quiet(_: str) -> None:
    pass


EVENTS = {"Events/3/1.bin": b"one", "Events/7/2.bin": b"two"}


def test_archives_are_fetched_unpacked_and_not_fetched_again(host: Host, tmp_path: Path, monkeypatch) -> None:
    """One archive with an archive inside, as N-Caltech101's host has it, one tar, and one file that stays packed."""
    parts = (
        host.archive("outer.zip", zipped({"deep/inner.zip": zipped(EVENTS)}), inner=("inner.zip",)),
        host.archive("images.tar.gz", tarred({"I/a.jpg": b"x"}), content_folder="IN/I", suffix=(".jpg",), count=1),
        host.archive("labels.gz", b"packed", content_folder="RAW", into="RAW", unpack=False),
    )
    set_archives(monkeypatch, "toy", parts)
    rows = download("toy", tmp_path, quiet)
    assert [row["state"] for row in rows] == ["fetched"] * 3
    assert {name: (tmp_path / "IN" / name).read_bytes() for name in EVENTS} == EVENTS
    assert (tmp_path / "IN" / "I" / "a.jpg").read_bytes() == b"x"
    assert (tmp_path / "RAW" / "labels.gz").read_bytes() == b"packed"
    host.asked.clear()
    assert [row["state"] for row in download("toy", tmp_path, quiet)] == ["here"] * 3
    assert host.asked == []
    (tmp_path / "IN" / "Events" / "7" / "2.bin").unlink()  # the archive is whole: unpacked again, not fetched
    assert [row["state"] for row in download("toy", tmp_path, quiet)] == ["fetched", "here", "here"]
    assert host.asked == []


def test_a_gone_host_is_said_after_the_others_were_fetched(host: Host, tmp_path: Path, monkeypatch) -> None:
    gone = host.archive("events.zip", zipped(EVENTS))
    del host.files["events.zip"]
    set_archives(monkeypatch, "toy", (gone, host.archive("a.gz", b"a", content_folder="RAW", into="RAW", unpack=False)))
    with pytest.raises(MissingDependencyError) as caught:
        download("toy", tmp_path, quiet)
    message = str(caught.value)
    for word in (
        "toy could not be fetched whole",
        "events.zip: HTTP Error 404",
        f"MD5 {gone.md5}",
        "run the command again",
    ):
        assert word in message
    assert f"unpack events.zip, so that {tmp_path / 'IN' / 'Events'}/<class>/<id>.bin is there" in message
    assert (tmp_path / "RAW" / "a.gz").is_file()


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


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


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


def test_a_full_disk_is_said_and_leaves_nothing(host: Host, tmp_path: Path, monkeypatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    set_archives(monkeypatch, "toy", (host.archive("events.zip", zipped(EVENTS)),))
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(CannotWriteError, match="No space left"):
        download("toy", tmp_path, quiet)
    assert left(tmp_path) == ["IN/events.zip"]


def test_what_no_host_has_is_to_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(
        MissingDependencyError, match=r"no public host.*ask its authors.*CEP-DVS/events/<class>/<n>\.mat"
    ):
        download("cepdvs", tmp_path, quiet)
    with pytest.raises(UserError, match=r"'digits' is not a data set with downloads.*nmnist, ncaltech101"):
        download("digits", tmp_path, quiet)


def test_every_named_set_has_its_archives_with_addresses_and_hashes() -> None:
    assert {name for name, source in SOURCES.items() if not source.archives} == {"digits", "class-folders"}
    for source in SOURCES.values():
        for archive in source.archives:
            url, md5 = archive.address()
            assert archive.ask or (url.startswith("https://") and len(md5) == 32)
    assert SOURCES["nmnist"].archives[1].address()[1] == "69ca8762b2fe404d9b9bad1103e97832"  # tonic's test_md5


def test_the_command_says_what_came_and_leaves_with_3_where_something_is_gone(
    host: Host, tmp_path: Path, monkeypatch, spikeport
) -> None:
    set_archives(monkeypatch, "nmnist", (host.archive("events.zip", zipped(EVENTS)),))
    code, out, _ = spikeport("data", "download", "nmnist", "--root", tmp_path / "root", "--json")
    assert (code, json.loads(out)) == (0, [{"part": "IN/Events", "state": "fetched"}])
    code, out, err = spikeport("data", "download", "cepdvs", "--root", tmp_path / "root")
    assert (code, out) == (3, "")
    assert err.startswith("error: ")
