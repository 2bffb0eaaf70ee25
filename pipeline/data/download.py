"""Fetches the archives of a named set, only when asked to; what is complete is not fetched again."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from hardware_profiles.errors import MissingPart, UserError
from pipeline.data.archives import ARCHIVES, Archive, how_to_get

SILENCE_S = 60.0  # a host that says nothing for so long is taken for gone


def download(name: str, root: Path, say: Callable[[str], None]) -> list[dict[str, str]]:
    """Brings all archives of set `name` under `root`; a row of `part` and `state` ("here", "fetched") for each.

    Raises UserError for an unknown set, MissingPart (after all others were tried) for what no host gave, with
    what to place where.
    """
    if name not in ARCHIVES:
        raise UserError(f"nothing is known to download for {name!r}", mend="use one of " + ", ".join(ARCHIVES))
    rows, missing = [], []
    for archive in ARCHIVES[name]:
        part = f"{archive.brings}/{archive.file}" if not archive.unpack else archive.brings
        if archive.is_complete(root):
            rows.append({"part": part, "state": "here"})
            continue
        try:
            _bring(archive, root, say)
            rows.append({"part": part, "state": "fetched"})
        except Exception as error:  # a host fails as it likes: HTTP, DNS, TLS, time-outs, a wrong file
            missing.append((archive, f"{archive.file}: {error}"))
    if missing:
        archive = missing[0][0]
        raise MissingPart(
            f"{name} could not be fetched whole",
            where=str(root),
            why="; ".join(why for _, why in missing),
            mend=how_to_get(name, archive, root / archive.brings, tried=True)
            + "; then run the command again for the rest",
        )
    return rows


def _bring(archive: Archive, root: Path, say: Callable[[str], None]) -> None:
    if archive.ask:
        raise LookupError("there is no public host")
    folder = root / archive.into
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / archive.file
    if not file.is_file():
        say(f"fetching {archive.file}")
        _fetch(*archive.address(), file)
    if not archive.unpack:
        return
    say(f"unpacking {archive.file}")
    _unpack(file, folder)
    for inner in archive.inner:
        found = next(folder.rglob(inner), None)
        if found is not None:  # else its content lay in the outer archive
            _unpack(found, folder)
            found.unlink()
    if not archive.is_complete(root):
        raise LookupError(f"it was unpacked, but {archive.brings}/{archive.layout} is not there in full")


def _fetch(url: str, md5: str, file: Path) -> None:
    """tonic's download under another name, so that a file with its own name is always whole."""
    from tonic.download_utils import download_url

    part = file.with_name(f"{file.name}.part")
    usual = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_S)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            download_url(url, str(part.parent), part.name, md5)
    finally:
        socket.setdefaulttimeout(usual)
    part.replace(file)


def _unpack(file: Path, folder: Path) -> None:
    """Unpacks into `folder`, and nowhere else: members that point outside are refused."""
    if zipfile.is_zipfile(file):
        shutil.unpack_archive(file, folder, "zip")
        return
    with tarfile.open(file) as archive:
        archive.extractall(folder, filter="data")
