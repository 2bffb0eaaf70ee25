"""Published methods by name, each as a list of terms; a recipe's `distillation.method` names one.

In a docstring, "paper" is what the publication or its released code says, "reconstruction" what had to be filled in
from secondary sources, "choice" what is ours. The teacher of the event stream sees the image that a recording was made
from (where pairs are known by class only: an image of the same class), the teacher of the other streams the images
that they show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from spikeport.errors import UserError
from spikeport.pipeline.distillation.options import check_options
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.distillation import Distillation, LossSpec, Schedule
from spikeport.pipeline.run.sections.fields import Fraction, NotNegative, PositiveFloat

KdMode = Literal["mean", "per_step", "last"]
Share = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """The terms that train a student. `pretrains`: the student is pretrained on synthetic events."""

    losses: tuple[LossSpec, ...]
    pretrains: bool = False

    @property
    def streams(self) -> frozenset[str]:
        """The streams that a training step must show."""
        return frozenset({"event", *(term.stream for term in self.losses)})


def baseline(*, tet_mse_weight: Fraction = 1e-3) -> MethodSpec:
    """No distillation: TET (Deng et al., ICLR 2022) on the recordings alone. The baseline of every comparison."""
    return MethodSpec(losses=(_term("tet", mse_weight=tet_mse_weight),))


def ckd(
    *,
    kd_weight: NotNegative = 1.0,
    tau: PositiveFloat = 4.0,
    kd_mode: KdMode = "mean",
    mask_replaced: bool = False,
    phase: Literal["cosine", "logistic", "step", "constant"] = "cosine",
    phase_start: NotNegative = 0.42,
    phase_end: NotNegative = 0.58,
    cka_weight: NotNegative = 0.5,
    cka_learnable: bool = True,
    cka_debiased: bool = False,
    max_alpha: Fraction = 0.9,
    tet_mse_weight: Fraction = 1e-3,
) -> MethodSpec:
    """CKD (Ye et al., ICME 2025, arXiv 2507.09269): he2024 and a teacher's logits on the hybrid stream.

    Paper: the terms and their streams (the teacher never pulls on the event stream), the weight's three phases.
    Reconstruction: everything of he2024; the phases' places were measured on a drawing. Choice: tau, the mean over
    time, alpha at most 0.9. Published settings are the defaults; on small batches `cka_debiased` says more.
    """
    if phase_end < phase_start:
        raise UserError(
            f"phase_end = {phase_end} lies before phase_start = {phase_start}",
            where="distillation.options",
            hint="both are shares of the training, the start first",
        )
    base = he2024(
        cka_weight=cka_weight,
        cka_learnable=cka_learnable,
        cka_debiased=cka_debiased,
        max_alpha=max_alpha,
        tet_mse_weight=tet_mse_weight,
    )
    teacher = LossSpec(
        loss="logit_kd",
        stream="hybrid",
        weight=kd_weight,
        schedule=Schedule(shape=phase, start=phase_start, end=phase_end),
        options={"tau": tau, "mode": kd_mode, "mask_replaced": mask_replaced},
    )
    return MethodSpec(losses=(*base.losses, teacher))


def he2024(
    *,
    cka_weight: NotNegative = 0.5,
    cka_learnable: bool = True,
    cka_debiased: bool = False,
    max_alpha: Fraction = 0.9,
    tet_mse_weight: Fraction = 1e-3,
) -> MethodSpec:
    """Knowledge transfer without a teacher (He et al., AAAI 2024, arXiv 2303.13077): TET on the hybrid stream and on
    the events, whose steps count 1 - a_t, and CKA alignment of the two, step by step with learned a_t.

    Paper (released code): all of it, biased CKA, weight 0.5 and lambda 1e-3 included. Choice: alpha at most 0.9, since
    the published form lets the optimizer switch the event stream off.
    """
    terms = [
        _term("tet", "hybrid", mse_weight=tet_mse_weight),
        _term("tet", "event", mse_weight=tet_mse_weight, event_weights=True),
    ]
    if cka_weight or cka_learnable:  # without weight the learned a_t still weigh the events' steps
        options: dict[str, Any] = {"debiased": cka_debiased, "max_alpha": max_alpha}
        options["coefficients"] = "learnable" if cka_learnable else None
        terms.append(LossSpec(loss="cka_alignment", stream="hybrid", weight=cka_weight, options=options))
    return MethodSpec(losses=tuple(terms))


def ckdsnn(
    *,
    map_weight: NotNegative = 1.0,
    noise_weight: NotNegative = 1.0,
    tau: PositiveFloat = 2.0,
    tau_map: PositiveFloat = 2.0,
    noise: NotNegative = 0.1,
    target_class: Literal["label", "teacher"] = "label",
) -> MethodSpec:
    """CKDSNN (Liu et al., AAAI 2026, arXiv 2511.06902): cross entropy, activation maps (SAMD), noise-smoothed logits
    (NLD).

    Paper (by a reading note; its released code does not import): the three terms, weights 1, tau 2, noise 0.1.
    Choice: maps scaled to 0..1 for each sample; the teacher sees the recording's image, since the paper's student and
    teacher see the same images.
    """
    return MethodSpec(
        losses=(
            _term("tet", mse_weight=0.0),
            LossSpec(loss="cam_kd", weight=map_weight, options={"tau_map": tau_map, "target_class": target_class}),
            LossSpec(loss="noisy_logit_kd", weight=noise_weight, options={"tau": tau, "noise_weight": noise}),
        )
    )


def tser(*, alpha: Fraction = 0.5, gamma: float = 0.0, tau: PositiveFloat = 2.0) -> MethodSpec:
    """TSER (CVPR 2025, arXiv 2503.03144): (1 - alpha) CE + alpha KD - gamma entropy, each at every step.

    Paper (by a re-implementation): the formula. Choice: alpha and gamma, whose values were not recovered; the cross
    entropy's logits are not divided by tau.
    """
    if gamma and not alpha:
        raise UserError(
            "gamma counts beside alpha, which is 0", where="distillation.options", hint="give alpha a value above 0"
        )
    entropy = gamma / alpha if alpha else 0.0
    return MethodSpec(
        losses=(
            LossSpec(loss="tet", weight=1 - alpha, options={"mse_weight": 0.0}),
            LossSpec(
                loss="logit_kd", weight=alpha, options={"tau": tau, "mode": "per_step", "entropy_weight": entropy}
            ),
        )
    )


def temporal_self(
    *,
    alpha: NotNegative = 1.0,
    beta: NotNegative = 1.0,
    tau: PositiveFloat = 3.0,
    teacher: Literal["correct_mean", "mean", "last"] = "correct_mean",
    fallback: Literal["skip", "uniform", "mean"] = "skip",
) -> MethodSpec:
    """Temporal decoupling (ICML 2025, arXiv 2501.15925): cross entropy, the teacher at every step, and the mean of
    the student's own correct steps as a second teacher. `alpha=0` needs no teacher.

    Paper (released code): the formula, tau 3. Choice: alpha, beta; recordings without a correct step are skipped.
    """
    terms = [_term("tet", mse_weight=0.0)]
    if alpha:
        terms.append(LossSpec(loss="logit_kd", weight=alpha, options={"tau": tau, "mode": "per_step"}))
    options = {"tau": tau, "teacher": teacher, "fallback": fallback}
    return MethodSpec(losses=(*terms, LossSpec(loss="self_temporal_kd", weight=beta, options=options)))


def hta(
    *, weight: NotNegative = 1.0, tau: PositiveFloat = 1.0, head_mass: Share = 0.5, mode: KdMode = "per_step"
) -> MethodSpec:
    """HTA-KL style: cross entropy and a divergence that weighs forward KL on the teacher's head classes against
    reverse KL on the tail.

    Reconstruction on its parent method (arXiv 2404.02657); the paper's own weighting was not recovered. Choice: tau.
    """
    options = {"tau": tau, "head_mass": head_mass, "mode": mode}
    return MethodSpec(
        losses=(_term("tet", mse_weight=0.0), LossSpec(loss="adaptive_kl", weight=weight, options=options))
    )


def synthetic_events(
    *,
    kd_weight: NotNegative = 1.0,
    tau: PositiveFloat = 2.0,
    event_kd_weight: NotNegative = 0.0,
    pretrain: bool = True,
    tet_mse_weight: Fraction = 1e-3,
) -> MethodSpec:
    """Static images turned into events, and the teacher's logits at every step on them: CKD's idea, knowledge of
    images for scarce events, with the gap closed in the data instead of in the loss.

    All of it is ours. The student is pretrained on synthetic events of all images (`pretrain`), then from
    recordings and such images together. `event_kd_weight`: the teacher, before a recording's image, on the events.
    """
    kd = {"tau": tau, "mode": "per_step"}
    terms = [
        _term("tet", "event", mse_weight=tet_mse_weight),
        _term("tet", "synthetic", mse_weight=tet_mse_weight),
        LossSpec(loss="logit_kd", stream="synthetic", weight=kd_weight, options=kd),
    ]
    if event_kd_weight:
        terms.append(LossSpec(loss="logit_kd", stream="event", weight=event_kd_weight, options=kd))
    return MethodSpec(losses=tuple(terms), pretrains=pretrain)


METHODS: dict[str, Callable[..., MethodSpec]] = {
    "baseline": baseline,
    "ckd": ckd,
    "he2024": he2024,
    "ckdsnn": ckdsnn,
    "tser": tser,
    "temporal-self": temporal_self,
    "hta": hta,
    "synthetic-events": synthetic_events,
}


def method_spec(recipe: Distillation, method: str | None = None) -> MethodSpec:
    """The terms of `method` (default: the recipe's own, with its options and added terms; any other method comes with
    its defaults and nothing added). Raises UserError naming the method, option or loss."""
    own = method is None or method == recipe.method
    name = recipe.method if method is None else method
    if name not in METHODS:
        raise UserError(
            f"{name!r} is no distillation method",
            where="distillation.method",
            hint="use one of " + ", ".join(METHODS),
        )
    spec = _called(name, recipe.options if own else {})
    return MethodSpec(losses=(*spec.losses, *recipe.losses), pretrains=spec.pretrains) if own else spec


def baseline_spec(recipe: Distillation) -> MethodSpec:
    """`baseline` with the recipe's options, if they are its own, and without what the recipe adds."""
    return _called("baseline", recipe.options if recipe.method == "baseline" else {})


