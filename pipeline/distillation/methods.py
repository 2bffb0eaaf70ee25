"""Published distillation methods, each as a list of losses on streams.

To add a method, write one function here (or in a file of its own) whose keyword arguments are its options and that
returns a `MethodSpec`, and add one line to `METHODS`. The types of the arguments are checked strictly.

In a docstring, "paper" is what the publication or its released code says, "reconstruction" what had to be filled in
from secondary sources, and "choice" what is this project's own. On the event stream, the teacher sees the image that a
recording was made from (where pairs are known by class only: an image of the same class); on other streams, the image
that the frames were made from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from spikeport.errors import UserError
from spikeport.pipeline.distillation.block_methods import block_replacement
from spikeport.pipeline.distillation.feature_methods import bkdsnn, bsd, sastc, tssd
from spikeport.pipeline.distillation.hybrid_methods import ckd, ckd_events, he2024, tmkt
from spikeport.pipeline.distillation.method_parts import KdMode, MethodSpec, Share, tet
from spikeport.pipeline.run.sections.distillation import LossSpec
from spikeport.pipeline.run.sections.fields import Fraction, NotNegative, PositiveFloat


def baseline(*, tet_mse_weight: Fraction = 1e-3) -> MethodSpec:
    """No distillation: TET (Deng et al., ICLR 2022) on the recordings. The baseline of every comparison.

    Args:
        tet_mse_weight: share of the MSE term of TET.
    """
    return MethodSpec(losses=(tet(tet_mse_weight),))


def ckdsnn(
    *,
    map_weight: NotNegative = 1.0,
    noise_weight: NotNegative = 1.0,
    tau: PositiveFloat = 2.0,
    tau_map: PositiveFloat = 2.0,
    noise: NotNegative = 0.1,
    target_class: Literal["label", "teacher"] = "label",
) -> MethodSpec:
    """CKDSNN (Liu et al., AAAI 2026, arXiv 2511.06902): cross entropy, activation maps, noise-smoothed logits.

    Paper (by a reading note; its released code does not import): the three losses, weights 1, tau 2, noise 0.1.
    Choice: maps scaled to 0..1 for each sample; the teacher sees the recording's image, since the paper's student and
    teacher see the same images.

    Args:
        map_weight: weight of `cam_kd`.
        noise_weight: weight of `noisy_logit_kd`.
        tau: temperature of the logits.
        tau_map: temperature of the maps.
        noise: weight of the noise in the logits.
        target_class: class of the activation map: the label, or the class of the teacher.
    """
    return MethodSpec(
        losses=(
            tet(0.0),
            LossSpec(loss="cam_kd", weight=map_weight, options={"tau_map": tau_map, "target_class": target_class}),
            LossSpec(loss="noisy_logit_kd", weight=noise_weight, options={"tau": tau, "noise_weight": noise}),
        )
    )


def tser(*, alpha: Fraction = 0.5, gamma: float = 0.0, tau: PositiveFloat = 2.0) -> MethodSpec:
    """TSER (CVPR 2025, arXiv 2503.03144): (1 - alpha) CE + alpha KD - gamma entropy, each at every step.

    Paper (by a re-implementation): the formula. Choice: alpha and gamma, whose values were not recovered; the logits of
    the cross entropy are not divided by tau.

    Args:
        alpha: weight of the distillation.
        gamma: weight of the entropy.
        tau: temperature.

    Raises:
        UserError: gamma is given and alpha is 0.
    """
    if gamma and not alpha:
        raise UserError(
            "gamma counts beside alpha, which is 0", where="distillation.options", hint="give alpha a value above 0"
        )
    entropy = gamma / alpha if alpha else 0.0
    kd = {"tau": tau, "mode": "per_step", "entropy_weight": entropy}
    return MethodSpec(
        losses=(
            LossSpec(loss="tet", weight=1 - alpha, options={"mse_weight": 0.0}),
            LossSpec(loss="logit_kd", weight=alpha, options=kd),
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
    """Temporal decoupling (ICML 2025, arXiv 2501.15925): cross entropy, a teacher, and the student as second teacher.

    The teacher acts at every step; the second teacher is the mean of the student's own correct steps. `alpha=0` needs
    no teacher. Paper (released code): the formula, tau 3. Choice: alpha, beta; recordings without a correct step are
    skipped.

    Args:
        alpha: weight of the teacher.
        beta: weight of the student as teacher.
        tau: temperature.
        teacher: second teacher: the mean of the student's correct steps, the mean of all steps, or the last step.
        fallback: what replaces the mean of no correct step: nothing, equal probabilities, or the mean of all steps.
    """
    losses = [tet(0.0)]
    if alpha:
        losses.append(LossSpec(loss="logit_kd", weight=alpha, options={"tau": tau, "mode": "per_step"}))
    options = {"tau": tau, "teacher": teacher, "fallback": fallback}
    return MethodSpec(losses=(*losses, LossSpec(loss="self_temporal_kd", weight=beta, options=options)))


def seal_kd(
    *,
    alpha: NotNegative = 0.6,
    beta: NotNegative = 0.15,
    tau: PositiveFloat = 3.0,
    selection: Literal["all", "wrong", "uncertain", "wrong_or_uncertain"] = "all",
    min_confidence: Fraction = 0.5,
    equalize: bool = True,
) -> MethodSpec:
    """SeAl-KD (arXiv 2605.14252): cross entropy, error-aware logits of a teacher, and reliable steps as second teacher.

    Paper (released code): the cross entropy of each step; the teacher at every step, with the label and the class that
    the student confuses with it equalized at wrong steps; for each step the student's other steps, weighted by
    confidence (entropy) and similarity (cosine), as second teacher; tau 3, weights 0.6 and 0.15. Reconstruction: none.
    Choice: a step before the first output spike confuses no class; `selection`, which keeps the teacher to wrong or
    uncertain steps, and `min_confidence`, which the released code does not have. `alpha=0` needs no teacher.

    Args:
        alpha: weight of `selective_kd`.
        beta: weight of the student as teacher.
        tau: temperature of both.
        selection: steps at which the teacher acts: all, wrong, uncertain, or wrong and uncertain ones.
        min_confidence: steps whose confidence 1 - H / ln K is below it are uncertain.
        equalize: whether logits are equalized at wrong steps.
    """
    losses = [tet(0.0)]
    if alpha:
        options = {"tau": tau, "selection": selection, "min_confidence": min_confidence, "equalize": equalize}
        losses.append(LossSpec(loss="selective_kd", weight=alpha, options=options))
    second = {"tau": tau, "teacher": "reliable"}
    return MethodSpec(losses=(*losses, LossSpec(loss="self_temporal_kd", weight=beta, options=second)))


def hta(
    *, weight: NotNegative = 1.0, tau: PositiveFloat = 1.0, head_mass: Share = 0.5, mode: KdMode = "per_step"
) -> MethodSpec:
    """HTA-KL style: cross entropy, and forward KL on the teacher's head classes against reverse KL on the tail.

    Reconstruction on its parent method (arXiv 2404.02657); the paper's own weighting was not recovered. Choice: tau.

    Args:
        weight: weight of `adaptive_kl`.
        tau: temperature.
        head_mass: probability of the teacher that the head classes contain.
        mode: logits that are compared: their mean over time, those of each step, or those of the last step.
    """
    options = {"tau": tau, "head_mass": head_mass, "mode": mode}
    return MethodSpec(losses=(tet(0.0), LossSpec(loss="adaptive_kl", weight=weight, options=options)))


def synthetic_events(
    *,
    kd_weight: NotNegative = 1.0,
    tau: PositiveFloat = 2.0,
    event_kd_weight: NotNegative = 0.0,
    pretrain: bool = True,
    tet_mse_weight: Fraction = 1e-3,
) -> MethodSpec:
    """Static images turned into events, and the teacher's logits at every step on them. This project's own method.

    It has the aim of CKD, knowledge of images for scarce events, with the gap closed in the data instead of in the
    loss. The student is pretrained on synthetic events of all images (`pretrain`) and then trained on recordings and
    such images together. With `event_kd_weight`, the teacher acts on the recordings too, before their images.

    Args:
        kd_weight: weight of the distillation on synthetic events.
        tau: temperature.
        event_kd_weight: weight of the distillation on recordings.
        pretrain: whether the student is pretrained on synthetic events.
        tet_mse_weight: share of the MSE term of TET.
    """
    kd = {"tau": tau, "mode": "per_step"}
    losses = [
        tet(tet_mse_weight),
        tet(tet_mse_weight, "synthetic"),
        LossSpec(loss="logit_kd", stream="synthetic", weight=kd_weight, options=kd),
    ]
    if event_kd_weight:
        losses.append(LossSpec(loss="logit_kd", stream="event", weight=event_kd_weight, options=kd))
    return MethodSpec(losses=tuple(losses), pretrains=pretrain)


METHODS: dict[str, Callable[..., MethodSpec]] = {
    "baseline": baseline,
    "ckd": ckd,
    "ckd-events": ckd_events,
    "he2024": he2024,
    "tmkt": tmkt,
    "ckdsnn": ckdsnn,
    "tser": tser,
    "temporal-self": temporal_self,
    "seal-kd": seal_kd,
    "hta": hta,
    "bkdsnn": bkdsnn,
    "bsd": bsd,
    "block-replacement": block_replacement,
    "sastc": sastc,
    "tssd": tssd,
    "synthetic-events": synthetic_events,
}
