"""The front matter of report.md for model hubs: YAML between two lines of dashes."""

from __future__ import annotations

import json
import re
from typing import Any

from spikeport.pipeline.report.content import words
from spikeport.pipeline.report.content.report_json import Report

TAGS = ("spiking-neural-network", "neuromorphic", "event-camera", "loihi", "nir")


def front_matter(report: Report) -> str:
    """Library, tags and accuracies as YAML; unknown values are left out.

    Accuracies are under `model-index`, with the share of recordings without an answer where it is not zero.

    Args:
        report: content of report.json.
    """
    dataset, method = report["dataset"], report["method"].rpartition(": ")[2]
    tags = [*TAGS, *(["knowledge-distillation"] if method not in ("", "baseline") else [])]
    metrics: list[dict[str, object]] = [
        {"type": "accuracy", "name": words.stage_name(stage), "value": entry["value"]}
        for stage, entry in report["accuracy"].items()
        if stage != "teacher" and entry["value"] is not None
    ]
    metrics += [
        {
            "type": "no_answer",
            "name": f"{words.stage_name(stage)}, share of recordings without an output spike",
            "value": (entry["silent"] or 0) / entry["n"],
        }
        for stage, entry in report["accuracy"].items()
        if stage != "teacher" and entry.get("silent")
    ]
    tested = "simulated events" if dataset["simulated"] else words.of_recordings(report)
    lines = ["library_name: spikeport", f"tags: {_yaml(tags)}"]
    if metrics:
        lines += [
            "metrics: [accuracy]",
            "model-index:",
            f"- name: {_yaml(report['name'])}",
            "  results:",
            "  - task: {type: image-classification, name: classification of event-camera recordings}",
            f"    dataset: {_yaml({'name': dataset['name'], 'type': dataset['name'], 'split': tested})}",
            "    metrics:",
            *(f"    - {_yaml(metric)}" for metric in metrics),
        ]
    return "\n".join(["---", *lines, "---"])


def _yaml(value: Any) -> str:
    """A value as ASCII JSON, which is valid YAML.

    No text can end the block or begin another key. Where front matter is shown as Markdown, no text is HTML, a link or
    a picture.
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_yaml(key)}: {_yaml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return re.sub(r"[<>&\[\]`*]", lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value))
