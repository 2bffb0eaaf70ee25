"""Synthetic events: a translator that finds known probabilities, what a start sees, and training without recordings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from learning_data import HEIGHT, STEPS, WIDTH, tiny_dataset, tiny_recipe

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Dataset, EventSplit
from spikeport.pipeline.data.event_synthesis.simulator import Simulator
from spikeport.pipeline.data.event_synthesis.table import load_synthesizer
from spikeport.pipeline.data.event_synthesis.translator import Translator
from spikeport.pipeline.data.images.resize import resize_to
from spikeport.pipeline.distillation.method_spec import method_spec
from spikeport.pipeline.run.tensor_files import save_weights
from spikeport.pipeline.training.pretraining import pretrain_student
from spikeport.pipeline.training.qat import qat_finetune
from spikeport.pipeline.training.student_task import PretrainTask, StudentTask
from spikeport.pipeline.training.train import (
    initial_student,
    train_student,
    train_teacher,
    train_translator,
)

SYNTHETIC = {"method": "synthetic-events", "train_baseline": False}


def known_dataset() -> tuple[Dataset, np.ndarray]:
    """Recordings whose every pixel fires with a probability that its image tells: 0.8 of the brightness in even steps
    for polarity 1, 0.4 of it in odd steps for polarity 0, else never. And those probabilities."""
    data = tiny_dataset(train=240, paired_images=True)
    paired_images = data.train.paired_images
    assert paired_images is not None
    brightness = resize_to(paired_images.images, HEIGHT, WIDTH)[:, 0]
    chances = np.zeros((240, STEPS, 2, HEIGHT, WIDTH), np.float32)
    chances[:, 0::2, 1] = 0.8 * brightness[:, None]
    chances[:, 1::2, 0] = 0.4 * brightness[:, None]
    frames = (np.random.default_rng(2).random(chances.shape) < chances).astype(np.uint8)
    known = replace(data.train, frames=frames)
    return replace(data, train=known, validation=known), chances


def test_a_translator_learns_when_and_where_events_come(tmp_path: Path) -> None:
    data, chances = known_dataset()
    recipe = tiny_recipe(synthesis={"width": 8, "kernel": 3, "updates": 600, "lr": 0.01})
    translator = train_translator(recipe, data, tmp_path)
    assert data.train.paired_images is not None
    images = torch.from_numpy(resize_to(data.train.paired_images.images, HEIGHT, WIDTH))
    with torch.no_grad():
        found = translator(images).sigmoid().numpy()
    # What is left is the noise of 240 recordings; a constant guess is four times as far off.
    assert np.abs(found - chances).mean() < np.abs(chances - chances.mean()).mean() / 4
    rendered = translator.render(images, torch.Generator().manual_seed(1))
    assert rendered.shape == (STEPS, 240, 2, HEIGHT, WIDTH)
    again = translator.render(images, torch.Generator().manual_seed(1))
    assert torch.equal(rendered, again)
    # each place is drawn with its own probability: the mean over all places within 4 sigma
    sigma = np.sqrt((found * (1 - found)).sum()) / found.size
    assert abs(rendered.mean().item() - found.mean()) < 4 * sigma


def test_a_translator_sees_training_pairs_alone(tmp_path: Path) -> None:
    """Other validation and test recordings, the same weights: neither is trained on (with equal scores)."""
    recipe = tiny_recipe(synthesis={"width": 4, "updates": 5})
    data = tiny_dataset(paired_images=True)
    no_validation = replace(data.validation, frames=data.validation.frames[:0], labels=data.validation.labels[:0])
    other = replace(data.test, frames=1 - data.test.frames)
    first = train_translator(recipe, replace(data, validation=no_validation), tmp_path / "a")
    second = train_translator(recipe, replace(data, validation=no_validation, test=other), tmp_path / "b")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_a_start_sees_every_image_once_an_epoch_and_recordings_among_them(tmp_path: Path) -> None:
    data = tiny_dataset(static=33, paired_images=True)
    recipe = tiny_recipe(distillation=SYNTHETIC)
    teacher = train_teacher(recipe, data, tmp_path / "teacher")
    translator = Translator(STEPS, 4)
    seen: list[int] = []
    images: list[torch.Tensor] = []

    class Watched(PretrainTask):
        def clips(self, rows, index, progress):
            clips = super().clips(rows, index, progress)
            seen.append(len(clips["synthetic"]))
            assert set(clips) == {"synthetic"}
            images.append(rows)
            real = clips["synthetic"].labels[len(rows) :]
            assert clips["synthetic"].images.shape == (len(rows) + 5, 3, HEIGHT, WIDTH)
            assert len(real) == 5
            return clips

    task = Watched(
        recipe,
        data,
        initial_student(recipe, data),
        method_spec(recipe.distillation),
        teacher=teacher,
        synthesizer=translator,
        stage="pretrain",
        samples=33,
        batch=10,
        epochs=1,
        lr=1e-3,
        weight_decay=0.0,
        warmup_epochs=0,
        sections=("student",),
    )
    from spikeport.pipeline.training.fit import fit

    task.recordings = 5
    fit(task, tmp_path / "start", recipe.training)
    assert seen == [16] * 3
    assert sorted(torch.cat(images).tolist()) == list(range(33))


def test_later_each_recording_has_its_share_of_images(tmp_path: Path) -> None:
    data = tiny_dataset(paired_images=True)
    recipe = tiny_recipe(distillation=SYNTHETIC, synthesis={"images_per_recording": 1.5})
    teacher = train_teacher(recipe, data, tmp_path)
    task = StudentTask(
        recipe,
        data,
        initial_student(recipe, data),
        method_spec(recipe.distillation),
        teacher=teacher,
        synthesizer=Translator(STEPS, 4),
        stage="student",
        epochs=1,
        lr=1e-3,
        weight_decay=0.0,
        warmup_epochs=0,
        sections=("student",),
    )
    step = task.step(torch.arange(8), 0)
    assert {name: len(stream.labels) for name, stream in step.streams.items()} == {"event": 8, "synthetic": 12}
    assert step.streams["synthetic"].teacher is not None
    assert step.streams["event"].teacher is None  # nobody asks there


@pytest.mark.parametrize("kind", ["translator", "simulator"])
def test_synthesizers_come_back_from_files(tmp_path: Path, kind: str) -> None:
    recipe = tiny_recipe(synthesis={"kind": kind, "width": 4})
    translator = Translator(STEPS, 4)
    save_weights(translator, tmp_path / "synthesis.safetensors")
    images = torch.rand(3, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    synthesizer = load_synthesizer(recipe, tmp_path / "synthesis.safetensors")
    expected = translator if kind == "translator" else Simulator(STEPS, recipe.data.step_us)
    rendered = [one.render(images, torch.Generator().manual_seed(4)) for one in (synthesizer, expected)]
    assert rendered[0].shape == (STEPS, 3, 2, HEIGHT, WIDTH)
    assert torch.equal(*rendered)


@pytest.mark.parametrize(
    "synthesizer",
    [Translator(STEPS, 4), Translator(STEPS, 4, noise=3), Simulator(STEPS, 30_000)],
    ids=["translator", "with noise", "simulator"],
)
def test_synthesizers_work_where_the_images_are(synthesizer) -> None:
    """The student's device; `meta` stands in for a GPU: it holds no values, but knows where they would be."""
    frames = synthesizer.render(torch.rand(3, 3, HEIGHT, WIDTH, device="meta"), torch.Generator().manual_seed(0))
    assert (frames.device.type, frames.shape) == ("meta", (STEPS, 3, 2, HEIGHT, WIDTH))
    assert all(weight.device.type == "meta" for weight in getattr(synthesizer, "parameters", list)())


