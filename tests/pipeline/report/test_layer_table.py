"""The table of layers: errors of the export, shares of a chip, and words where one of them is not known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from html_page import Page
from report_example import example_energy, example_inputs, example_without

from spikeport.pipeline.report.content.csv_tables import layers_csv
from spikeport.pipeline.report.content.layer_rows import HEADS, cells
from spikeport.pipeline.report.pages.html import render_html
from spikeport.pipeline.report.pages.markdown import render_markdown
from spikeport.pipeline.report.write import build_report

ERRORS = (  # name, weights, decays of voltage and current, clipped
    ("conv1", 0.0123, 0.00025, 0.0, 4),
    ("conv2", 0.5, 0.0, 0.002, 1234),
    ("conv3", 0.0, 0.0, 0.0, 0),
    ("output", 0.25, 0.0001, 0.0003, 7),
)
KEYS = ("name", "weight_error", "v_decay_error", "i_decay_error", "saturated")
# Of two decays the larger; shares of the example's cores, 3, 7, 16 and 1 of 128.
SHOWN = [
    ["1.23 %", "0.0250 %", "4", "2.34 % (3 cores)"],
    ["50.0 %", "0.200 %", "1,234", "5.47 % (7 cores)"],
    ["none", "none", "0", "12.5 % (16 cores)"],
    ["25.0 %", "0.0300 %", "7", "0.781 % (1 core)"],
]


def built(**changes: Any) -> dict[str, Any]:
    rows = [dict(zip(KEYS, row, strict=True)) for row in ERRORS]
    return build_report(replace(example_inputs(), **({"quantization": rows} | changes)))


def markdown_rows(report: dict[str, Any]) -> list[list[str]]:
    text = render_markdown(report).split("## Layers")[1].split("\n\n")[1]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_errors_and_shares_by_hand() -> None:
    assert [cells(layer) for layer in built()["layers"]] == SHOWN


def test_both_pages_and_the_table_of_numbers_have_them() -> None:
    report = built()
    head, _, *rows = markdown_rows(report)
    assert head[-4:] == list(HEADS)
    assert [row[-4:] for row in rows] == SHOWN
    html = render_html(report)
    text = Page(html).text
    for cell in (*HEADS, *(cell for row in SHOWN for cell in row)):
        assert cell in text
    assert html.index('class="scroll" role="region" aria-label="Table: layers"') < html.index('<table class="layers"')
    lines = layers_csv(report | {"energy": {"reason": "terms are not looked at"}}).splitlines()
    first = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert (first["weight_error"], first["v_decay_error"], first["i_decay_error"]) == ("0.0123", "0.00025", "0.0")
    assert (first["saturated"], first["cores"], first["chip_share"]) == ("4", "3", str(3 / 128))


def test_the_shares_name_their_device() -> None:
    """The first device whose cores are known, though another comes before it."""
    energy = example_energy()
    turned = built(energy=[energy[2], energy[1], energy[0]])
    assert [cells(layer) for layer in turned["layers"]] == SHOWN
    note = "Chip share: of the 128 cores of one Intel Loihi 1, by its public limits, layers on cores of their own."
    assert note in turned["layer_notes"]
    assert note in Page(render_html(turned)).text
    assert note in render_markdown(turned)
    energy[0]["placement"] |= {"at_least": True}
    assert any(
        line.endswith(", at least, since not all that fills a core is public.")
        for line in built(energy=energy)["layer_notes"]
    )


def test_what_is_not_known_says_so_and_is_never_0() -> None:
    report = build_report(example_without())
    keys = (*KEYS[1:], "cores", "chip_share")
    assert [layer[key] for layer in report["layers"] for key in keys] == [None] * 4 * len(keys)
    _, _, *rows = markdown_rows(report)
    assert [row[-4:] for row in rows] == [["not known"] * 4] * 4
    for page in (render_markdown(report), Page(render_html(report)).text):
        assert "Weight error, decay error and saturation are not known: nobody recorded them." in page
        assert "Chip share is not known: for no device here are the cores known that the layers take." in page
    line = layers_csv(report).splitlines()[1].split(",")
    named = dict(zip(layers_csv(report).splitlines()[0].split(","), line, strict=True))
    assert {named[key] for key in keys} == {""}


def test_a_reason_stands_in_the_place_of_errors_and_a_layer_without_is_named() -> None:
    notes = built(quantization="the file holds integers")["layer_notes"]
    assert "Weight error, decay error and saturation are not known: the file holds integers." in notes
    only = [dict(zip(KEYS, row, strict=True)) for row in ERRORS if row[0] != "conv2"]
    report = built(quantization=only)
    assert (
        "Weight error, decay error and saturation of conv2 are not known: nobody recorded them."
        in report["layer_notes"]
    )
    assert [cells(layer)[0] for layer in report["layers"]] == ["1.23 %", "not known", "none", "25.0 %"]


def test_an_export_that_rounded_nothing_says_why() -> None:
    reported = "Export rounded nothing: weights, thresholds and decays lay on the chip's integer grid before."
    exact = [{"name": name, "exact": True, "weight_error": 0.0} for name, *_ in ERRORS]
    assert reported in built(quantization=exact)["layer_notes"]
    assert reported not in built(quantization=[*exact[:3], exact[3] | {"exact": False}])["layer_notes"]
    assert reported not in built()["layer_notes"]


def test_a_report_made_before_these_columns_is_still_drawn() -> None:
    report = built()
    report.pop("layer_notes")
    for layer in report["layers"]:
        for key in ("v_decay_error", "i_decay_error", "cores", "chip_share"):
            layer.pop(key)
    assert cells(report["layers"][0]) == ["1.23 %", "not known", "4", "not known"]
    assert Page(render_html(report)).open == []
    assert markdown_rows(report)[2][-1] == "not known"


def test_lists_of_texts_are_apart_in_the_table_of_numbers() -> None:
    layer = {"name": "a", "shape": [3, 5, 2], "folded": ["pool", "norm"], "notes": []}
    assert layers_csv({"layers": [layer], "energy": {"reason": "none"}}).splitlines()[1] == "a,3x5x2,pool; norm,"
