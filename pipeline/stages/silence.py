"""How many test recordings the trained student of a run leaves without an answer."""

from __future__ import annotations

from spikeport.pipeline.run.run_folder import RunFolder
from spikeport.pipeline.stages.results import StudentResult


def silent_share(run: RunFolder) -> float:
    """Share of the test recordings in which no output fires, by the run's quantized student, or its float student.

    Args:
        run: the run, trained.

    Returns:
        0 to 1; 0 where silent recordings are not known, or nothing was tested.
    """
    method = run.recipe.distillation.method
    stage = next(name for name in (f"quantized-{method}", f"student-{method}") if run.is_done(name))
    found = StudentResult.from_json(run.result(stage)).predictions
    return (found.silent or 0) / max(1, len(found.classes))
