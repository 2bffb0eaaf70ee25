"""The report: assembled as data (`build_report`), then drawn as JSON, Markdown and one HTML page (`render_all`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from export.files import write_json, write_text
from pipeline.report.content import ReportInputs, build_report
from pipeline.report.samples import Sample, choose_samples

__all__ = ["ReportInputs", "Sample", "build_report", "choose_samples", "render_all"]


def render_all(report: dict[str, Any], folder: Path) -> None:
    """Writes report.json, report.md and report.html into `folder`, each whole or not at all; JSON, the truth, first."""
    from pipeline.report.html import render_html
    from pipeline.report.markdown import render_markdown

    markdown, page = render_markdown(report), render_html(report)
    write_json(folder / "report.json", report)
    write_text(folder / "report.md", markdown)
    write_text(folder / "report.html", page)
