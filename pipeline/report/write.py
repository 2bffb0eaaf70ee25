"""Writes a report as JSON, Markdown and HTML from the data of `build_report`.

A comparison of runs is written in the same way, from the data of `build_comparison`.
"""

from __future__ import annotations

from pathlib import Path

from spikeport.files import atomic_folder, write_json, write_text
from spikeport.pipeline.report.comparison.compare_json import Comparison
from spikeport.pipeline.report.content.content import ReportInputs, build_report
from spikeport.pipeline.report.content.report_json import Report
from spikeport.pipeline.report.content.samples import Sample, choose_samples

__all__ = ["ReportInputs", "Sample", "build_report", "choose_samples", "render_all", "render_comparison"]


def render_all(report: Report, folder: Path) -> None:
    """Writes report.json, report.md and report.html into `folder`, all or none.

    Args:
        report: content of report.json.
        folder: the folder, which is made where it is missing.
    """
    from spikeport.pipeline.report.pages.html import render_html
    from spikeport.pipeline.report.pages.markdown import render_markdown

    markdown, page = render_markdown(report), render_html(report)
    with atomic_folder(folder) as made:
        write_json(made / "report.json", report)
        write_text(made / "report.md", markdown)
        write_text(made / "report.html", page)


def render_comparison(comparison: Comparison, folder: Path) -> None:
    """Writes compare.json, compare.md and compare.html into `folder`, all or none.

    Args:
        comparison: content of compare.json.
        folder: the folder, which is made where it is missing.
    """
    from spikeport.pipeline.report.comparison.html import render_html
    from spikeport.pipeline.report.comparison.markdown import render_markdown

    markdown, page = render_markdown(comparison), render_html(comparison)
    with atomic_folder(folder) as made:
        write_json(made / "compare.json", comparison)
        write_text(made / "compare.md", markdown)
        write_text(made / "compare.html", page)
