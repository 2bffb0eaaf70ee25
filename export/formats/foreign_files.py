"""Identifies files that are not HDF5 by their first bytes, for helpful error messages."""

from __future__ import annotations

from pathlib import Path

HDF5 = b"\x89HDF\r\n\x1a\n"
FIRST_BLOCK = 512  # the signature is at 0, or after a user block of 512, 1024, 2048, ... bytes
FROM_A_MODULE = (
    "build the network, load its weights, and hand it over: spikeport.convert(net, input_shape, dt_s).save('net.nir'), "
    "or spikeport export package.module:factory"
)
EXPORTED = "copy the file again, or write it again with the program that made it"


def not_hdf5(file: Path) -> tuple[str, str] | None:
    """Recognizes files that are not HDF5 by their first bytes.

    Args:
        file: an existing file.

    Returns:
        (kind of the file, hint for the user); None if the file has an HDF5 signature.
    """
    with file.open("rb") as stream:
        head = stream.read(FIRST_BLOCK)
        found, offset = head, FIRST_BLOCK
        while found:
            if found.startswith(HDF5):
                return None
            stream.seek(offset)
            found, offset = stream.read(len(HDF5)), 2 * offset
    if not head:
        return "it is empty", EXPORTED
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, a few lines in place of the file", "fetch the file itself: git lfs pull"
    if file.suffix in (".pt", ".pth", ".ckpt") or head[:2] == b"\x80\x02" or _is_torch_archive(head):
        return "it holds weights or a module that torch pickled, which are never unpickled here", FROM_A_MODULE
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return "it is a safetensors file: weights without the network", FROM_A_MODULE
    if head.lstrip()[:1] == b"<":
        return "it is a web page", "download the file itself"
    if not any(head):
        return "it begins with zeros: it was not written to the end", EXPORTED
    return "it has no HDF5 signature", EXPORTED


def _is_torch_archive(head: bytes) -> bool:
    """Whether the file is a zip of torch.save, whose first member is `<name>/data.pkl`."""
    return head[:4] == b"PK\x03\x04" and b"/data.pkl" in head[:200]
