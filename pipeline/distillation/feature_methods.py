"""Methods that compare inner features of student and teacher, or of the student with itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from spikeport.pipeline.distillation.method_parts import KdMode, MethodSpec, tet
from spikeport.pipeline.run.sections.distillation import LossSpec
from spikeport.pipeline.run.sections.fields import NotNegative, PositiveFloat


def bkdsnn(
    *,
    kd_weight: NotNegative = 1.0,
    tau: PositiveFloat = 2.0,
    kd_mode: KdMode = "mean",
    feature_weight: NotNegative = 1.0,
    blur: Annotated[float, Field(ge=0, lt=1)] = 0.15,
) -> MethodSpec:
    """BKDSNN (ECCV 2024, arXiv 2407.09083): cross entropy, the teacher's logits, and blurred features, restored.

    Paper (released code): 15 % of the channels of the last maps are zeroed in training, two 3 x 3 convolutions restore
    them, and the result is compared with the teacher's maps; the logits beside it. Choice: the mean of the squared
    differences with weight 1 (published: 7e-5 times their sum); every sample counts alike in the logits (published: the
    worse the student is against the teacher, the more); the teacher's maps are not scaled to the student's; tau.

    Args:
        kd_weight: weight of the logit distillation.
        tau: temperature of the logits.
        kd_mode: logits that are compared: their mean over time, those of each step, or those of the last step.
        feature_weight: weight of the restored features.
        blur: share of channels that are zeroed.
    """
    features = {"features": "maps", "projector": "affine", "blur": blur}
    return MethodSpec(
        losses=(
            tet(0.0),
            LossSpec(loss="logit_kd", weight=kd_weight, options={"tau": tau, "mode": kd_mode}),
            LossSpec(loss="feature_kd", weight=feature_weight, options=features),
        )
    )


def bsd(*, feature_weight: NotNegative = 1.0, logit_weight: NotNegative = 1.0, kd_mode: KdMode = "mean") -> MethodSpec:
    """BSD style (AAAI 2026): cross entropy, maps through a learnable spectral filter, and the fine structure of logits.

    Paper (abstract): a learnable spectral filter on the student's features, and the high frequencies of the logits in
    the teacher's order. Reconstruction: both formulas, see `spectral_residual` and `spectral_logit`. Choice: the
    weights; the mean over time.

    Args:
        feature_weight: weight of `spectral_residual`.
        logit_weight: weight of `spectral_logit`.
        kd_mode: logits that are compared: their mean over time, those of each step, or those of the last step.
    """
    return MethodSpec(
        losses=(
            tet(0.0),
            LossSpec(loss="spectral_residual", weight=feature_weight),
            LossSpec(loss="spectral_logit", weight=logit_weight, options={"mode": kd_mode}),
        )
    )


def sastc(
    *,
    kd_weight: NotNegative = 1.0,
    tau: PositiveFloat = 4.0,
    kd_mode: KdMode = "mean",
    stage_weight: NotNegative = 100.0,
    width: PositiveInt = 64,
) -> MethodSpec:
    """SASTC (AAAI 2025, arXiv 2501.08049): cross entropy, logits, and all pairs of stages under a learned attention.

    Paper (released code): the three losses, tau 4, the mean over time for logits, weight 100 of the stages, attention
    for each sample and step, the regressors' convolutions. Choice: the attention reads the similarities of a sample
    sorted and averaged to `width` numbers, so that batches may have any size (published: one number for each sample of
    a full batch, and smaller batches are left out); group norm in place of batch norm in the regressors; cross entropy
    at every step. It trains a regressor for each pair of stages, so a step takes longer than with other methods.

    Args:
        kd_weight: weight of the logit distillation.
        tau: temperature of the logits.
        kd_mode: logits that are compared: their mean over time, those of each step, or those of the last step.
        stage_weight: weight of the pairs of stages.
        width: numbers that the similarities of a sample to its batch are averaged to.
    """
    return MethodSpec(
        losses=(
            tet(0.0),
            LossSpec(loss="logit_kd", weight=kd_weight, options={"tau": tau, "mode": kd_mode}),
            LossSpec(loss="stage_attention_kd", weight=stage_weight, options={"width": width}),
        )
    )


def tssd(
    *,
    temporal_weight: NotNegative = 1.0,
    stage_weight: NotNegative = 1.0,
    tau: PositiveFloat = 3.0,
    label_weight: NotNegative = 1.0,
) -> MethodSpec:
    """TSSD (arXiv 2406.07862): the student is its own teacher, over time and over depth. It needs no other.

    Paper (abstract and summaries): a longer run of the student guides shorter ones, its final output guides a weak
    classifier on an inner stage, and both stand beside the task. Reconstruction: the weak classifier, a dense layer on
    the firing rates of the middle stage with a cross entropy of its own. Choice: the run over all steps guides the runs
    over fewer of the same steps, output rates against output rates (published: training has more steps than the
    deployed network); the weights, tau.

    Args:
        temporal_weight: weight of the whole run as teacher of the shorter runs.
        stage_weight: weight of the final output as teacher of the weak classifier.
        tau: temperature of both.
        label_weight: weight of the labels within the loss of the weak classifier.
    """
    over_time = {"tau": tau, "teacher": "last", "rates": True}
    over_depth = {"tau": tau, "label_weight": label_weight}
    return MethodSpec(
        losses=(
            tet(0.0),
            LossSpec(loss="self_temporal_kd", weight=temporal_weight, options=over_time),
            LossSpec(loss="stage_self_kd", weight=stage_weight, options=over_depth),
        )
    )
