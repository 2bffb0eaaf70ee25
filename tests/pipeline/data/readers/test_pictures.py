"""Pictures of every kind: their values by hand, upright, refused where white is not known; bounds; only files."""

from __future__ import annotations

import os
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from data_folders import with_pictures
from PIL import Image

from spikeport import notes
from spikeport.errors import UserError
from spikeport.pipeline.data.images.static_images import LARGE, read_images
from spikeport.pipeline.data.load import load_dataset
from spikeport.pipeline.data.readers.pictures import Findings, read_picture

HEIGHT, WIDTH = 5, 7


@pytest.fixture(autouse=True)
def nothing_said_before(monkeypatch) -> None:
    monkeypatch.setattr(notes, "_printed", set())


def read(path: Path) -> np.ndarray:
    return np.asarray(read_picture(path, Findings()))


def gray(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2)


def ramp(high: float, dtype: type) -> np.ndarray:
    return np.linspace(0, high, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(dtype)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bits_are_scaled_by_their_whole_range(tmp_path: Path, name: str) -> None:
    values = ramp(65535, np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    expected = [[round(int(value) / 257) for value in row] for row in values]
    np.testing.assert_array_equal(read(tmp_path / name), gray(np.array(expected, np.uint8)))
    assert {0, 255} <= set(np.array(expected).ravel())


def test_16_bits_big_endian(tmp_path: Path) -> None:
    values = ramp(65535, np.uint16)
    Image.frombytes("I;16B", (WIDTH, HEIGHT), values.astype(">u2").tobytes()).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), gray(np.rint(values / 257).astype(np.uint8)))


def test_32_bits_are_taken_as_16_or_refused(tmp_path: Path) -> None:
    values = ramp(65535, np.int32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), gray(np.rint(values / 257).astype(np.uint8)))
    for low, high in ((-1, 65535), (0, 65536)):
        values[0, 0], values[4, 6] = low, high
        Image.fromarray(values).save(tmp_path / "b.tif")
        with pytest.raises(
            UserError, match=rf"b.tif: which value .* whole numbers from {low} to {high:,}; supported are"
        ):
            read(tmp_path / "b.tif")


def test_floating_point_is_taken_in_0_to_1(tmp_path: Path) -> None:
    values = ramp(1, np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    expected = np.array([[round(255 * float(value)) for value in row] for row in values], np.uint8)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), gray(expected))
    for wrong in (1.5, -0.25, 255.0, np.nan, np.inf):
        values[2, 3] = wrong
        Image.fromarray(values).save(tmp_path / "b.tif")
        with pytest.raises(
            UserError, match=r"b\.tif: which value .* floating-point values from .*; supported are 0\.\.1"
        ):
            read(tmp_path / "b.tif")


# What each EXIF orientation asks a viewer to do with the stored pixels, by the standard's words for row 0 and column 0.
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.webp"])
def test_pictures_stand_upright(tmp_path: Path, orientation: int, name: str) -> None:
    stored = np.random.default_rng(3).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    stored[:12, :20], stored[12:, 20:] = 250, 5  # what jpeg keeps
    exif = Image.Exif()
    exif[0x0112] = orientation
    how = {"tiffinfo": {0x0112: orientation}} if name == "a.tif" else {"exif": exif}
    how |= {"lossless": True} if name == "a.webp" else {}
    Image.fromarray(stored).save(tmp_path / name, **how)
    found, expected = read(tmp_path / name), TURNS[orientation](stored)
    assert found.shape == expected.shape
    if name != "a.jpg":
        np.testing.assert_array_equal(found, expected)
    else:
        corner = (slice(2, 8), slice(2, 8))
        assert abs(found[corner].mean() - expected[corner].mean()) < 20


def test_a_turned_16_bit_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    values = ramp(65535, np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "a.png"), gray(np.rot90(np.rint(values / 257).astype(np.uint8), -1)))


def test_damaged_exif_costs_no_picture(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png", exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff")
    np.testing.assert_array_equal(read(tmp_path / "a.png"), values)


def test_alpha_is_blended_with_black_and_said(tmp_path: Path, capsys) -> None:
    rgba = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    expected = rgba[..., :3] * (rgba[..., 3:] / 255)
    found = Findings()
    np.testing.assert_allclose(np.asarray(read_picture(tmp_path / "a.png", found)), expected, atol=1)
    found.report()
    assert (
        capsys.readouterr().err
        == f"note: the picture {tmp_path / 'a.png'} has transparent parts: they are shown on black\n"
    )


def test_an_opaque_alpha_changes_nothing_and_is_not_said(tmp_path: Path, capsys) -> None:
    rgba = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    rgba[..., 3] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    found = Findings()
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "a.png", found)), rgba[..., :3])
    found.report()
    assert capsys.readouterr().err == ""


def test_a_transparent_color_of_a_palette_or_of_gray(tmp_path: Path) -> None:
    indices = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) % 3
    palette = Image.fromarray(indices, "P")
    palette.putpalette([10, 20, 30, 200, 100, 50, 7, 9, 11])
    palette.save(tmp_path / "a.png", transparency=1)
    colors = np.array([[10, 20, 30], [0, 0, 0], [7, 9, 11]], np.uint8)
    np.testing.assert_array_equal(read(tmp_path / "a.png"), colors[indices])
    Image.fromarray(indices * 80).save(tmp_path / "b.png", transparency=80)
    np.testing.assert_array_equal(read(tmp_path / "b.png"), gray(np.array([0, 0, 160], np.uint8)[indices]))


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LA"])
def test_other_modes_are_shown_as_pil_shows_them(tmp_path: Path, mode: str) -> None:
    rgb = Image.fromarray(np.random.default_rng(5).integers(0, 256, (24, 40, 3), dtype=np.uint8))
    name = "a.jpg" if mode in ("CMYK", "YCbCr") else "a.png"
    rgb.convert(mode).save(tmp_path / name)
    with Image.open(tmp_path / name) as again:
        np.testing.assert_array_equal(read(tmp_path / name), np.asarray(again.convert("RGB")))


