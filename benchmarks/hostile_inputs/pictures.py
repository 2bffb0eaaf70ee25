"""Hostile static images: pictures in class folders, and idx files of MNIST."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from hostile_inputs.cases import Case
from hostile_inputs.event_files import class_folders
from hostile_inputs.recordings import ANY, INFO

Make = Callable[[np.random.Generator], bytes]


def _saved(mode: str, form: str, size: tuple[int, int] = (5, 4), **options: object) -> Make:
    """A small picture of noise with a given mode and format."""

    def make(rng: np.random.Generator) -> bytes:
        depth = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
        if mode in depth:
            picture = Image.fromarray((rng.random(size[::-1]) * 60_000).astype(depth[mode]))
        elif mode == "P":
            picture = Image.effect_noise(size, 60).quantize(7)
        else:
            picture = Image.effect_noise(size, 60).convert("RGB" if mode not in ("L", "1") else "L").convert(mode)
        buffer = io.BytesIO()
        picture.save(buffer, form, **options)
        return buffer.getvalue()

    return make


def _png(width: int, height: int, data: bytes | None = None, *chunks: tuple[bytes, bytes], kind: int = 2) -> bytes:
    """A PNG with a given header, which need not fit its data. `chunks` come before the data."""
    head = struct.pack(">IIBBBBB", width & 0xFFFFFFFF, height & 0xFFFFFFFF, 8, kind, 0, 0, 0)
    blocks = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(b"" if data is None else data, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in blocks
    )


def _blank(width: int, height: int) -> bytes:
    """A picture of zeros of any size, compressed to a few kB."""
    return _png(width, height, bytes((width + 1) * height), kind=0)


def _frames(count: int) -> Make:
    def make(rng: np.random.Generator) -> bytes:
        buffer = io.BytesIO()
        pictures = [Image.new("P", (5, 4), n % 250) for n in range(count)]
        pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:])
        return buffer.getvalue()

    return make


def _exif(rng: np.random.Generator) -> bytes:
    buffer, found = io.BytesIO(), Image.Exif()
    found[0x0112] = 6  # turned
    found[0x010E] = "\x1b[31m" + "x" * 60_000
    Image.new("RGB", (7, 3)).save(buffer, "JPEG", exif=found)
    return buffer.getvalue()


PICTURES: dict[str, tuple[str, Make]] = {
    **{f"{mode} PNG": (".png", _saved(mode, "PNG")) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")},
    **{f"{mode} TIFF": (".tif", _saved(mode, "TIFF")) for mode in ("1", "CMYK", "F", "I", "I;16", "LAB", "YCbCr")},
    **{f"{mode} JPEG": (".jpg", _saved(mode, "JPEG")) for mode in ("L", "CMYK", "YCbCr")},
    **{f"packed {way} TIFF": (".tiff", _saved("RGB", "TIFF", compression=way)) for way in ("tiff_lzw", "jpeg")},
    **{f"one pixel {form}": (f".{form.lower()}", _saved("RGB", form, (1, 1))) for form in ("BMP", "GIF", "WEBP")},
    "lossless WEBP": (".webp", _saved("RGBA", "WEBP", lossless=True)),
    "400 Mpixel claimed": (".png", lambda rng: _png(20_000, 20_000)),
    "2^31 pixels wide": (".png", lambda rng: _png(2**31 - 1, 1)),
    "no width": (".png", lambda rng: _png(0, 5)),
    "89 Mpixel, blank": (".png", lambda rng: _blank(10_000, 8_900)),
    "20,000 x 1": (".png", lambda rng: _blank(20_000, 1)),
    "1 x 20,000": (".png", lambda rng: _blank(1, 20_000)),
    "color type 9": (".png", lambda rng: _png(5, 4, bytes(99), kind=9)),
    "palette without colors": (".png", lambda rng: _png(5, 4, bytes(24), kind=3)),
    "text bomb": (".png", lambda rng: _png(5, 4, bytes(64), (b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26))))),
    "color profile bomb": (
        ".png",
        lambda rng: _png(5, 4, bytes(64), (b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 26)))),
    ),
    "wrong checksum": (".png", lambda rng: _png(5, 4, bytes(64)).replace(b"IDAT", b"IDAU")),
    "two headers": (".png", lambda rng: _png(5, 4, bytes(64), (b"IHDR", bytes(13)))),
    "animation": (".gif", _frames(40)),
    "a turned one with a hostile caption": (".jpg", _exif),
    "SVG": (".png", lambda rng: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
    "PostScript": (".png", lambda rng: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(touch) run\n"),
    "PDF": (".png", lambda rng: b"%PDF-1.4\n" + rng.bytes(200)),
    "BMP of negative height": (".bmp", lambda rng: _bmp(5, -4)),
    "BMP of 2^31": (".bmp", lambda rng: _bmp(2**31 - 1, 2**31 - 1)),
    "TIFF in a ring": (".tif", lambda rng: b"II*\0\x08\0\0\0\0\0\x08\0\0\0"),
    "TIFF of 2^32 tags": (".tif", lambda rng: b"II*\0\x08\0\0\0\xff\xff" + rng.bytes(300)),
    "GIF without end": (".gif", lambda rng: b"GIF89a\x05\0\x04\0\x80\0\0" + bytes(6) + b"," + rng.bytes(60)),
    **{f"PNG {name}": (".png", (lambda rng, change=change: change(rng, _saved("RGB", "PNG", (40, 30))(rng))))
       for name, change in ANY.items()},
    **{f"JPEG {name}": (".jpg", (lambda rng, change=change: change(rng, _saved("RGB", "JPEG", (40, 30))(rng))))
       for name, change in ANY.items()},
}  # fmt: skip


def _bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHI", 100, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(100)  # fmt: skip  # noqa: E501


def _idx(shape: tuple[int, ...], data: bytes | None = None, kind: int = 8, axes: int | None = None) -> bytes:
    """An idx file with a given header. By default, its data are zeros of the declared size."""
    head = bytes([0, 0, kind, len(shape) if axes is None else axes]) + b"".join(struct.pack(">I", n) for n in shape)
    return head + (bytes(int(np.prod(shape, dtype=object))) if data is None else data)


def _bomb(rng: np.random.Generator) -> bytes:
    """A header and 3 GB of zeros, compressed to 3 MB as consecutive members of one gzip file."""
    return gzip.compress(_idx((60_000, 28, 28), b"")) + gzip.compress(bytes(1 << 28), 9) * 12


IDX: dict[str, Make] = {
    "4 axes whose product wraps to 0": lambda rng: _idx((65536,) * 4, b""),
    "3 axes whose product wraps to 0": lambda rng: _idx((2**31, 2**31, 4), b""),
    "70 axes": lambda rng: _idx((1,) * 70, b"\0"),
    "255 axes": lambda rng: _idx((1,) * 255, b"\0"),
    "no axis": lambda rng: _idx((), b"\0"),
    "255 axes said, 3 there": lambda rng: _idx((2, 3, 4), axes=255),
    "2 axes": lambda rng: _idx((12, 9)),
    "4 axes": lambda rng: _idx((2, 2, 3, 4)),
    "of no image": lambda rng: _idx((0, 28, 28)),
    "images of no size": lambda rng: _idx((6, 0, 0)),
    "one too few": lambda rng: _idx((5, 4, 5)),
    "more than there are": lambda rng: _idx((60_000, 28, 28), bytes(500)),
    "data too long": lambda rng: _idx((6, 4, 5), bytes(1000)),
    "floats": lambda rng: _idx((6, 4, 5), bytes(480), kind=13),
    "int32": lambda rng: _idx((6, 4, 5), bytes(480), kind=12),
    "only a header": lambda rng: b"\0\0\x08\x03",
    "images of 40,000 x 40,000": lambda rng: _idx((1, 40_000, 40_000), b""),
    **{name: (lambda rng, change=change: change(rng, _idx((6, 4, 5)))) for name, change in ANY.items()},
}
GZIP: dict[str, Make] = {
    "a bomb": _bomb,
    "gzip cut short": lambda rng: gzip.compress(_idx((6, 4, 5)))[:-9],
    "gzip of another checksum": lambda rng: gzip.compress(_idx((6, 4, 5)))[:-8] + bytes(8),
    "gzip in gzip": lambda rng: gzip.compress(gzip.compress(_idx((6, 4, 5)))),
    "no gzip": lambda rng: _idx((6, 4, 5)),
    "gzip with a name that steers": lambda rng: b"\x1f\x8b\x08\x08" + bytes(6) + b"\x1b[31m\0" + rng.bytes(90),
    "noise in deflate": lambda rng: b"\x1f\x8b\x08\0" + bytes(6) + rng.bytes(400),
}


def _picture(extension: str, make: Make, size: int = 3) -> Callable[..., list[str]]:
    def build(folder: Path, rng: np.random.Generator) -> list[str]:
        class_folders(folder, rng)
        for number in range(size - 2):
            (folder / "pictures" / "ant" / f"9{number:02}{extension}").write_bytes(make(rng))
        return INFO

    return build


def _with_idx(images: Make | None, labels: Make | None, end: str) -> Callable[..., list[str]]:
    """Classes 0 and 1 with idx files. None: a valid file."""

    def build(folder: Path, rng: np.random.Generator) -> list[str]:
        class_folders(folder, rng)
        for name, digit in (("ant", "0"), ("bee", "1")):
            (folder / "events" / name).rename(folder / "events" / digit)
        (folder / "idx").mkdir()
        sound = {"images-idx3": _idx((6, 4, 5)), "labels-idx1": _idx((6,), bytes([0, 1] * 3))}
        for (name, whole), make in zip(sound.items(), (images, labels), strict=True):
            content = whole if make is None else make(rng)
            packed = gzip.compress(content) if end and content is whole else content
            (folder / "idx" / f"train-{name}-ubyte{end}").write_bytes(packed)
        return [*INFO, "--set", "data.images=idx"]

    return build


def _placed(place: Callable[[Path], object]) -> Callable[..., list[str]]:
    def build(folder: Path, rng: np.random.Generator) -> list[str]:
        class_folders(folder, rng)
        place(folder / "pictures" / "ant")
        return INFO

    return build


ODD_ENTRIES: dict[str, Callable[[Path], object]] = {
    "a FIFO": lambda at: os.mkfifo(at / "9.png"),
    "a link to /dev/zero": lambda at: (at / "9.png").symlink_to("/dev/zero"),
    "a link to /dev/urandom": lambda at: (at / "9.png").symlink_to("/dev/urandom"),
    "a link to itself": lambda at: (at / "9.png").symlink_to("9.png"),
    "a link to nothing": lambda at: (at / "9.png").symlink_to("nowhere"),
    "a folder with a picture's name": lambda at: (at / "9.png").mkdir(),
    "a name that steers": lambda at: (at / "9\x1b[31m\u202e\n.png").write_bytes(b"x"),
    "a name that is no UTF-8": lambda at: (at / os.fsdecode(b"9\xff.png")).write_bytes(b"x"),
    "no picture": lambda at: [path.unlink() for path in at.iterdir()],
    "no folder": lambda at: at.rename(at.parent / "other"),
    "a file for a folder": lambda at: (at.rename(at.parent / "other"), at.write_bytes(b"x")),
    "the folder is a FIFO": lambda at: (at.rename(at.parent / "other"), os.mkfifo(at)),
}


def cases() -> list[Case]:
    """All hostile images and idx files, in order."""
    found = [Case("images", name, _picture(extension, make)) for name, (extension, make) in PICTURES.items()]
    found.append(Case("images", "five of 88 Mpixel", _picture(".png", lambda rng: _blank(9_400, 9_400), 7)))
    found += [Case("images", name, _placed(place)) for name, place in ODD_ENTRIES.items()]
    for name, make in IDX.items():
        found.append(Case("idx", f"images: {name}", _with_idx(make, None, "")))
        found.append(Case("idx", f"labels: {name}", _with_idx(None, make, "")))
    found += [Case("idx", f"gz: {name}", _with_idx(make, None, ".gz")) for name, make in GZIP.items()]
    for end in ("", ".gz"):
        found.append(Case("idx", f"a sound one{end}", _with_idx(None, None, end), codes=(0,)))
    found.append(Case("images", "a sound one", _picture(".png", _saved("RGB", "PNG")), codes=(0,)))
    found.append(Case("idx", "labels of other classes", _with_idx(None, lambda rng: _idx((6,), bytes([7] * 6)), "")))
    return found
