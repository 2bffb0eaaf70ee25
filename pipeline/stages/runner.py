"""The pipeline: an ordered list of stages over a run folder. What is done and unchanged is not done again."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeport.errors import MissingDependencyError, UserError
from spikeport.files import writing
from spikeport.imports import paused_gc
from spikeport.pipeline.run import distributed as ranks
from spikeport.pipeline.run.progress import Progress
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.run_folder import MANIFEST, RECIPE, RunFolder, locked

if TYPE_CHECKING:
    from spikeport.pipeline.data.dataset import Dataset

Result = tuple[dict[str, Any], tuple[str, ...]]  # what a stage found (JSON), and the files that it wrote
TRAIN, DEPLOY, REPORT = (f"spikeport.pipeline.stages.{part}" for part in ("train", "deploy", "report"))


@dataclass
class Context:
    """What a stage works with. The data set is loaded once, when a stage first asks for it."""

    run: RunFolder
    progress: Progress = field(default_factory=Progress)

    @property
    def recipe(self) -> Recipe:
        """The run's recipe."""
        return self.run.recipe

    @cached_property
    def dataset(self) -> Dataset:
        """The recipe's data set, binned frames cached on disk."""
        from spikeport.pipeline.data.load import load_dataset

        return load_dataset(self.recipe.data, cache=cache_folder(), progress=self.progress)

    def checkpoints(self, training: str) -> Path:
        """Where the training of this name keeps what it needs to go on."""
        return self.run.file("checkpoints") / training


@dataclass(frozen=True)
class Stage:
    """A named piece of work. `title` says what it does, for people; `function` of the module `home` does it, called
    with `options`. Only what is done is loaded: learning brings torch, for which a report has no use."""

    name: str
    title: str
    home: str
    function: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def work(self) -> Callable[[Context], Result]:
        """What does it, its module loaded."""
        return partial(getattr(import_module(self.home), self.function), **self.options)


