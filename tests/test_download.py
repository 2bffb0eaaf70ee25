"""Downloads: from a host on this machine; what is whole is not fetched again, and what a host lacks is said."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hardware_profiles.errors import MissingPart, UserError
from pipeline.data import archives
from pipeline.data.archives import ARCHIVES, Archive
from pipeline.data.download import download
from pipeline.data.sources import SOURCES


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
        usual = {"into": "IN", "brings": "IN/Events", "layout": "<class>/<id>.bin", "suffix": (".bin",), "count": 2}
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
        host.archive("images.tar.gz", tarred({"I/a.jpg": b"x"}), brings="IN/I", suffix=(".jpg",), count=1),
        host.archive("labels.gz", b"packed", brings="RAW", into="RAW", unpack=False),
    )
    monkeypatch.setitem(ARCHIVES, "toy", parts)
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
    monkeypatch.setitem(ARCHIVES, "toy", (gone, host.archive("a.gz", b"a", brings="RAW", into="RAW", unpack=False)))
    with pytest.raises(MissingPart) as caught:
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
    monkeypatch.setitem(ARCHIVES, "toy", (replace(host.archive("events.zip", zipped(EVENTS)), md5="0" * 32),))
    with pytest.raises(MissingPart, match=r"events\.zip: File not found or corrupted"):
        download("toy", tmp_path, quiet)
    assert not (tmp_path / "IN" / "events.zip").exists()
    assert not (tmp_path / "IN" / "Events").exists()


def test_an_archive_cannot_write_outside_its_folder(host: Host, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(ARCHIVES, "toy", (host.archive("events.tar.gz", tarred({"../../out.bin": b"x", **EVENTS})),))
    with pytest.raises(MissingPart, match="outside the destination"):
        download("toy", tmp_path / "root", quiet)
    assert not (tmp_path / "out.bin").exists()


def test_what_no_host_has_is_to_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(MissingPart, match=r"no public host.*ask its authors.*CEP-DVS/events/<class>/<n>\.mat"):
        download("cepdvs", tmp_path, quiet)
    with pytest.raises(UserError, match=r"nothing is known to download for 'digits'.*nmnist, ncaltech101"):
        download("digits", tmp_path, quiet)


def test_every_named_set_has_its_archives_with_addresses_and_hashes() -> None:
    assert set(ARCHIVES) == set(SOURCES) - {"digits", "class-folders"}
    for parts in ARCHIVES.values():
        for archive in parts:
            url, md5 = archive.address()
            assert archive.ask or (url.startswith("https://") and len(md5) == 32)
    assert archives.ARCHIVES["nmnist"][1].address()[1] == "69ca8762b2fe404d9b9bad1103e97832"  # tonic's test_md5


def test_the_command_says_what_came_and_leaves_with_3_where_something_is_gone(
    host: Host, tmp_path: Path, monkeypatch, spikeport
) -> None:
    monkeypatch.setitem(ARCHIVES, "nmnist", (host.archive("events.zip", zipped(EVENTS)),))
    code, out, _ = spikeport("data", "download", "nmnist", "--root", tmp_path / "root", "--json")
    assert (code, json.loads(out)) == (0, [{"part": "IN/Events", "state": "fetched"}])
    code, out, err = spikeport("data", "download", "cepdvs", "--root", tmp_path / "root")
    assert (code, out) == (3, "")
    assert err.startswith("error: ")