def test_the_first_frame_of_an_animation_is_taken_and_said_once(tmp_path: Path, capsys) -> None:
    frames = [Image.new("RGB", (WIDTH, HEIGHT), (value, 0, 0)) for value in (200, 10, 20)]
    found = Findings()
    for name in ("a.gif", "b.tif", "c.webp"):
        how = {"lossless": True} if name == "c.webp" else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **how)
        assert np.asarray(read_picture(tmp_path / name, found))[0, 0].tolist() == [200, 0, 0]
    for _ in range(2):
        found.report()
    assert capsys.readouterr().err == (
        f"note: 3 pictures ({tmp_path / 'a.gif'}, ...) have several frames or pages: the first alone is taken\n"
    )


def test_dark_16_bits_are_said(tmp_path: Path, capsys) -> None:
    found = Findings()
    Image.fromarray(ramp(255, np.uint16)).save(tmp_path / "a.png")
    read_picture(tmp_path / "a.png", found)
    found.report()
    assert "has 16 bits a pixel, and none is brighter than 255 of 65,535" in capsys.readouterr().err
    Image.fromarray(ramp(65535, np.uint16)).save(tmp_path / "b.png")
    read_picture(tmp_path / "b.png", found)
    found.report()
    assert capsys.readouterr().err == ""


# Bounds


def png_of(width: int, height: int) -> bytes:
    """A gray PNG of zeros, each pixel one bit, without ever holding it."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_picture_of_too_many_pixels_is_refused_unread(tmp_path: Path, recwarn) -> None:
    (tmp_path / "a.png").write_bytes(png_of(9_001, 9_000))
    with pytest.raises(UserError, match=r"a\.png: a picture of more than 67,108,864 pixels .* 9,001 x 9,000"):
        read(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(png_of(8, 8).replace(struct.pack(">II", 8, 8), struct.pack(">II", 2**30, 2**30)))
    with pytest.raises(UserError, match=r"b\.png"):
        read(tmp_path / "b.png")
    assert not recwarn.list


def test_large_pictures_are_resized_as_they_are_read(tmp_path: Path) -> None:
    """Even where all have one size: else five of them would hold what the largest allows, five times."""
    for name, size in (("ant", (700, 900)), ("bee", (700, 900))):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.new("RGB", size, (10 * i, 20, 30)).save(tmp_path / name / f"{i}.png")
    assert LARGE < 700 * 900
    found = read_images(tmp_path, ("ant", "bee"), 6, 9)
    assert found.images.shape == (4, 3, 6, 9)
    assert found.images[:, :, 3, 4].tolist() == [[0, 20, 30], [10, 20, 30]] * 2


def test_small_pictures_of_one_size_keep_it_and_others_are_brought_to_one(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (40, 30), (50, 60, 70)).save(tmp_path / name / "1.png")
    assert read_images(tmp_path, ("ant", "bee"), 6, 9).images.shape == (2, 3, 30, 40)
    Image.new("RGB", (30, 40), (80, 60, 70)).save(tmp_path / "bee" / "2.png")
    found = read_images(tmp_path, ("ant", "bee"), 6, 9).images
    assert found.shape == (3, 3, 6, 9)
    assert found[:, 0, 2, 2].tolist() == [50, 50, 80]


# No file, no read


def test_what_is_no_file_is_refused_by_what_it_is(tmp_path: Path) -> None:
    """A pipe would be waited for without end."""
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket.png"))
        for name, why in (
            ("pipe", "this is a named pipe"),
            ("folder", "this is a folder"),
            ("gone", "the link leads nowhere"),
            ("device", "this is a device"),
            ("socket", "this is a socket"),
        ):
            with pytest.raises(UserError, match=rf"{name}\.png: .*: {why}\. Hint: remove it"):
                read(tmp_path / f"{name}.png")


def test_a_pipe_among_the_pictures_ends_the_load(tmp_path: Path) -> None:
    options = with_pictures(tmp_path)
    os.mkfifo(tmp_path / "pictures" / "bee" / "z.png")
    with pytest.raises(UserError, match=r"z\.png: only files are read: this is a named pipe"):
        load_dataset(options, cache=tmp_path / "cache")


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_a_recording_that_is_no_file_is_not_left_out_in_silence(tmp_path: Path, kind: str) -> None:
    options = with_pictures(tmp_path)
    path = tmp_path / "events" / "bee" / "z.npz"
    make = {"pipe": os.mkfifo, "folder": Path.mkdir, "link": lambda path: path.symlink_to(tmp_path / "nowhere")}
    make[kind](path)
    with pytest.raises(
        UserError, match=r"z\.npz: (only files are read|this file cannot be read): (this is a|the link)"
    ):
        load_dataset(options, cache=tmp_path / "cache")


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"8BPS\x00\x01", b""])
def test_no_other_decoder_sees_a_file_whatever_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.png: this picture cannot be read: cannot identify image file"):
        read(tmp_path / "a.png")
