"""The shipped schema of report.json: an independent validator accepts every report, and refuses what would mislead."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from report_example import example_inputs, example_without

from spikeport.pipeline.report.content import content
from spikeport.pipeline.report.content.content import SCHEMA
from spikeport.pipeline.report.write import build_report

TEXT = Path(content.__file__).with_name("report.schema.json").read_text(encoding="utf-8")


def faults(report: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(json.loads(TEXT))
    return ["/".join(map(str, fault.absolute_path)) for fault in validator.iter_errors(report)]


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return build_report(example_inputs())


def test_the_schema_is_one_and_names_the_version() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(TEXT))
    assert json.loads(TEXT)["title"] == SCHEMA


def test_a_whole_report_and_one_that_lacks_every_optional_part(whole: dict[str, Any]) -> None:
    assert faults(json.loads(json.dumps(whole))) == []
    assert faults(build_report(example_without())) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", "spikeport-report/1"),
        ("accuracy/reference/value", 1.2),
        ("accuracy/lava", {"value": None}),
        ("equivalence/comparisons/reference_vs_lava", {"mismatches": 0}),
        ("energy", []),
        ("energy/0/dynamic_uj", 3.4),
        ("energy/0/kind", "chip"),
        ("layers/1/neurons", 0),
        ("layers/1/rate", 1.5),
        ("layers/1/cores", 0),  # what is not known is null
        ("layers/1/chip_share", 0),
        ("layers/1/v_decay_error", -0.1),
        ("layer_notes/0", ""),
        ("energy/0/placement/chips", -1),
        ("baseline/0/batch", 0),
        ("samples/0/frames/shape", [10, 34, 34]),
        ("dataset/counts/train", -1),
    ],
)
def test_what_would_mislead_is_refused(whole: dict[str, Any], path: str, value: object) -> None:
    report = copy.deepcopy(whole)
    *way, last = [int(part) if part.isdecimal() else part for part in path.split("/")]
    place: Any = report
    for part in way:
        place = place[part]
    place[last] = value
    assert any(fault.startswith(path.rsplit("/", 1)[0]) for fault in faults(report))


@pytest.mark.parametrize("key", ["summary", "equivalence", "provenance"])
def test_a_missing_key_is_refused(whole: dict[str, Any], key: str) -> None:
    assert faults({name: value for name, value in whole.items() if name != key}) == [""]


def test_numpy_numbers_do_not_reach_the_report(whole: dict[str, Any]) -> None:
    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(entry) for key, entry in value.items())
        return all(map(plain, value)) if isinstance(value, list) else not isinstance(value, np.generic)

    assert plain(whole)