def uses_synthesis(recipe: Distillation) -> bool:
    """Whether the recipe's own method uses synthetic events."""
    streams = method_spec(recipe).streams
    return "synthetic" in streams or ("hybrid" in streams and recipe.static == "synthetic")


def pretraining_stages(recipe: Recipe) -> tuple[str, ...]:
    """The stages between teacher and student that the recipe's own method needs.

    "simulator" pretrains on images that the simulator renders, "synthesis" fits the translator, "pretrain" pretrains on
    synthetic events.
    """
    synthesis, pretrains = recipe.synthesis, method_spec(recipe.distillation).pretrains
    return tuple(
        name
        for name, wanted in (
            ("simulator", pretrains and (synthesis.simulator_pretrain_epochs > 0 or synthesis.simulator_weights)),
            ("synthesis", uses_synthesis(recipe.distillation) and synthesis.kind == "translator"),
            ("pretrain", pretrains and synthesis.pretrain_epochs > 0),
        )
        if wanted
    )


def learns_without_recordings(recipe: Recipe) -> bool:
    """Whether the recipe's own method pretrains, and needs no recording for it."""
    return recipe.synthesis.kind == "simulator" and bool({"simulator", "pretrain"} & set(pretraining_stages(recipe)))


def _called(name: str, options: dict[str, Any]) -> MethodSpec:
    method = METHODS[name]
    hint = (
        f"the options of {name} are {{known}}; to change a recipe's method, change its whole section: "
        f"--set 'distillation={{method = \"{name}\"}}'"
    )
    return method(**check_options(method, options, where="distillation.options", hint=hint))


def _term(loss: str, stream: Literal["event", "hybrid", "synthetic"] = "event", **options: Any) -> LossSpec:
    return LossSpec(loss=loss, stream=stream, options=options)
