"""Parts of the distillation study, their groups of variants, and the recipe changes of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spikeport.pipeline.run.recipe import Recipe

METHODS = ("baseline", "ckd", "he2024", "ckdsnn", "tser", "temporal-self", "hta", "synthetic-events")
CURVE = (0, 10, 20, 50, 100, 200, 400, 800)
TUNED = {"tau": 2.0, "kd_mode": "per_step", "cka_weight": 0.1, "cka_learnable": False, "cka_debiased": True}
AIMED = {100: 5, 20: 5}  # seeds of the points that have a target
QUICK = ("check.backends=[]", "profile.baseline_seconds=0.05")  # the reference is compared, Lava is not waited for
MOST_EPOCHS = 10  # times the recipe's, with few recordings


@dataclass(frozen=True)
class Variant:
    """A row of a table, compared with the first variant of its group.

    Attributes:
        group: of variants that are compared.
        label: of the row.
        changes: of the recipe, as for --set.
        seeds: number of seeds if it is larger than that of the part.
    """

    group: str
    label: str
    changes: tuple[str, ...]
    seeds: int = 0


@dataclass(frozen=True)
class Part:
    """A table of the study.

    Attributes:
        title: of the table.
        variants: its rows for a recipe.
        folds: of the recordings; 0 draws the training recordings anew for each seed.
        seeds: number of seeds of each variant.
        about: text below the title.
        verb: command that each recipe is given to, `train` or, to compare with the reference too, `run`.
    """

    title: str
    variants: Callable[[Recipe], tuple[Variant, ...]]
    folds: int
    seeds: int
    about: str
    verb: str = "train"


def method(name: str, **options: object) -> str:
    """The recipe change that selects `name`. It replaces the whole section, so that no other option remains."""
    inside = ", ".join(f"{key} = {_toml(value)}" for key, value in options.items())
    return f'distillation={{method = "{name}", options = {{{inside}}}}}'


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else repr(value)


def few(recipe: Recipe, recordings: int, name: str) -> tuple[str, ...]:
    """Trains by `name` on `recordings` real recordings, tests on all others; the last epoch is kept.

    Epochs over recordings grow as these shrink, up to MOST_EPOCHS times, so that few recordings do not mean few steps.
    """
    if not recordings:
        # `same`: fine-tuning on events alone would have nothing to learn from
        return (*NOTHING_REAL, "data.train=0", *ALL_OTHERS, "quantization.method=same")
    factor = min(MOST_EPOCHS, max(1, 800 / recordings))
    key, epochs = (
        ("synthesis.finetune_epochs", recipe.synthesis.finetune_epochs)
        if name == "synthetic-events"
        else ("training.epochs", recipe.training.epochs)
    )
    return (f"data.train={recordings}", *ALL_OTHERS, f"{key}={round(epochs * factor)}")


NOTHING_REAL = (  # as in recipes/nmnist-simulated.toml
    "data.without_recordings=true",
    "synthesis.kind=simulator",
    "synthesis.pretrain_epochs=3",
    "synthesis.affine={degrees = 3.0, scale = 0.05}",
)
ALL_OTHERS = ("data.validation=0", "data.test=0")  # all recordings that do not train are tested
FOLDED = ("data.train=0", "data.validation=0", *QUICK)  # 800 train, the last epoch is kept, 200 are the fold that tests


def methods(recipe: Recipe) -> tuple[Variant, ...]:
    variants = [Variant("", name, (*FOLDED, method(name))) for name in METHODS]
    others = {
        "ckd, tuned": method("ckd", **TUNED),
        "ckd-events": method("ckd-events"),
        "ckd-events and pretraining": method("ckd-events", pretrain=True),
    }
    return (*variants, *(Variant("", label, (*FOLDED, change)) for label, change in others.items()))


def curve(recipe: Recipe) -> tuple[Variant, ...]:
    return tuple(
        Variant(
            f"{recordings} recordings",
            name,
            (*few(recipe, recordings, name), *QUICK, method(name)),
            AIMED.get(recordings, 0),
        )
        for recordings in CURVE
        for name in ("baseline", "synthetic-events")
        if recordings or name == "synthetic-events"
    )


def ablation(recipe: Recipe) -> tuple[Variant, ...]:
    parts = {
        "ckd, tuned": {},
        "without the teacher": {"kd_weight": 0.0},
        "teacher in all phases alike": {"phase": "constant"},
        "teacher's logits against the mean over time": {"kd_mode": "mean"},
        "tau 4": {"tau": 4.0},
        "no teacher for replaced samples": {"mask_replaced": True},
        "without alignment": {"cka_weight": 0.0},
        "alignment with weight 0.5, as published": {"cka_weight": 0.5},
        "biased alignment, as published": {"cka_debiased": False},
        "learned alignment coefficients, as published": {"cka_learnable": True},
    }
    variants = [Variant("", label, (*FOLDED, method("ckd", **{**TUNED, **change}))) for label, change in parts.items()]
    tuned, plain = method("ckd", **TUNED), ("augmentation.shift=0", "augmentation.event_drop=0.0")
    variants += [
        Variant("", "without replacement", (*FOLDED, tuned, "distillation.replacement_unit=never")),
        Variant("", "replacement from a step on", (*FOLDED, tuned, "distillation.replacement_unit=suffix")),
        Variant("", "hybrid stream of synthetic events", (*FOLDED, tuned, "distillation.static=synthetic")),
        Variant("", "without augmentation", (*FOLDED, tuned, *plain)),
        Variant("", "baseline", (*FOLDED, method("baseline"))),
        Variant("", "baseline, without augmentation", (*FOLDED, method("baseline"), *plain)),
    ]
    return tuple(variants)


PARTS = {
    "methods": Part(
        "Methods",
        methods,
        folds=5,
        seeds=2,
        verb="run",
        about="Every method with its own defaults on the same student, epochs and augmentation: 800 recordings train, "
        "200 test. `baseline` is the augmented baseline without distillation.",
    ),
    "curve": Part(
        "Learning curve",
        curve,
        folds=0,
        seeds=2,
        verb="run",
        about="Real recordings in the training part, all others are tested. A seed draws other recordings. Epochs over "
        "recordings (`training.epochs` of `baseline`, `synthesis.finetune_epochs` of `synthetic-events`) are the "
        f"recipe's times 800 / recordings, at most times {MOST_EPOCHS}. With 0 recordings the student has seen static "
        "images through the simulated camera only. At 800 the folds of the methods above say more: they test every "
        "recording once.",
    ),
    "ablation": Part(
        "Parts of CKD",
        ablation,
        folds=5,
        seeds=1,
        verb="run",
        about="`ckd` with tau 2 at every step and debiased alignment of weight 0.1, and one thing changed in each row.",
    ),
}
