"""Forged and damaged event files of each format."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

from hostile_inputs.event_files import FIELDS, as_file, some_events


def _npy_claim(shape: str, descr: str = "'<i8'", extra: str = "") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}{extra}}}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(400)


def _zip_bomb(rng: np.random.Generator) -> bytes:
    """Columns of 400 million events, packed into a few hundred kB each."""
    buffer = io.BytesIO()
    count = 400_000_000
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, dtype in FIELDS:
            head = _npy_claim(f"({count},)", f"'{dtype}'")[:-400]
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                member.write(head)
                block = bytes(1 << 22)
                for _ in range(-(-count * 1 // len(block)) if dtype == "<u1" else 8):
                    member.write(block)
    return buffer.getvalue()


def _h5_claims(dtype: Any, count: int, *, chunked: bool = True, link: str = "") -> Callable[[Any], bytes]:
    def make(rng: np.random.Generator) -> bytes:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            for name, _ in FIELDS:
                if link:
                    file[name] = h5py.ExternalLink("/etc/passwd", "/x") if link == "external" else h5py.SoftLink(link)
                else:
                    more: dict[str, Any] = {"chunks": (1 << 20,), "compression": "gzip"} if chunked else {}
                    file.create_dataset(name, shape=(count,), dtype=dtype, **more)
        return buffer.getvalue()

    return make


def _h5_deep(rng: np.random.Generator) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        group = file.create_group("events")
        for _ in range(500):
            group = group.create_group("events")
    return buffer.getvalue()


def _dat(body: bytes, header: str = "% Version 2\n", kind: bytes = b"\x0c\x08") -> Callable[[Any], bytes]:
    return lambda rng: header.encode() + kind + body


OWN: dict[str, dict[str, Callable[[np.random.Generator], bytes]]] = {
    ".npy": {
        "a shape that no memory holds": lambda rng: _npy_claim("(1 << 60,)".replace("1 << 60", str(1 << 60))),
        "a product that wraps to 0": lambda rng: _npy_claim(f"({1 << 32}, {1 << 32})"),
        "negative shape": lambda rng: _npy_claim("(-5,)"),
        "objects": lambda rng: _npy_claim("(3,)", "'|O'"),
        "a header of brackets": lambda rng: b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
        "version 9": lambda rng: b"\x93NUMPY\x09\x00" + bytes(50),
        "a plain table": lambda rng: _npy_claim("(10, 5)"),
        "a code for a header": lambda rng: _npy_claim("__import__('os').system('touch ran')"),
        "64 axes": lambda rng: _npy_claim("(" + "1," * 64 + ")"),
    },
    ".npz": {
        "a bomb": _zip_bomb,
        "no member": lambda rng: b"PK\x05\x06" + bytes(18),
        "a member with a path": lambda rng: _zipped({"../t.npy": b"x", "/x.npy": b"y"}),
        "members that are no arrays": lambda rng: _zipped({"t.npy": b"x", "x": b"y"}),
        "many members": lambda rng: _zipped({f"{n}.npy": b"" for n in range(20_000)}),
        "claims": lambda rng: _zipped({f"{name}.npy": _npy_claim(f"({1 << 40},)") for name, _ in FIELDS}),
    },
    ".h5": {
        "24 GB each, chunked": _h5_claims("<i8", 3_000_000_000),
        "2^60 bytes each": _h5_claims("<i8", 1 << 57),
        "not chunked": _h5_claims("<i8", 1 << 34, chunked=False),
        "external links": _h5_claims("<i8", 3, link="external"),
        "links in a ring": _h5_claims("<i8", 3, link="/t"),
        "deep groups": _h5_deep,
        "text of any length": _h5_claims(h5py.string_dtype(), 1 << 20),
    },
    ".dat": {
        "no event": _dat(b""),
        "only a header": lambda rng: b"% Version 2\n",
        "half a header": lambda rng: b"% Vers",
        "another type byte": _dat(bytes(80), kind=b"\x00\x08"),
        "another size byte": _dat(bytes(80), kind=b"\x0c\x10"),
        "version 99": _dat(bytes(80), "% Version 99\n"),
        "clock that jumps": _dat(np.array([[5, 0], [2**32 - 1, 0], [3, 0], [1, 0]] * 9, "<u4").tobytes()),
        "true wraps": _dat(np.array([[2**32 - 9, 0], [4, 0]] * 400, "<u4").tobytes()),
        "a width of words": _dat(bytes(80), "% Width \x1b[31m\n% Height " + "9" * 5000 + "\n"),
    },
    ".aedat": {
        "version 3": lambda rng: b"#!AER-DAT3.1\r\n" + rng.bytes(80),
        "version of words": lambda rng: b"#!AER-DAT\x1b[31mX\r\n" + rng.bytes(80),
        "addresses of another chip": lambda rng: b"#!AER-DAT2.0\r\n" + b"\xff" * 80,
        "only syncs": lambda rng: b"#!AER-DAT2.0\r\n" + np.array([[0x8000, 5]] * 9, ">u4").tobytes(),
        "signed times": lambda rng: b"#!AER-DAT2.0\r\n" + np.array([[2, 2**31], [4, 2**31 + 5]], ">u4").tobytes(),
    },
    ".aedat4": {
        "an endless packet": lambda rng: b"#!AER-DAT4.0\r\n" + b"\xff\xff\xff\x7f" * 40,
        "negative sizes": lambda rng: b"#!AER-DAT4.0\r\n" + b"\xff" * 200,
        "no packet": lambda rng: as_file(".aedat4", some_events(rng, 0)),
    },
    ".mat": {
        "version 7.3 by name": lambda rng: b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400),
        "no variable": lambda rng: b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM",
        "an element of 2^32": lambda rng: _mat_claim(15, 2**32 - 1),
        "an array of 2^31": lambda rng: _mat_claim(14, 2**31 - 8),
    },
    ".bin": {
        "all at (255, 255)": lambda rng: b"\xff\xff\x80\0\0" * 30,
        "clock that jumps": lambda rng: b"\1\1\x7f\xff\xff\1\1\0\0\0" * 30,
        "ten million": lambda rng: b"\1\1\0\0\1" * 2_000_000,
    },
}


def _mat_claim(kind: int, size: int) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + np.array([kind, size], "<u4").tobytes() + b"x\x9c" * 90


def _zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()
