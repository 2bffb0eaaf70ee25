"""What a student is trained on: the weighted sum of a plan's terms."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.distillation.losses.base import Sizes, Step, Stream, Term, term_class, term_settings
from spikeport.pipeline.distillation.methods import Plan
from spikeport.pipeline.distillation.schedules import scheduled
from spikeport.pipeline.run.recipe import Term as TermRecipe


@dataclass(frozen=True)
class Loss:
    """The scalar to descend and its detached parts, for the log."""

    total: Tensor
    parts: dict[str, Tensor]


class Objective(nn.Module):
    """Maps a `Step` to a `Loss`; its parameters, if any, are trained along with the student and dropped afterwards.

    A term whose weight is 0 now is not computed, so that the teacher need not speak (`teaches`), unless other terms use
    what it leaves (`early`). A stream that a step does not show adds nothing. Raises UserError where a term cannot act
    on its stream.
    """

    def __init__(self, plan: Plan, sizes: Sizes) -> None:
        super().__init__()
        self.plan = plan
        built = [(recipe, _built(recipe, sizes)) for recipe in plan.terms]
        built.sort(key=lambda pair: not pair[1].early)  # stable: what others need comes first
        self.recipes = [recipe for recipe, _ in built]
        self.terms = nn.ModuleList(term for _, term in built)

    def check(self, sizes: Sizes) -> None:
        """Raises UserError where a term, whenever it counts, will need what a network has not."""
        known = {
            "maps": sizes.student_map,
            "embedding": sizes.student_embedding,
            "teaching.maps": sizes.teacher_map,
            "teaching.embedding": sizes.teacher_embedding,
        }
        for recipe, term in self._pairs():
            for need in term.needs:
                if need in known and known[need] is None:
                    raise _lacks(recipe, need)

    @property
    def streams(self) -> frozenset[str]:
        """The streams that a step must show."""
        return self.plan.streams

    def weight(self, recipe: TermRecipe, progress: float) -> float:
        """What a term counts now."""
        return recipe.weight * scheduled(progress, recipe.schedule.shape, recipe.schedule.start, recipe.schedule.end)

    def teaches(self, stream: str, progress: float) -> bool:
        """Whether a term of this stream needs the teacher now."""
        return any(
            recipe.stream == stream and _listens(type(term)) and self.weight(recipe, progress) > 0
            for recipe, term in self._pairs()
        )

    def forward(self, step: Step) -> Loss:
        device = next(iter(step.streams.values())).logits.device
        with torch.autocast(device.type, enabled=False):  # half precision is for networks, not for their losses
            return self._sum(replace(step, streams={name: _wide(each) for name, each in step.streams.items()}), device)

    def _sum(self, step: Step, device: torch.device) -> Loss:
        parts: dict[str, Tensor] = {}
        total = torch.zeros((), device=device)
        for recipe, term in self._pairs():
            name = f"{recipe.stream}.{recipe.loss}"
            weight, stream = self.weight(recipe, step.progress), step.streams.get(recipe.stream)
            value = torch.zeros((), device=device)
            if (weight or term.early) and stream is not None:
                _complete(recipe, term, stream)
                value = term(stream, step)
                total = total + weight * value
            parts[name] = parts.get(name, 0) + value.detach()
            if recipe.schedule.shape != "constant":
                parts[f"{name}.weight"] = torch.tensor(weight)
        for name, stream in step.streams.items():
            if stream.replaced is not None:
                parts[f"{name}.replaced"] = stream.replaced.float().mean()
        parts.update({name: note.detach() for name, note in step.notes.items()})
        return Loss(total, parts)

    def _pairs(self) -> list[tuple[TermRecipe, Term]]:
        return [(recipe, term) for recipe, term in zip(self.recipes, self.terms, strict=True) if isinstance(term, Term)]


def _wide(stream: Stream) -> Stream:
    """The student's half precision tensors as float32."""
    seen = {name: getattr(stream, name) for name in ("logits", "features", "maps", "embedding")}
    halves = {name: one.float() for name, one in seen.items() if one is not None and one.element_size() < 4}
    return replace(stream, **halves) if halves else stream


def distils(plan: Plan) -> bool:
    """Whether any term of the plan ever needs a teacher."""
    return any(term.weight > 0 and _listens(term_class(term.loss)) for term in plan.terms)


def check_plan(plan: Plan) -> None:
    """Raises UserError where a term's loss, stream or options cannot be, before anything is trained."""
    for recipe in plan.terms:
        _checked(recipe)
        term_settings(recipe.loss, recipe.options)


def _built(recipe: TermRecipe, sizes: Sizes) -> Term:
    return _checked(recipe)(term_settings(recipe.loss, recipe.options), sizes)


def _checked(recipe: TermRecipe) -> type[Term]:
    kind = term_class(recipe.loss)
    if kind.streams is not None and recipe.stream not in kind.streams:
        raise UserError(
            f"the loss {recipe.loss!r} cannot act on the stream {recipe.stream!r}",
            where="distillation.terms",
            hint="use the stream " + " or ".join(kind.streams),
        )
    return kind


def _listens(kind: type[Term]) -> bool:
    return any(need.partition(".")[0] == "teaching" for need in kind.needs)


def _complete(recipe: TermRecipe, term: Term, stream: Stream) -> None:
    for need in term.needs:
        found: object = stream
        for part in need.split("."):
            found = getattr(found, part, None)
        if found is None:
            raise _lacks(recipe, need)


def _lacks(recipe: TermRecipe, need: str) -> UserError:
    what = "teacher" if need.startswith("teaching") else "student"
    return UserError(
        f"the loss {recipe.loss!r} needs {need.rpartition('.')[2]!r} of the {what}, which this {what} has not",
        where="distillation.terms",
        hint=f"take another {what} network, or leave the term out",
    )
