"""The pipeline: an ordered list of stages over a run folder. What is done and unchanged is not done again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

from spikeport.files import writing
from spikeport.pipeline.run import distributed
from spikeport.pipeline.run.auto_method import CHOICE
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.recipe_file import MANIFEST
from spikeport.pipeline.run.run_folder import RunFolder, locked
from spikeport.pipeline.stages.checks import check_recipe, require_backends, require_whole
from spikeport.pipeline.stages.context import Context
from spikeport.pipeline.stages.results import StageOutput
from spikeport.pipeline.stages.stage_titles import title_under

TRAIN, SYNTHESIS, CHOOSING, DEPLOY, REPORT = (
    f"spikeport.pipeline.stages.{part}" for part in ("train", "synthesis", "choice", "deploy", "report")
)


@dataclass(frozen=True)
class Stage:
    """A named step of a run. Its module is loaded when its turn comes: training needs torch, a report does not.

    Attributes:
        name: the name in the manifest and after `--from`.
        title: what it does, for people; `stage_titles` has other ones for some recipes.
        home: the module of its function.
        function: the function, which is called with a context.
        options: further arguments of the function.
    """

    name: str
    title: str
    home: str
    function: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def work(self) -> Callable[[Context], StageOutput]:
        """The stage's function; loads its module."""
        return partial(getattr(import_module(self.home), self.function), **self.options)


BEFORE_STUDENTS = {
    name: Stage(name, title, home, name)
    for name, title, home in (
        ("simulator", "pretraining the student on images rendered by the simulator", TRAIN),
        ("synthesis", "fitting the synthesis of events from images", SYNTHESIS),
        (CHOICE, "choosing the method on held-out recordings", CHOOSING),
        ("pretrain", "pretraining the student on synthetic events", TRAIN),
    )
}


def stages_of(recipe: Recipe) -> tuple[Stage, ...]:
    """All stages of a run in order."""
    from spikeport.pipeline.distillation.auto_candidates import chooses
    from spikeport.pipeline.distillation.method_spec import pretraining_stages

    trained = [
        stage
        for method in recipe.methods
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
    names = pretraining_stages(recipe)
    if chooses(recipe):  # a pretraining of what was chosen follows the choice
        names = (
            *(name for name in names if name == "synthesis"),
            CHOICE,
            *(name for name in names if name != "synthesis"),
        )
    synthesis = [BEFORE_STUDENTS[name] for name in names]
    return (
        Stage("data", "reading and binning the recordings", TRAIN, "data"),
        Stage("teacher", "training the teacher on static images", TRAIN, "teacher"),
        *synthesis,
        *trained,
        Stage("export", "exporting to NIR, netx and ONNX", DEPLOY, "export"),
        Stage("simulate", "simulating the test set with the integer reference", DEPLOY, "simulate"),
        Stage("check", "comparing the student, the reference and Lava spike by spike", DEPLOY, "check"),
        Stage("profile", "counting operations and estimating their energy", REPORT, "profile"),
        Stage("report", "writing the report", REPORT, "report"),
    )


TRAINING = ("data", "teacher", "simulator", "synthesis", CHOICE, "pretrain", "student", "quantized")
LED = ("data",)  # stages that rank 0 does alone where several processes train together


def builds_on(stage: str, names: Iterable[str]) -> tuple[str, ...]:
    """The stages that use results of a stage: all later ones, except that no student uses one of another method.

    Args:
        stage: name of the stage.
        names: all stages in order.
    """
    later = list(names)
    later = later[later.index(stage) + 1 :] if stage in later else []
    kind, _, method = stage.partition("-")
    if kind in ("student", "quantized"):
        later = [name for name in later if "-" not in name or name.partition("-")[2] == method]
    return tuple(later)


def run_stages(context: Context, *, only_training: bool = False) -> None:
    """Does every stage that is not done, and all that build on it.

    A stage is recorded after its files are whole, so that a killed run continues where it stopped. Processes that train
    together (`ranks`) run the training stages together; only the first runs the later stages. Raises what stages
    raise.
    """
    stages = stages_of(context.recipe)
    runs_on_a_chip = check_recipe(context.recipe, for_netx=not only_training)
    if only_training:
        kinds = [kind for kind in TRAINING if runs_on_a_chip or kind != "quantized"]
        stages = tuple(stage for stage in stages if stage.name.split("-")[0] in kinds)
    elif not context.run.is_done("check"):
        require_backends(context.recipe.check.backends)
    stale: set[str] = set()
    titles = {stage.name: title_under(context.recipe, stage.name, stage.title) for stage in stages}
    numbered = [name for name, title in titles.items() if title]
    for stage in stages:
        if stage.name.split("-")[0] not in TRAINING and not distributed.shutdown():
            return
        title = titles[stage.name]
        where = f"[{numbered.index(stage.name) + 1}/{len(numbered)}] {title}" if title else ""
        if stage.name not in stale and context.run.is_done(stage.name):
            if where:
                context.progress.log(f"{where}: done before")
            continue
        if stage.name not in stale:
            if stage.name in context.run.manifest["stages"]:
                context.progress.log(f"  {context.run.what_is_wrong(stage.name)}: done again, and what builds on it")
            again = stage.name, *builds_on(stage.name, (each.name for each in stages_of(context.recipe)))
            context.run.forget(again)
            stale |= set(again)
        if where:
            context.progress.log(where)
        work, began = stage.work, time.monotonic()
        if stage.name.split("-")[0] in TRAINING:
            _use_threads(context.recipe.training.threads)
        if distributed.is_rank_zero() or stage.name not in LED:
            with writing(context.run.file(MANIFEST)):  # beside what it names itself: what libraries put elsewhere
                output = work(context)
            record(context.run, stage.name, output, time.monotonic() - began)
        distributed.barrier()  # the others read what the first has written


def _use_threads(count: int) -> None:
    """Lets torch use so many threads in all that a training stage does, before its first optimizer step as well."""
    if count:
        import torch

        torch.set_num_threads(count)


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
    require_whole(run, list(stages)[: list(stages).index(name)])
    with locked(run.path):
        if first is not None:
            first()
        began = time.monotonic()
        output = stages[name].work(context)
        record(run, name, output, time.monotonic() - began)


def record(run: RunFolder, stage: str, output: StageOutput, seconds: float) -> None:
    """Marks `stage` as done in the manifest, with what it found, its files and how long it took."""
    started = {"started_from": output.started_from} if output.started_from else {}
    order = [each.name for each in stages_of(run.recipe)]
    run.record(stage, {**output.result.to_json(), **started}, output.files, seconds, order)
