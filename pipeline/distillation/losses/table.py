"""The losses that a recipe can name, and how one is built. `pipeline.distillation.losses.base` says how to add one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from spikeport.errors import UserError
from spikeport.factory import is_factory, load_object
from spikeport.pipeline.distillation.losses.alignment import CkaAlignmentLoss, MmdAlignmentLoss
from spikeport.pipeline.distillation.losses.base import WHERE, DistillationLoss, Sizes
from spikeport.pipeline.distillation.losses.block_replacement_kd import BlockReplacementKd
from spikeport.pipeline.distillation.losses.cam_kd import CamKd
from spikeport.pipeline.distillation.losses.feature_kd import FeatureKd
from spikeport.pipeline.distillation.losses.logit_kd import LogitKd
from spikeport.pipeline.distillation.losses.noisy_logit_kd import NoisyLogitKd
from spikeport.pipeline.distillation.losses.reconstructions.adaptive_kl import AdaptiveKl
from spikeport.pipeline.distillation.losses.reconstructions.mixed_frames import FrameSource, MixRatio
from spikeport.pipeline.distillation.losses.reconstructions.relation_kd import RelationKd
from spikeport.pipeline.distillation.losses.reconstructions.shared_singular_vectors import SharedSingularVectors
from spikeport.pipeline.distillation.losses.reconstructions.sliced_w2 import SlicedW2
from spikeport.pipeline.distillation.losses.reconstructions.spectral_logit import SpectralLogit
from spikeport.pipeline.distillation.losses.reconstructions.spectral_residual import SpectralResidual
from spikeport.pipeline.distillation.losses.reconstructions.stage_self_kd import StageSelfKd
from spikeport.pipeline.distillation.losses.selective_kd import SelectiveKd
from spikeport.pipeline.distillation.losses.self_temporal_kd import SelfTemporalKd
from spikeport.pipeline.distillation.losses.stage_attention_kd import StageAttentionKd
from spikeport.pipeline.distillation.losses.teacher_head_kd import TeacherHeadKd
from spikeport.pipeline.distillation.losses.tet import Tet
from spikeport.pipeline.distillation.options import check_options

# Losses whose paper's formula was not recovered: the idea of the method, with a formula of ours.
RECONSTRUCTIONS: dict[str, type[DistillationLoss]] = {
    "adaptive_kl": AdaptiveKl,
    "frame_source": FrameSource,
    "mix_ratio": MixRatio,
    "relation_kd": RelationKd,
    "shared_singular_vectors": SharedSingularVectors,
    "sliced_w2": SlicedW2,
    "spectral_logit": SpectralLogit,
    "spectral_residual": SpectralResidual,
    "stage_self_kd": StageSelfKd,
}
LOSSES: dict[str, type[DistillationLoss]] = {
    "tet": Tet,
    "logit_kd": LogitKd,
    "noisy_logit_kd": NoisyLogitKd,
    "self_temporal_kd": SelfTemporalKd,
    "selective_kd": SelectiveKd,
    "teacher_head_kd": TeacherHeadKd,
    "block_replacement_kd": BlockReplacementKd,
    "cam_kd": CamKd,
    "feature_kd": FeatureKd,
    "stage_attention_kd": StageAttentionKd,
    "cka_alignment": CkaAlignmentLoss,
    "mmd_alignment": MmdAlignmentLoss,
    **RECONSTRUCTIONS,
}


def loss_class(name: str) -> type[DistillationLoss]:
    """The class of a loss.

    Args:
        name: a name of `LOSSES`, or "package.module:Class" of a subclass of `DistillationLoss`.

    Raises:
        UserError: there is no such loss.
    """
    if name in LOSSES:
        return LOSSES[name]
    if not is_factory(name):
        raise UserError(
            f"{name!r} is not a loss",
            where=WHERE,
            hint=f"use one of {', '.join(sorted(LOSSES))}, or package.module:Class",
        )
    found = load_object(name, WHERE)
    if not (inspect.isclass(found) and issubclass(found, DistillationLoss)):
        raise UserError(
            f"{name!r} is not a loss",
            where=WHERE,
            hint="name a subclass of spikeport.pipeline.distillation.losses.base.DistillationLoss",
        )
    return found


def build_loss(name: str, options: Mapping[str, object], sizes: Sizes) -> DistillationLoss:
    """A loss with its options.

    Args:
        name: as in `loss_class`.
        options: the options that a recipe gives; others keep their defaults.
        sizes: sizes of data and networks.

    Raises:
        UserError: there is no such loss, an option is wrong, or the networks do not fit each other.
    """
    checked = check_loss(name, options)
    if name in LOSSES:
        return LOSSES[name](sizes, **checked)
    try:
        return loss_class(name)(sizes, **checked)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # code of others raises anything
        raise UserError(f"{name} failed", where=WHERE, cause=f"{type(error).__name__}: {error}") from error


def check_loss(name: str, options: Mapping[str, object]) -> dict[str, object]:
    """Checks the options of a loss.

    Args:
        name: name of the loss.
        options: options by name.

    Returns:
        All options, with defaults.

    Raises:
        UserError: the loss is unknown, or an option is wrong.
    """
    where, hint = f"options of the loss {name!r} in {WHERE}", "its options are {known}"
    return dict(check_options(loss_class(name), options, where=where, hint=hint))
