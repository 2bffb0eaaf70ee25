"""The stage `choice` of the method "auto": candidates compete on recordings that none of them was trained on."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeport.errors import UserError
from spikeport.export.network.readout import classify
from spikeport.files import write_text
from spikeport.pipeline.data.event_synthesis.table import load_synthesizer
from spikeport.pipeline.data.splits.leakage import check_leakage
from spikeport.pipeline.distillation.auto_candidates import candidates
from spikeport.pipeline.models import storage
from spikeport.pipeline.models.students.inference import run_student
from spikeport.pipeline.report.content.choice import CandidateJson
from spikeport.pipeline.run import distributed
from spikeport.pipeline.run.auto_method import with_method
from spikeport.pipeline.run.intervals import wilson
from spikeport.pipeline.stages.auto_students import STUDENT, trained_folder
from spikeport.pipeline.stages.choice_lines import choice_lines
from spikeport.pipeline.stages.choice_result import ChoiceResult
from spikeport.pipeline.stages.results import StageOutput
from spikeport.pipeline.stages.synthesis import MOTION, SYNTHESIS, with_cached_views
from spikeport.pipeline.stages.train import load_teacher
from spikeport.pipeline.training.candidate import train_candidate
from spikeport.pipeline.training.checkpoints import recipe_identity
from spikeport.pipeline.training.choice_folds import Fold, HeldOut, fold_dataset, fold_recipe, held_out
from spikeport.pipeline.training.choice_rule import BASELINE, Answers, Evidence, choose, evidence_of
from spikeport.pipeline.training.shared_pretraining import SharedPretraining

if TYPE_CHECKING:
    from spikeport.pipeline.data.event_synthesis.cached_views import CachedViews, EventSynthesizer
    from spikeport.pipeline.run.recipe import Recipe
    from spikeport.pipeline.stages.context import Context

STAGE, DONE = "choice", "answers.json"


def choice(context: Context) -> StageOutput:
    """Trains the candidates on folds of the recordings and chooses one by what they answer to the rest."""
    recipe, dataset = context.recipe, context.dataset
    auto = recipe.distillation.auto
    if recipe.synthesis.simulator_weights:
        check_leakage(Path(recipe.synthesis.simulator_weights).parent, dataset)
    held = held_out(dataset, recipe)
    if held.obstacle:
        reason = f"{BASELINE}, since {held.obstacle}"
        result = ChoiceResult(chosen=BASELINE, reason=reason, kind="none", confidence=auto.confidence)
    else:
        result = _chosen(_Competition(context, held), auto.confidence)
    for line in choice_lines(result.to_json()):
        context.progress.log(f"  {line}")
    return StageOutput(result=result)


class _Competition:
    """The trainings of all candidates in all folds. What is done is kept in a file, and is not done again.

    Where the only fold is the validation part, candidates are trained as the student itself would be, and the student
    of what is chosen is kept.
    """

    def __init__(self, context: Context, held: HeldOut) -> None:
        self.context, self.known, self.folds, self.validated = context, held.known, held.folds, held.validated
        self.folder = context.checkpoints(STAGE)
        self.left_out: dict[str, str] = {}
        self.shared = SharedPretraining(self.folder / "pretraining")
        sections = ("student", "training", "augmentation", "distillation", "synthesis")
        tied = json.dumps(recipe_identity(context.recipe, context.dataset, *sections), sort_keys=True)
        self._identity = hashlib.sha256(tied.encode()).hexdigest()
        self._done: dict[str, dict[str, Any]] = self._read()

    def run(self) -> tuple[dict[str, Answers], dict[str, float]]:
        """The answers of each candidate, and the seconds of its trainings."""
        teacher = load_teacher(self.context)
        found: dict[str, list[tuple[Fold, dict[str, Any]]]] = {name: [] for name in candidates(self.context.recipe)}
        for fold in self.folds:
            for name in [each for each in found if each not in self.left_out]:
                key = f"{fold.number} {name}"
                if key not in self._done:
                    self._keep(key, self._train(fold, name, teacher))
                entry = self._done[key]
                if "left_out" in entry:
                    self.left_out[name] = entry["left_out"]
                else:
                    found[name].append((fold, entry))
        self.shared.remove()
        compared = {name: entries for name, entries in found.items() if name not in self.left_out}
        seconds = {name: float(sum(entry["seconds"] for _, entry in entries)) for name, entries in compared.items()}
        return {name: self._answers(entries) for name, entries in compared.items()}, seconds

    def _train(self, fold: Fold, name: str, teacher: Any) -> dict[str, Any]:
        context, began, reused = self.context, time.monotonic(), self.shared.reused
        auto, folder = context.recipe.distillation.auto, self.folder / f"fold-{fold.number}" / name
        recipe, dataset = with_method(context.recipe, name), context.dataset
        where = f"{STAGE}: fold {fold.number + 1} of {len(self.folds)}, {name}"

        def progress(done: int, total: int, _: str) -> None:
            context.progress(done, total, where)

        try:
            if self.validated:
                folder = trained_folder(context, name)
            else:
                recipe = fold_recipe(recipe, fold)
                dataset = fold_dataset(dataset, self.known, fold, auto.images, recipe.seed)
            student = train_candidate(
                recipe, dataset, teacher, self._synthesizer(recipe), folder, self.shared, progress
            )
        except UserError as error:
            if name == BASELINE:
                raise
            return {"left_out": error.message}
        spikes = run_student(student, self.known.frames[fold.held]).spikes
        if self.validated:
            storage.save_student(student, folder / STUDENT)
        else:
            shutil.rmtree(folder, ignore_errors=True)
        predicted = classify(spikes)
        seconds = time.monotonic() - began
        right = float(np.mean(predicted == self.known.labels[fold.held]))
        known = ", pretrained before" if self.shared.reused > reused else ""
        context.progress.log(f"  {where}: {100 * right:.1f} % of {len(fold.held)} recordings, {seconds:.1f} s{known}")
        return {
            "predicted": predicted.tolist(),
            "counts": spikes.sum(axis=1, dtype=np.int64).tolist(),
            "seconds": round(seconds, 3),
        }

    def _synthesizer(self, recipe: Recipe) -> Callable[[], EventSynthesizer | CachedViews] | None:
        """What renders synthetic events in all folds alike; None for a translator, which each fold trains anew."""
        kind, run = recipe.synthesis.kind, self.context.run
        if kind == "translator" and not self.validated:
            return None

        def fitted() -> EventSynthesizer | CachedViews:
            if kind != "simulator" and not run.files("synthesis"):
                raise UserError(run.result("synthesis")["reason"], where="synthesis.kind")
            made = load_synthesizer(recipe, run.file(MOTION if kind == "motion" else SYNTHESIS))
            return with_cached_views(self.context, made) if self.validated else made

        return fitted

    def _answers(self, entries: list[tuple[Fold, dict[str, Any]]]) -> Answers:
        rows = np.concatenate([fold.held for fold, _ in entries])
        return Answers(
            recordings=np.unique(self.known.keys, return_inverse=True)[1][rows],
            labels=self.known.labels[rows],
            predicted=np.concatenate([np.array(entry["predicted"], np.int64) for _, entry in entries]),
            counts=np.concatenate([np.array(entry["counts"], np.int64) for _, entry in entries]),
        )

    def _read(self) -> dict[str, dict[str, Any]]:
        file = self.folder / DONE
        found = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        return found["done"] if found.get("identity") == self._identity else {}

    def _keep(self, key: str, entry: dict[str, Any]) -> None:
        self._done[key] = entry
        if distributed.is_rank_zero():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.folder / DONE, json.dumps({"identity": self._identity, "done": self._done}))


def _chosen(competition: _Competition, confidence: float) -> ChoiceResult:
    answers, seconds = competition.run()
    evidence = evidence_of(answers, confidence)
    chosen, of_baseline = choose(evidence), answers[BASELINE]
    recordings = len(np.unique(of_baseline.recordings))
    return ChoiceResult(
        chosen=chosen,
        reason=_reason(chosen, evidence, confidence),
        kind="validation" if competition.validated else "folds",
        confidence=confidence,
        recordings=recordings,
        answers=len(of_baseline.labels),
        trainings=len(competition.folds),
        candidates=tuple(_row(name, found, recordings, seconds[name]) for name, found in evidence.items()),
        left_out=competition.left_out,
    )


def _row(name: str, found: Evidence, recordings: int, seconds: float) -> CandidateJson:
    low, high = wilson(min(found.accuracy, 1) * recordings, recordings)
    return {
        "name": name,
        "accuracy": found.accuracy,
        "low": low,
        "high": high,
        "gain": found.gain,
        "gain_low": found.gain_low,
        "log_likelihood": found.log_likelihood,
        "likelihood_gain": found.likelihood_gain,
        "likelihood_gain_low": found.likelihood_gain_low,
        "better": name != BASELINE and found.better,
        "seconds": round(seconds, 3),
    }


def _reason(chosen: str, evidence: dict[str, Evidence], confidence: float) -> str:
    sure = f"{100 * confidence:g} % confidence"
    if chosen == BASELINE:
        return f"{BASELINE}, since no other candidate is better with {sure}"
    found = evidence[chosen]
    more = f"{100 * found.gain:.1f} points more recordings are answered correctly"
    if found.by_accuracy:
        return f"{chosen}, since {more}, at least {100 * found.gain_low:.1f} with {sure}"
    return f"{chosen}, since {more}, and the true classes are more probable with {sure}"
