"""Profile schema that several tests use."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

from spikeport.pipeline.report.content import content


def validated(folder: Path) -> dict:
    schema = json.loads(Path(content.__file__).with_name("report.schema.json").read_text())
    report = json.loads((folder / "report.json").read_text())
    jsonschema.validate(report, schema)
    return report