def test_pretraining_on_simulated_and_real_events_differs(tmp_path: Path) -> None:
    """Images, noise and scenes of a batch are drawn anew for each stage; those of the same stage are the same."""
    data, recipe = tiny_dataset(paired_images=True), tiny_recipe(distillation=SYNTHETIC)
    teacher = train_teacher(recipe, data, tmp_path)

    def rendered(stage: str) -> torch.Tensor:
        task = PretrainTask(
            recipe, data, initial_student(recipe, data), method_spec(recipe.distillation), teacher=teacher,
            synthesizer=Simulator(STEPS, 30_000), stage=stage, epochs=1, lr=1e-3, weight_decay=0.0, warmup_epochs=0,
            sections=("student",),
        )  # fmt: skip
        return task.clips(torch.arange(8), 0, 0.0)["synthetic"].frames

    assert torch.equal(rendered("simulator"), rendered("simulator"))
    assert not torch.equal(rendered("simulator"), rendered("pretrain"))


def test_a_small_share_is_one_image(tmp_path: Path) -> None:
    data = tiny_dataset(paired_images=True)
    recipe = tiny_recipe(distillation=SYNTHETIC, synthesis={"images_per_recording": 0.05}, training={"epochs": 1})
    teacher = train_teacher(recipe, data, tmp_path / "teacher")
    train_student(recipe, data, teacher, "synthetic-events", tmp_path / "student", synthesizer=Translator(STEPS, 4))
    (row,) = (json.loads(line) for line in (tmp_path / "student" / "metrics.jsonl").read_text().splitlines())
    assert row["synthetic.tet"] > 0


