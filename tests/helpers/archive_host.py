"""A host of archives on this machine, and archives packed in memory."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from spikeport.pipeline.data.downloads.archives import Archive
from spikeport.pipeline.data.sources.base import Source
from spikeport.pipeline.data.sources.table import SOURCES


def set_archives(monkeypatch: pytest.MonkeyPatch, name: str, archives: tuple[Archive, ...]) -> None:
    """The table has a source of this name with these archives."""
    fail = lambda *_: pytest.fail("loaded")  # noqa: E731
    toy = Source(name=name, about="", needs="", load=fail, read_file=fail, archives=archives)
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


def left(folder: Path) -> list[str]:
    """The files under `folder`, by relative path."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
