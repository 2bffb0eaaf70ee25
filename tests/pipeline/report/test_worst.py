"""The worst mistakes of a report: ranked and drawn as worked out by hand, on both pages."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
from html_page import Page
from PIL import Image
from report_example import example_inputs

from spikeport.pipeline.report.content.worst import (
    EMPTY,
    IMAGE_SIDE,
    MOST,
    SIDE,
    WrongSample,
    describe_mistake,
    events_picture,
    worst_rows,
)
from spikeport.pipeline.report.pages.html import render_html
from spikeport.pipeline.report.pages.markdown import render_markdown
from spikeport.pipeline.report.write import build_report


def spikes_of(counts: list[list[int]], steps: int = 9) -> np.ndarray:
    """Output spikes `[N, T, K]` with these counts, at the first steps."""
    return (np.arange(steps)[None, :, None] < np.array(counts)[:, None, :]).astype(np.uint8)


def pixels_of(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def wrong(frames: np.ndarray, image: np.ndarray | None = None) -> WrongSample:
    return WrongSample(key="test/3/7", label=3, predicted=8, margin=5, frames=frames, image=image)


def test_mistakes_are_ranked_by_hand() -> None:
    """Recording 1 errs by 1 spike, 2 by 6, 4 by 6; 0 is right, 3 has no answer, 5 no label."""
    counts = [[5, 0, 0], [3, 4, 0], [1, 0, 7], [0, 0, 0], [6, 0, 0], [9, 0, 0]]
    labels, predicted = np.array([0, 0, 0, 1, 2, -1]), np.array([0, 1, 2, -1, 0, 0])
    assert worst_rows(labels, predicted, spikes_of(counts)) == [(2, 6), (4, 6), (1, 1)]
    many = MOST + 3
    found = worst_rows(np.zeros(many, int), np.ones(many, int), spikes_of([[0, 2]] * many))
    assert found == [(row, 2) for row in range(MOST)]
    assert worst_rows(np.array([1]), np.array([1]), spikes_of([[0, 2]])) == []


def test_the_picture_of_events_by_hand() -> None:
    """Of 4 steps, OFF fires at (0, 1) in 2 and ON at (1, 2) in 4: half of gray 120 and all of the color."""
    frames = np.zeros((4, 2, 2, 3), dtype=np.uint8)
    frames[:2, 0, 0, 1], frames[:, 1, 1, 2] = 1, 1
    drawn = events_picture(frames)
    expected = np.zeros((3, 2, 3), dtype=np.uint8)
    expected[:, 0, 1], expected[:, 1, 2] = 60, (147, 162, 255)
    assert np.array_equal(drawn, expected)
    assert not events_picture(np.zeros((4, 2, 2, 3))).any()
    assert np.array_equal(events_picture(np.ones((1, 1, 2, 3))), np.full((3, 2, 3), 255))


def test_pictures_of_large_sensors_are_small() -> None:
    frames, image = np.zeros((2, 2, 3 * SIDE - 1, SIDE), np.uint8), np.zeros((3, 2 * IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    frames[0, 1, 3:6, 0] = 1  # three pixels of one square of 3 x 3, and of no other
    mistake = describe_mistake(wrong(frames, image), tuple("0123456789"))
    drawn = pixels_of(mistake["events_png"])
    assert drawn.shape == (SIDE, -(-SIDE // 3), 3)
    assert drawn[1, 0].tolist() == [147, 162, 255]
    assert np.count_nonzero(drawn.any(axis=2)) == 1
    assert mistake["image_png"] is not None
    assert pixels_of(mistake["image_png"]).shape == (IMAGE_SIDE, IMAGE_SIDE // 2, 3)


def test_both_pages_have_them() -> None:
    frames = np.ones((2, 2, 3, 4), np.uint8)
    examples = [wrong(frames, np.zeros((1, 5, 6), np.uint8)), replace(wrong(frames), key="<b>", margin=1)]
    report = build_report(replace(example_inputs(), mistakes=examples))
    page, markdown = Page(render_html(report)), render_markdown(report)
    assert "| test/3/7 | 3 | 8 | 5 |" in markdown
    assert "“3” as “8” by 5 test/3/7" in page.text
    alts = [attributes.get("alt") for tag, attributes in page.tags if tag == "img"]
    assert alts.count("Events of recording test/3/7") == alts.count("Static image of recording test/3/7") == 1
    assert alts.count("Events of recording <b>") == 1
    assert "Static image of recording <b>" not in alts


def test_no_mistake_and_none_ranked_are_told_apart() -> None:
    for mistakes, text in (([], EMPTY), ("the read-out is linear", "the read-out is linear")):
        report = build_report(replace(example_inputs(), mistakes=mistakes))
        assert text in Page(render_html(report)).text
        assert f"## Worst mistakes\n\n{text}" in render_markdown(report)
    del report["mistakes"]  # of an older version
    render_html(report)
    render_markdown(report)


def test_channels_are_a_raster_with_time_to_the_right() -> None:
    """Three steps of 130 inputs: three inputs are one row, and the brightest has two spikes."""
    frames = np.zeros((3, 130), np.uint8)
    frames[0, [0, 2]] = frames[2, 129] = 1
    drawn = events_picture(frames)
    assert drawn.shape == (3, 44, 3)
    expected = np.zeros((44, 3), int)
    expected[0, 0], expected[43, 2] = 255, 128
    assert (drawn == expected).all()