def without_recordings(data: Dataset) -> Dataset:
    def none(split: EventSplit) -> EventSplit:
        return replace(split, frames=split.frames[:0], labels=split.labels[:0], keys=(), paired_images=None)

    return replace(data, train=none(data.train), validation=none(data.validation))


def test_a_student_may_learn_from_images_alone(tmp_path: Path) -> None:
    """No training and no validation recording: the start is the student, and tuning sees synthetic events."""
    data = without_recordings(tiny_dataset(paired_images=True))
    recipe = tiny_recipe(
        distillation=SYNTHETIC,
        synthesis={"kind": "simulator", "pretrain_epochs": 1, "pretrain_batch": 11},
        quantization={"epochs": 1, "method": "same"},
    )
    teacher = train_teacher(recipe, data, tmp_path / "teacher")
    camera = Simulator(STEPS, recipe.data.step_us)
    start = pretrain_student(recipe, data, teacher, camera, tmp_path / "start")
    before = {key: tensor.clone() for key, tensor in start.state_dict().items()}
    fresh = initial_student(recipe, data).state_dict()
    assert any(not torch.equal(before[key], fresh[key]) for key in fresh)
    student = train_student(
        recipe, data, teacher, "synthetic-events", tmp_path / "student", synthesizer=camera, pretrained=start
    )
    assert all(torch.equal(before[key], tensor) for key, tensor in student.state_dict().items())
    tuned = qat_finetune(
        recipe,
        data,
        student,
        tmp_path / "tuned",
        method="synthetic-events",
        teacher=teacher,
        synthesizer=camera,
        stage="tuned",
    )
    rows = [json.loads(line) for line in (tmp_path / "tuned" / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["synthetic.tet"] > 0
    assert rows[0]["event.tet"] == 0
    assert all(cell.numerics == "loihi" for cell in tuned.neurons())
    with pytest.raises(UserError, match=r"baseline cannot train without recordings.*Hint"):
        train_student(recipe, data, None, "baseline", tmp_path / "none")


def test_pretraining_on_the_simulator_may_come_from_another_run(tmp_path: Path, spikeport) -> None:
    """The first run is pretrained before the camera and keeps the student; the second begins with that very student."""
    (tmp_path / "r.toml").write_text(
        """
[data]
source = "digits"
height = 16
width = 18
steps = 3
train = 30
validation = 20
test = 20
[teacher]
epochs = 1
[student]
channels = [3]
[training]
threads = 1
[distillation]
method = "synthetic-events"
train_baseline = false
[synthesis]
pretrain_epochs = 0
simulator_pretrain_epochs = 1
updates = 2
width = 3
[quantization]
epochs = 0
"""
    )
    code, _, err = spikeport("train", "r.toml", "--out", "first")
    assert code == 0, err
    weights = tmp_path / "first" / "simulator.safetensors"
    words = ["--set", f"synthesis.simulator_weights={weights}", "--set", "synthesis.simulator_pretrain_epochs=0"]
    code, _, err = spikeport("train", "r.toml", "--out", "second", *words)
    assert code == 0, err
    assert (tmp_path / "second" / "simulator.safetensors").read_bytes() == weights.read_bytes()
    assert (tmp_path / "second" / "student.safetensors").read_bytes() == weights.read_bytes()  # no later epochs
    code, _, err = spikeport(
        "train", "r.toml", "--out", "third", "--set", "synthesis.simulator_weights=none.safetensors"
    )
    assert code == 2
    assert "none.safetensors" in err
    assert "correct synthesis.simulator_weights" in err
