"""Checks of a recipe before hours of training, and of a run before a stage builds on it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from spikeport._startup import paused_gc
from spikeport.errors import MissingDependencyError, UserError
from spikeport.pipeline.run import distributed
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import MANIFEST
from spikeport.pipeline.run.run_folder import RunFolder, open_run
from spikeport.pipeline.run.sections.distillation import AUTO


def check_recipe(recipe: Recipe, *, for_netx: bool) -> bool:
    """Checks method, losses, networks, logger and callbacks of a recipe, before any folder is made.

    Args:
        recipe: the recipe.
        for_netx: whether a student that netx cannot hold is an error.

    Returns:
        Whether netx can hold the student.

    Raises:
        UserError: the recipe cannot be trained as it is.
        MissingDependencyError: the package of the logger is not installed.
    """
    with paused_gc():  # torch and Lightning
        from spikeport.pipeline.data.sources.table import may_have_images
        from spikeport.pipeline.distillation.auto_candidates import candidate_recipes, check_auto
        from spikeport.pipeline.distillation.method_spec import method_spec
        from spikeport.pipeline.distillation.objective import check_spec
        from spikeport.pipeline.models.students.build import check_student
        from spikeport.pipeline.models.teachers.build import check_teacher
        from spikeport.pipeline.stages.count_checks import check_counts
        from spikeport.pipeline.training.first_weights import student_origin
        from spikeport.pipeline.training.plugins import check_plugins
        from spikeport.pipeline.training.reverse_path import check_reverse_path

    check_auto(recipe)
    _check_settings(recipe)
    for each in candidate_recipes(recipe):
        check_spec(spec := method_spec(each.distillation))
        if each is recipe or each.distillation.method != "baseline":
            check_reverse_path(each, spec)
        if recipe.data.counts:
            check_counts(each, spec)
    if recipe.data.channels is not None and recipe.distillation.method not in ("baseline", AUTO):
        raise UserError(
            f"{recipe.distillation.method} needs images of the frames' height and width, and the input is "
            f"{recipe.data.channels} channels",
            where="distillation.method",
            hint='set distillation.method = "baseline"',
        )
    if recipe.data.channels is None and may_have_images(recipe.data):
        check_teacher(recipe.teacher, recipe.data.frame_size)
    check_plugins(recipe.training)
    student_origin(recipe)
    return check_student(recipe.student, recipe.data.frame_shape, for_netx=for_netx)


def _check_settings(recipe: Recipe) -> None:
    """Raises UserError for settings that would fail only after hours of training."""
    from spikeport.export.backends.table import backend_of
    from spikeport.hardware_profiles.profile import load_profile
    from spikeport.pipeline.distillation.method_spec import pretraining_stages, trains_without_recordings
    from spikeport.pipeline.profiling.baseline.gpu_model import baseline_gpu

    for name in recipe.profile.hardware:
        load_profile(name)
    baseline_gpu(recipe.profile.baseline_gpu)
    for name in recipe.check.backends:
        if name == "reference":
            raise UserError("the reference cannot be compared with itself", where="check.backends", hint="leave it out")
        backend_of(name)
    distributed.check_gpus(recipe.training)
    training, batch = recipe.training, recipe.training.batch
    if (parts := training.accumulate * distributed.world_size(training)) > batch:
        raise UserError(
            f"batches of {batch} cannot be cut into {parts} parts",
            where="training.accumulate, training.devices",
            hint="lower them, or take larger batches",
        )
    if not recipe.data.splits:  # the file may have validation rows
        check_patience(recipe, recipe.data.validation)
    weights = recipe.synthesis.simulator_weights
    if "simulator" in pretraining_stages(recipe) and weights and not Path(weights).is_file():
        raise UserError("no such weights file", where=weights, hint="correct synthesis.simulator_weights")
    if recipe.data.without_recordings and not trains_without_recordings(recipe):
        raise UserError(
            f"{recipe.distillation.method} cannot train without recordings",
            where="data.without_recordings",
            hint='use distillation.method = "synthetic-events" with synthesis.kind = "simulator" and '
            "synthesis.pretrain_epochs of 1 or more",
        )


def check_patience(recipe: Recipe, validation: int) -> None:
    """Checks that early stopping has recordings to judge by.

    Args:
        recipe: the recipe.
        validation: number of validation recordings.

    Raises:
        UserError: there are none, and `training.patience` is on.
    """
    if recipe.training.patience and not validation:
        raise UserError(
            f"training.patience = {recipe.training.patience} needs validation recordings, and there are none",
            where="data.validation",
            hint="set data.validation to 1 or more, or training.patience to 0",
        )


def require_backends(names: Iterable[str]) -> None:
    """Raises MissingDependencyError where Lava is one of the backends `names` and is not installed."""
    from spikeport.export.backends.lava.environment import interpreter

    if "lava" not in names:
        return
    try:
        interpreter()
    except MissingDependencyError as error:
        raise MissingDependencyError(
            error.message, where=error.where, hint=f"{error.hint}, or leave the comparison out: --set check.backends=[]"
        ) from None


def net_file(path: Path) -> Path:
    """The .net file that a command is given: the file itself, or that of a run folder.

    Args:
        path: a .net file or a run folder.

    Raises:
        UserError: a folder that is no run, or a run whose network is not exported yet.
    """
    if not path.is_dir():
        return path
    if not (path / MANIFEST).is_file():
        raise UserError("this is a folder, not a .net file", where=str(path), hint="name a .net file, or a run folder")
    run = open_run(path)
    require_exported(run)
    return run.file("student.net")


def require_exported(run: RunFolder) -> None:
    """Raises UserError for a run without student.net, as `spikeport train` leaves it, with the command that goes on."""
    if "export" not in run.manifest["stages"]:
        raise UserError(
            "this run has no student.net yet: its stage export has not run",
            where=str(run.path),
            hint=f"{_continued(run)} runs the remaining stages",
        )


def require_whole(run: RunFolder, stages: Iterable[str]) -> None:
    """Raises UserError that names what is missing or changed of `stages`."""
    found = [(stage, run.what_is_wrong(stage)) for stage in stages]
    faults = "; ".join(f"stage {stage}: {fault}" for stage, fault in found if fault)
    if faults:
        raise UserError(
            "this run is not whole",
            where=str(run.path),
            cause=faults,
            hint=f"put the files back; or let {_continued(run)} do these stages and all after them again",
        )


def _continued(run: RunFolder) -> str:
    """The command that continues a run."""
    return f"spikeport run {run.path} --resume"
