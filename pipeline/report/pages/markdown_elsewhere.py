"""Sections of report.md for use beside other work: energies that others measured, and a row for a leaderboard."""

from __future__ import annotations

from spikeport.errors import printable
from spikeport.pipeline.report.content import elsewhere, leaderboard
from spikeport.pipeline.report.content.report_json import Report
from spikeport.pipeline.report.pages.markdown_parts import inline, table


def elsewhere_section(report: Report) -> list[str]:
    """Energies of other networks; empty for older reports.

    Args:
        report: content of report.json.
    """
    found = report.get("elsewhere")
    if not found:
        return []
    modeled = [inline(elsewhere.sentence(found["microcontroller"]))] if "microcontroller" in found else []
    rows = [elsewhere.cells(point) for point in found["points"]]
    title = "## Measured elsewhere, another network"
    return [title, *modeled, table(list(elsewhere.HEADS), rows, right=(2,)), elsewhere.NOTE]


def leaderboard_section(report: Report) -> list[str]:
    """NeuroBench's columns in a block to copy; empty for older reports.

    Args:
        report: content of report.json.
    """
    found = report.get("leaderboard")
    if not found:
        return []
    row = printable(found["text"]).replace("```", "")
    head = f"| {' | '.join(leaderboard.HEADS)} |"
    return ["## Leaderboard row", leaderboard.NOTE, f"```\n{head}\n{row}\n```"]
