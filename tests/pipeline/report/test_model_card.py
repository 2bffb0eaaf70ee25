"""The front matter of report.md, read back by a YAML reader."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import yaml
from report_example import example_inputs, example_without

from spikeport.pipeline.report.pages.markdown import render_markdown
from spikeport.pipeline.report.write import build_report


def card(report: dict[str, Any]) -> dict[str, Any]:
    empty, block, body = render_markdown(report).split("---\n", 2)
    assert empty == ""
    assert body.lstrip().startswith("# ")
    return yaml.safe_load(block)


def test_the_card_of_a_run() -> None:
    report = build_report(example_inputs())
    found = card(report)
    assert found["library_name"] == "spikeport"
    assert {"loihi", "knowledge-distillation"} <= set(found["tags"])
    (model,) = found["model-index"]
    (result,) = model["results"]
    assert (model["name"], result["dataset"]["name"]) == ("digits-example", "digits")
    assert result["dataset"]["split"] == "simulated events"
    values = {metric["name"]: metric["value"] for metric in result["metrics"]}
    assert values["Student, quantized"] == report["accuracy"]["student_quantized"]["value"]
    assert "Teacher" not in values


def test_what_is_unknown_is_left_out() -> None:
    found = card(build_report(replace(example_without(), method="baseline", answers={})))
    assert "model-index" not in found
    assert "knowledge-distillation" not in found["tags"]


def test_no_name_can_end_the_block() -> None:
    name = 'x"\n---\nlicense: mit\n# {evil}: é'
    found = card(build_report(replace(example_inputs(), name=name, dataset_name=name)))
    assert found["model-index"][0]["name"] == name
    assert "license" not in found
