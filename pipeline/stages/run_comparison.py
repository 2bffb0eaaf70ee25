"""Compares finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spikeport.pipeline.report.comparison.compare_json import Comparison
from spikeport.pipeline.stages.reporting import ProgressLike, progress_of
from spikeport.pipeline.stages.run_value import Run
from spikeport.pipeline.stages.settings import PathLike

COMPARISON_FILES = ("compare.html", "compare.md", "compare.json")


@dataclass(frozen=True, kw_only=True)
class RunComparison:
    """A comparison of finished runs.

    Attributes:
        content: compare.json: runs, differences of accuracy and ratios of energy to the first run, with intervals.
    """

    content: Comparison

    @property
    def summary(self) -> str:
        """The comparison in one sentence."""
        return str(self.content["summary"])

    def save(self, folder: PathLike) -> Path:
        """Writes compare.html, compare.md and compare.json into a folder, all or none.

        Args:
            folder: the folder; created if it does not exist.

        Returns:
            The path of compare.html.

        Raises:
            UserError: the folder contains other files.
        """
        from spikeport.pipeline.report.comparison.comparison import SCHEMA
        from spikeport.pipeline.report.write import render_comparison
        from spikeport.pipeline.stages.outputs import check_folder

        check_folder(Path(folder), COMPARISON_FILES, "comparison", schema=SCHEMA)
        render_comparison(self.content, Path(folder))
        return Path(folder) / COMPARISON_FILES[0]

    def __repr__(self) -> str:
        return f"RunComparison of {len(self.content['runs'])} runs\n  {self.summary}"


def compare_runs(runs: Sequence[Run | PathLike], *, progress: ProgressLike = None) -> RunComparison:
    """Compares finished runs with the first one, paired by recording if they were tested on the same recordings.

    Args:
        runs: two or more runs, or their folders.
        progress: called with (runs read, runs in all, what is done).

    Raises:
        UserError: there are fewer than two runs, a run is named twice, or a run is not finished.
    """
    from spikeport.pipeline.report.comparison.comparison import build_comparison
    from spikeport.pipeline.report.content.finished_run import read_runs

    display = progress_of(progress)
    folders = [run.path if isinstance(run, Run) else Path(run) for run in runs]
    read = read_runs(folders, progress=lambda done, total: display(done, total, "runs"))
    return RunComparison(content=build_comparison(read))
