"""Pretrainings that candidates of "auto" share: the same weights as without sharing, and nothing else is shared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning_data import STEPS, tiny_dataset, tiny_recipe, tiny_teacher

from spikeport.pipeline.data.dataset import Dataset
from spikeport.pipeline.data.event_synthesis.motion import Motion
from spikeport.pipeline.data.event_synthesis.motion_camera import MotionCamera
from spikeport.pipeline.data.event_synthesis.simulator import Simulator
from spikeport.pipeline.models.students.base import Student
from spikeport.pipeline.run.auto_method import with_method
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.training.candidate import train_candidate
from spikeport.pipeline.training.pretraining import pretrain_student, pretraining_task
from spikeport.pipeline.training.shared_pretraining import SharedPretraining
from spikeport.pipeline.training.train import train_translator
from spikeport.pipeline.training.unpaired_task import translator_task

SYNTHETIC, CKD = "synthetic-events", "ckd-events"
Changes = dict[str, dict[str, Any]]


def recipe(options: dict[str, Any] | None = None, **sections: dict[str, Any]) -> Recipe:
    synthesis = {"kind": "simulator", "pretrain_epochs": 2, "pretrain_batch": 8, **sections.pop("synthesis", {})}
    training = {"epochs": 1, "weight_decay": 0.2, **sections.pop("training", {})}
    own = {"options": {CKD: {"pretrain": True, **(options or {})}}}
    return tiny_recipe(distillation={"method": "auto", "auto": own}, synthesis=synthesis, training=training, **sections)


def teacher(seed: int = 3):
    torch.manual_seed(seed)
    return tiny_teacher().eval()


def pretrained(shared: SharedPretraining, values: Recipe, data: Dataset, name: str = CKD, **given: Any) -> Student:
    camera = given.pop("camera", Simulator(STEPS, 1000))
    return shared.student(pretraining_task(with_method(values, name), data, given.pop("teacher", teacher()), camera))


def same(first: Student, second: Student) -> bool:
    one, other = first.state_dict(), second.state_dict()
    return list(one) == list(other) and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("names", [(SYNTHETIC, CKD), (CKD, SYNTHETIC)])
@pytest.mark.parametrize("recordings", [0, 2])
def test_a_shared_student_is_weight_for_weight_that_of_a_pretraining_of_its_own(names, recordings, tmp_path):
    """With the head of the hybrid stream, which one of the two has and no pretraining trains."""
    values, data = recipe(synthesis={"pretrain_recordings": recordings}), tiny_dataset(paired_images=True)
    shared = SharedPretraining(tmp_path / "shared")
    for name in names:
        found = pretrained(shared, values, data, name)
        alone = pretrain_student(
            with_method(values, name), data, teacher(), Simulator(STEPS, 1000), tmp_path / f"alone-{name}"
        )
        assert same(found, alone)
        assert not found.training
    assert shared.reused == 1


@pytest.mark.parametrize("kind", ["simulator", "translator"])
def test_a_candidate_is_trained_to_the_same_weights_after_a_shared_pretraining(kind, tmp_path):
    values, data = recipe(synthesis={"kind": kind, "updates": 4, "width": 4}), tiny_dataset(paired_images=True)
    camera = None if kind == "translator" else lambda: Simulator(STEPS, 1000)
    shared = SharedPretraining(tmp_path / "shared")
    for name in (SYNTHETIC, CKD):
        alone = SharedPretraining(tmp_path / f"alone-{name}")
        found, other = (
            train_candidate(with_method(values, name), data, teacher(), camera, tmp_path / f"{name}-{which}", where)
            for which, where in enumerate((shared, alone))
        )
        assert same(found, other)
        assert alone.reused == 0
    assert shared.reused == 1


@pytest.mark.parametrize("paired", [True, False])
def test_a_shared_translator_is_that_of_a_training_of_its_own(paired, tmp_path):
    data, shared = tiny_dataset(paired_images=paired), SharedPretraining(tmp_path / "shared")
    values = recipe(synthesis={"updates": 4, "width": 4})
    alone = train_translator(with_method(values, CKD), data, tmp_path / "alone").identity
    assert [
        shared.translator(translator_task(with_method(values, name), data)).identity for name in (SYNTHETIC, CKD)
    ] == [alone, alone]
    assert len(list((tmp_path / "shared").iterdir())) == 1
    other = replace(data, train=replace(data.train, frames=data.train.frames[::-1].copy()))
    assert shared.translator(translator_task(with_method(values, CKD), other)).identity != alone
    images = replace(data, static=replace(data.static, images=255 - data.static.images))
    assert (shared.translator(translator_task(with_method(values, CKD), images)).identity == alone) == paired


@pytest.mark.parametrize(
    ("options", "sections", "is_shared"),
    [
        ({}, {}, True),
        ({"cka_weight": 0.3, "phase": "step"}, {}, True),  # of the training on recordings
        ({"tau": 3.0}, {}, False),
        ({"kd_weight": 0.5}, {}, False),
        ({"tet_mse_weight": 0.01}, {}, False),
        ({}, {"synthesis": {"pretrain_lr": 3e-3}}, False),
        ({}, {"synthesis": {"pretrain_recordings": 3}}, False),
        ({}, {"synthesis": {"affine": {"degrees": 4.0}}}, False),
        ({}, {"training": {"ema_decay": 0.5}}, False),
        ({}, {"student": {"v_threshold": 0.7}}, False),
        ({}, {"augmentation": {"shift": 1}}, False),
    ],
)
def test_only_the_same_options_are_shared(options, sections, is_shared, tmp_path):
    shared, data = SharedPretraining(tmp_path), tiny_dataset()
    pretrained(shared, recipe(), data, SYNTHETIC)
    pretrained(shared, recipe(options, **sections), data)
    assert shared.reused == is_shared


def other_seed(values: Recipe, data: Dataset) -> dict[str, Any]:
    return {"values": values.model_copy(update={"seed": 6})}


def other_recordings(values: Recipe, data: Dataset) -> dict[str, Any]:
    return {"data": replace(data, train=data.validation)}


def other_fold_name(values: Recipe, data: Dataset) -> dict[str, Any]:
    return {"data": replace(data, fingerprint="another")}


def another_pixel(values: Recipe, data: Dataset) -> dict[str, Any]:
    images = data.static.images.copy()
    images[-1, 0, 6, 7] ^= 1
    return {"data": replace(data, static=replace(data.static, images=images))}


def another_class_of_an_image(values: Recipe, data: Dataset) -> dict[str, Any]:
    labels = data.static.labels.copy()
    labels[4] = (labels[4] + 1) % 3
    return {"data": replace(data, static=replace(data.static, labels=labels))}


def no_validation(values: Recipe, data: Dataset) -> dict[str, Any]:
    part = data.validation
    nothing = replace(part, frames=part.frames[:0], labels=part.labels[:0], keys=())
    return {"data": replace(data, validation=nothing)}


def other_teacher(values: Recipe, data: Dataset) -> dict[str, Any]:
    return {"teacher": teacher(4)}


def other_camera(values: Recipe, data: Dataset) -> dict[str, Any]:
    return {"camera": MotionCamera(STEPS, Motion())}


@pytest.mark.parametrize(
    ("change", "recordings", "is_shared"),
    [
        (other_fold_name, 2, True),
        (other_recordings, 0, True),
        (other_recordings, 2, False),
        (other_seed, 0, False),
        (another_pixel, 0, False),
        (another_class_of_an_image, 0, False),
        (no_validation, 0, False),
        (other_teacher, 0, False),
        (other_camera, 0, False),
    ],
)
def test_only_what_reads_the_same_is_shared(
    change: Callable[[Recipe, Dataset], dict[str, Any]], recordings: int, is_shared: bool, tmp_path: Path
):
    shared = SharedPretraining(tmp_path)
    given: dict[str, Any] = {"values": recipe(synthesis={"pretrain_recordings": recordings}), "data": tiny_dataset()}
    pretrained(shared, **given, name=SYNTHETIC)
    pretrained(shared, **{**given, **change(given["values"], given["data"])})
    assert shared.reused == is_shared


@pytest.mark.parametrize("resumed", [SYNTHETIC, CKD])
def test_a_pretraining_that_was_killed_goes_on_and_another_candidate_is_not_disturbed_by_it(resumed, tmp_path):
    """Its checkpoint has one head more than the other candidate's student."""
    values, data = recipe(), tiny_dataset()
    seen: list[int] = []

    def killed(done: int, total: int, what: str) -> None:
        seen.append(done)
        if done > total // 2 + 1 and len(seen) < 100:
            raise KeyboardInterrupt

    def task(name: str):
        return pretraining_task(with_method(values, name), data, teacher(), Simulator(STEPS, 1000))

    with pytest.raises(KeyboardInterrupt):
        SharedPretraining(tmp_path).student(task(SYNTHETIC), killed)
    steps: list[int] = []
    found = SharedPretraining(tmp_path).student(task(resumed), lambda done, *_: steps.append(done))
    assert steps[0] == (task(resumed).batches + 1 if resumed == SYNTHETIC else 1)
    assert same(found, SharedPretraining(tmp_path / "whole").student(task(resumed)))
    later = SharedPretraining(tmp_path)
    other = SharedPretraining(tmp_path / "other").student(task(CKD))
    assert same(later.student(task(CKD)), other)
    assert later.reused == 1
    later.remove()
    assert not list(tmp_path.glob("*/weights.safetensors"))


def test_frames_count_and_not_how_they_are_stored(tmp_path):
    """A recording with one other pixel."""
    data, shared = tiny_dataset(), SharedPretraining(tmp_path)
    frames = np.asarray(data.train.frames).copy()
    frames[7, 2, 1, 3, 5] ^= 1
    pretrained(shared, recipe(), data)
    pretrained(shared, recipe(), replace(data, train=replace(data.train, frames=frames)))
    assert shared.reused == 0