def cache_folder() -> Path:
    """Where binned frames are kept between runs: SPIKEPORT_CACHE, else the user's cache folder."""
    named = os.environ.get("SPIKEPORT_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spikeport"


def stages_of(recipe: Recipe) -> tuple[Stage, ...]:
    """All stages of a run in order."""
    from spikeport.pipeline.distillation import methods

    trained = [
        stage
        for method in recipe.arms
        for stage in (
            Stage(f"student-{method}", f"training the student ({method})", TRAIN, "student", {"method": method}),
            Stage(
                f"quantized-{method}",
                f"fine-tuning it in Loihi arithmetic ({method})",
                TRAIN,
                "quantized",
                {"method": method},
            ),
        )
    ]
    lessons = methods.lessons(recipe)
    bridged = [
        Stage(name, title, TRAIN, name)
        for name, title in (
            ("simulator", "pretraining the student on images rendered by the simulator"),
            ("synthesis", "fitting the translator from images to events"),
            ("pretrain", "pretraining the student on synthetic events"),
        )
        if name in lessons
    ]
    return (
        Stage("data", "reading and binning the recordings", TRAIN, "data"),
        Stage("teacher", "training the teacher on static images", TRAIN, "teacher"),
        *bridged,
        *trained,
        Stage("export", "exporting to NIR, netx and ONNX", DEPLOY, "export"),
        Stage("simulate", "simulating the test set with the integer reference", DEPLOY, "simulate"),
        Stage("check", "comparing the student, the reference and Lava spike by spike", DEPLOY, "check"),
        Stage("profile", "counting operations and pricing them", REPORT, "profile"),
        Stage("report", "writing the report", REPORT, "report"),
    )


TRAINING = ("data", "teacher", "simulator", "synthesis", "pretrain", "student", "quantized")
LED = ("data",)  # what processes that train together leave to the first of them


def run_stages(context: Context, *, only_training: bool = False) -> None:
    """Does every stage that is not done, and all after it.

    A stage is recorded after its files are whole, so a killed run goes on where it stopped. Processes that train
    together (`ranks`) go through the training stages side by side, and only the first goes on. Raises what stages
    raise.
    """
    stages = stages_of(context.recipe)
    runs_on_a_chip = check_recipe(context.recipe, for_netx=not only_training)
    if only_training:
        kinds = [kind for kind in TRAINING if runs_on_a_chip or kind != "quantized"]
        stages = tuple(stage for stage in stages if stage.name.split("-")[0] in kinds)
    elif context.recipe.check.lava and not context.run.is_done("check"):
        _lava_must_be_here()
    stale = False
    for number, stage in enumerate(stages, start=1):
        if stage.name.split("-")[0] not in TRAINING and not ranks.part():
            return
        where = f"[{number}/{len(stages)}] {stage.title}"
        if not stale and context.run.is_done(stage.name):
            context.progress.say(f"{where}: done before")
            continue
        if not stale:
            if stage.name in context.run.manifest["stages"]:
                context.progress.say(f"  {context.run.what_is_wrong(stage.name)}: done again, and all after it")
            context.run.forget(tuple(later.name for later in stages[number - 1 :]))
            stale = True
        context.progress.say(where)
        work, began = stage.work, time.monotonic()
        if ranks.leads() or stage.name not in LED:
            with writing(context.run.file(MANIFEST)):  # beside what it names itself: what libraries put elsewhere
                result, files = work(context)
            context.run.record(stage.name, result, files, time.monotonic() - began)
        ranks.wait()  # the others read what the first has written
        if ranks.leads():
            shutil.rmtree(context.checkpoints(stage.name), ignore_errors=True)


def do_again(
    context: Context, name: str, *, even_if_done: bool = True, first: Callable[[], object] | None = None
) -> None:
    """Does the stage `name` of a run alone, `first` before it, and records it. Holds the run's folder meanwhile.

    Raises UserError that names what is missing or changed of the stages before it, and the command that does those
    again: they may take hours, and give other weights.
    """
    run = context.run
    if not even_if_done and run.is_done(name):
        return
    stages = {stage.name: stage for stage in stages_of(context.recipe)}
    must_be_whole(run, list(stages)[: list(stages).index(name)])
    with locked(run.path):
        if first is not None:
            first()
        began = time.monotonic()
        result, files = stages[name].work(context)
        run.record(name, result, files, time.monotonic() - began)


def must_be_whole(run: RunFolder, stages: Iterable[str]) -> None:
    """Raises UserError naming what is missing or changed of `stages`."""
    wrong = [(stage, run.what_is_wrong(stage)) for stage in stages]
    wrong_stages = "; ".join(f"stage {stage}: {what}" for stage, what in wrong if what)
    if wrong_stages:
        again = f"spikeport run {run.file(RECIPE)} --out {run.path} --resume"
        raise UserError(
            "this run is not whole",
            where=str(run.path),
            cause=wrong_stages,
            hint=f"put the files back; or let {again} do these stages and all after them again",
        )


def check_recipe(recipe: Recipe, *, for_netx: bool) -> bool:
    """Whether netx can hold the student. Raises UserError for what cannot be of method, terms, teacher or student (with
    `for_netx` also for a student that netx cannot hold), before any folder is made."""
    with paused_gc():  # torch and Lightning
        from spikeport.pipeline.distillation import methods
        from spikeport.pipeline.distillation import objective as objectives
        from spikeport.pipeline.models.students.build import check_student
        from spikeport.pipeline.models.teachers.build import check_teacher

    frame = recipe.data.height, recipe.data.width
    _check_parts(recipe)
    objectives.check_spec(methods.method_spec(recipe.distillation))
    check_teacher(recipe.teacher, frame)
    return check_student(recipe.student, (2, *frame), for_netx=for_netx).for_netx


def _check_parts(recipe: Recipe) -> None:
    """What would else be said after hours of training."""
    from spikeport.hardware_profiles.profile import load_profile
    from spikeport.pipeline.distillation import methods

    for name in (*recipe.profile.hardware, recipe.profile.baseline_gpu):
        load_profile(name)
    ranks.check_gpus(recipe.training)
    training, batch = recipe.training, recipe.training.batch
    if (parts := training.accumulate * ranks.world_of(training)) > batch:
        raise UserError(
            f"batches of {batch} cannot be cut into {parts} parts",
            where="training.accumulate, training.devices",
            hint="lower them, or take larger batches",
        )
    weights = recipe.bridge.camera_weights
    if "simulator" in methods.lessons(recipe) and weights and not Path(weights).is_file():
        raise UserError("there is no such file of weights", where=weights, hint="correct bridge.camera_weights")
    if recipe.data.without_recordings and not methods.learns_without_recordings(recipe):
        raise UserError(
            f"{recipe.distillation.method} cannot train without recordings",
            where="data.without_recordings",
            hint='use distillation.method = "bridge" with bridge.kind = "camera" and bridge.start_epochs of 1 or more',
        )


def _lava_must_be_here() -> None:
    """A missing Lava is said before hours of training, not after."""
    from spikeport.export.backends.lava.environment import interpreter

    try:
        interpreter()
    except MissingDependencyError as error:
        raise MissingDependencyError(
            error.message, where=error.where, hint=f"{error.hint}, or go without the comparison: --set check.lava=false"
        ) from None
