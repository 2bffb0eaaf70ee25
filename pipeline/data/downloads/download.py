"""Downloads the archives of a named data set on request; complete ones are not fetched again."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from spikeport.errors import MissingDependencyError, UserError
from spikeport.files import CannotWriteError, writing
from spikeport.pipeline.data.downloads.archives import Archive, how_to_get
from spikeport.pipeline.data.downloads.unpacking import unpack
from spikeport.pipeline.data.sources.table import SOURCES
from spikeport.progress import NamedProgress
from spikeport.regular_files import open_regular

_BLOCK = 2**23
SILENCE_S = 60.0  # a host that says nothing for so long is taken for gone


def download(
    name: str, root: Path, log: Callable[[str], None], progress: NamedProgress | None = None
) -> list[dict[str, str]]:
    """Brings all archives of a data set below a folder; an archive that lies there is unpacked if its MD5 is right.

    Args:
        name: name of the data set.
        root: the folder.
        log: prints a line.
        progress: called during checks.

    Returns:
        For each archive `part` and `state` ("here" or "fetched").

    Raises:
        UserError: there is nothing to download for this name.
        MissingDependencyError: an archive could not be fetched; all others were tried before.
    """
    if name not in SOURCES or not SOURCES[name].archives:
        known = ", ".join(name for name, source in SOURCES.items() if source.archives)
        raise UserError(f"{name!r} is not a data set with downloads", hint=f"use one of {known}")
    rows, missing = [], []
    archives = SOURCES[name].archives
    folders = [archive.content_folder for archive in archives]
    for archive in archives:
        alone = archive.unpack and folders.count(archive.content_folder) == 1
        part = archive.content_folder if alone else f"{archive.content_folder}/{archive.file}"
        if archive.is_complete(root):
            rows.append({"part": part, "state": _here(archive, root)})
            continue
        try:
            _bring(archive, root, log, progress)
            rows.append({"part": part, "state": "fetched"})
        except CannotWriteError:
            raise
        except UserError as error:
            missing.append(
                (f"{archive.file}: {error.message}" + (f": {error.cause}" if error.cause else ""), error.hint)
            )
        except Exception as error:  # a host fails as it likes: HTTP, DNS, TLS, time-outs, a wrong file
            missing.append(
                (f"{archive.file}: {error}", how_to_get(name, archive, root / archive.content_folder, tried=True))
            )
    if missing:
        raise MissingDependencyError(
            f"{name} could not be downloaded completely",
            where=str(root),
            cause="; ".join(why for why, _ in missing),
            hint=f"{missing[0][1]}; then run the command again for the rest",
        )
    return rows


def _here(archive: Archive, root: Path) -> str:
    """ "here", and whether a file that stays packed differs from the published one."""
    if archive.unpack or _md5(file := root / archive.content_folder / archive.file) == archive.address()[1]:
        return "here"
    return f"here, but not the published file: {file.name} has another MD5"


def _bring(archive: Archive, root: Path, log: Callable[[str], None], progress: NamedProgress | None) -> None:
    if archive.ask:
        raise LookupError("there is no public host")
    folder = root / archive.into
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    file = folder / archive.file
    if not file.exists():
        log(f"fetching {archive.file}")
        with writing(file):
            _fetch(*archive.address(), file)
    elif archive.unpack or not file.is_file():  # whoever placed it
        check_md5(file, archive.address()[1], progress)
    if not archive.unpack:
        return
    log(f"unpacking {archive.file}")
    inside = Path(archive.content_folder).relative_to(archive.into)
    if not unpack(file, folder, inner=archive.inner, whole=lambda made: archive.is_whole(made / inside)):
        raise LookupError(f"{archive.content_folder}/{archive.layout} is not in it in full")


def check_md5(file: Path, md5: str, progress: NamedProgress | None = None) -> None:
    """Checks the MD5 of a file.

    Args:
        file: the file.
        md5: the expected digest.
        progress: called with (bytes read, bytes in all, what is done).

    Raises:
        UserError: the digest differs.
    """
    found = _md5(file, progress)
    if found != md5:
        raise UserError(
            "this is not the published archive, and is not unpacked",
            where=str(file),
            cause=f"its MD5 is {found}, not {md5}",
            hint=f"remove {file}; the same command then fetches it",
        )


def _md5(file: Path, progress: NamedProgress | None = None) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with open_regular(file) as content:
        size = file.stat().st_size
        for at in range(0, size, _BLOCK):
            digest.update(content.read(_BLOCK))
            if progress:
                progress(min(at + _BLOCK, size) // 2**20, size // 2**20, f"checking {file.name} (MB)")
    return digest.hexdigest()


def _fetch(url: str, md5: str, file: Path) -> None:
    """Downloads with tonic under a temporary name, so that a file with its final name is complete."""
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
