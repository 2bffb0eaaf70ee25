"""Archives of named data sets: where they are fetched from, what they contain, and what to do without a host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One file that a host offers.

    Attributes:
        file: name of the file.
        into: folder below the root that it is unpacked into.
        content_folder: folder that is there afterwards.
        layout: how the files lie in `content_folder`, for people.
        suffix: extensions of the files that it brings, or whole names.
        count: smallest number of these files.
        tonic: class of tonic.datasets, and prefix of its attributes, that know address and MD5; None if tonic does not.
        url: address, without `tonic`.
        md5: MD5 of the file, without `tonic`.
        inner: archives inside it.
        unpack: whether it is unpacked.
        ask: whom to ask for it, if there is no public address.
    """

    file: str
    into: str
    content_folder: str
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
        """Whether all files of the archive exist below a folder.

        Args:
            root: `data.root` of the recipe.
        """
        if not self.unpack:
            return (root / self.content_folder / self.file).is_file()
        return self.is_whole(root / self.content_folder)

    def is_whole(self, folder: Path) -> bool:
        """Whether a folder contains all files of the archive.

        Args:
            folder: the folder of unpacked files.
        """
        return (
            sum(path.suffix.lower() in self.suffix or path.name in self.suffix for path in folder.rglob("*"))
            >= self.count
        )

    def address(self) -> tuple[str, str]:
        """Its address and MD5."""
        if self.tonic is None:
            return self.url, self.md5
        import tonic.datasets

        known, prefix = getattr(tonic.datasets, self.tonic[0]), self.tonic[1]
        named = getattr(known, f"{prefix}zip", None)  # beside a base address
        url = getattr(known, f"{prefix}url") if named is None else known.base_url + named
        return url, getattr(known, f"{prefix}md5" if prefix else "file_md5")


def how_to_get(name: str, archive: Archive, folder: Path, *, tried: bool = False) -> str:
    """Instructions for an archive: the command that downloads it, and where to place its content without a host.

    Args:
        name: name of the data set.
        archive: the archive.
        folder: where its content is expected.
        tried: whether the download was tried already, so that the command is left out.
    """
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
