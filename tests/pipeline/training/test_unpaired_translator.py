"""A translator without pairs: recordings of a known camera, and other images of the same classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from learning_data import tiny_recipe

from spikeport.errors import UserError
from spikeport.pipeline.data.dataset import Dataset, EventSplit, StaticImages
from spikeport.pipeline.data.event_synthesis.energy_distance import energy_distance, filter_responses, random_filters
from spikeport.pipeline.data.event_synthesis.motion import Motion
from spikeport.pipeline.data.event_synthesis.motion_camera import MotionCamera
from spikeport.pipeline.data.event_synthesis.statistics import distances, statistics
from spikeport.pipeline.data.event_synthesis.table import load_synthesizer
from spikeport.pipeline.data.event_synthesis.translator import Translator
from spikeport.pipeline.data.images.resize import resize_to
from spikeport.pipeline.run.tensor_files import save_weights
from spikeport.pipeline.training.train import train_translator
from spikeport.pipeline.training.unpaired_task import UnpairedTask

T, H, W = 5, 14, 17
CAMERA = MotionCamera(
    T,
    replace(
        Motion(), heading_rad=0.0, spread_rad=0.1, reverse=0.3, tracked=1.0, speed=1.5, speed_spread=0.1,
        offset_spread=0.5, gain=4.0, gain_spread=0.1, least_steps=4, most_steps=4,
    ),
)  # fmt: skip


def images_of(count: int, seed: int) -> StaticImages:
    """Bright bars, tall ones and wide ones by turns, in random sizes at random places."""
    rng, images, labels = np.random.default_rng(seed), np.zeros((count, 1, H, W), np.uint8), np.arange(count) % 2
    for image, label in zip(images, labels, strict=True):
        tall, wide = (rng.integers(7, 10), rng.integers(2, 5))[:: 1 - 2 * label]
        top, left = (H - tall) // 2 + rng.integers(-1, 2), (W - wide) // 2 + rng.integers(-1, 2)
        image[:, top : top + tall, left : left + wide] = 255
    return StaticImages(images=images, labels=labels, keys=tuple(f"{seed}-{number}" for number in range(count)))


def recordings_of(count: int, seed: int) -> EventSplit:
    seen = images_of(max(1, count), seed)
    frames = CAMERA.render(torch.from_numpy(resize_to(seen.images, H, W)), torch.Generator().manual_seed(seed))
    frames = frames.transpose(0, 1).to(torch.uint8).numpy()[:count]
    return EventSplit(frames=frames, labels=seen.labels[:count], keys=seen.keys[:count], paired_images=None)


def dataset(train: int = 40, validation: int = 0) -> Dataset:
    return Dataset(
        name="bars", description="Bars.", classes=("tall", "wide"), train=recordings_of(train, 1),
        validation=recordings_of(validation, 2), test=recordings_of(6, 3), static=images_of(60, 4), dt_s=0.001,
        simulated=True, fingerprint=f"bars {train} {validation}",
    )  # fmt: skip


def recipe(**synthesis: object):
    return tiny_recipe(synthesis={"width": 12, "updates": 120, "lr": 0.01, **synthesis})


def rendered(translator: Translator, label: int, count: int = 60) -> torch.Tensor:
    """Frames `[T, B, 2, H, W]` of new images of a class."""
    images = images_of(2 * count, 5).images[label::2]
    return translator.render(torch.from_numpy(resize_to(images, H, W)), torch.Generator().manual_seed(6))


def recorded(label: int) -> torch.Tensor:
    """Frames `[T, B, 2, H, W]` of recordings that nothing was trained on."""
    return torch.from_numpy(recordings_of(120, 7).frames[label::2]).transpose(0, 1).float()


def apart(first: torch.Tensor, second: torch.Tensor) -> float:
    """Their energy distance with filters that no training drew."""
    filters = random_filters(torch.Generator().manual_seed(8))
    both = zip(filter_responses(first, filters), filter_responses(second, filters), strict=True)
    return float(sum(energy_distance(one, two)[0] for one, two in both))


def of_statistics(first: torch.Tensor, second: torch.Tensor) -> float:
    one, two = (statistics(each.transpose(0, 1).numpy()) for each in (first, second))
    return float(np.mean(list(distances(one, two).values())))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Translator:
    return train_translator(recipe(), dataset(), tmp_path_factory.mktemp("trained"))


@pytest.mark.parametrize("label", [0, 1])
def test_its_events_come_near_those_of_a_camera_that_it_does_not_know(trained: Translator, label: int) -> None:
    """By the distance that it is trained with and by statistics that it is not; the class that it renders is nearer."""
    before, real = UnpairedTask(recipe(), dataset()).model, recorded(label)
    assert apart(rendered(trained, label), real) < 0.35 * apart(rendered(before, label), real)
    assert of_statistics(rendered(trained, label), real) < 0.4 * of_statistics(rendered(before, label), real)
    assert apart(rendered(trained, label), real) < 0.5 * apart(rendered(trained, 1 - label), real)


def test_a_killed_training_goes_on_and_ends_in_the_same_weights(tmp_path: Path) -> None:
    values, data = recipe(updates=60, width=3), dataset(validation=7)
    whole = train_translator(values, data, tmp_path / "whole")

    def kill(done: int, total: int, _: str) -> None:
        assert total == 60
        if done == 47:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_translator(values, data, tmp_path / "killed", kill)
    seen: list[int] = []
    resumed = train_translator(values, data, tmp_path / "killed", lambda done, *_: seen.append(done))
    assert seen[0] == 41
    assert resumed.identity == whole.identity
    rows = [(tmp_path / name / "metrics.jsonl").read_text("utf-8").splitlines() for name in ("whole", "killed")]
    assert [len(each) for each in rows] == [3, 3]
    with pytest.raises(UserError, match="another recipe"):
        train_translator(recipe(updates=60, width=3, batch=20), data, tmp_path / "killed")


def test_held_out_recordings_and_labels_of_others_change_nothing(tmp_path: Path) -> None:
    data, values = dataset(), recipe(updates=5, width=3)
    other = replace(data.test, frames=1 - data.test.frames, labels=1 - data.test.labels)
    first = train_translator(values, data, tmp_path / "a")
    second = train_translator(values, replace(data, test=other), tmp_path / "b")
    swapped = replace(data.train, labels=1 - data.train.labels)
    third = train_translator(values, replace(data, train=swapped), tmp_path / "c")
    assert first.identity == second.identity != third.identity


def test_it_comes_back_from_its_file(tmp_path: Path, trained: Translator) -> None:
    save_weights(trained, tmp_path / "synthesis.safetensors")
    values = tiny_recipe(data={"height": H, "width": W, "steps": T}, synthesis={"width": 12})
    loaded = load_synthesizer(values, tmp_path / "synthesis.safetensors")
    assert loaded.identity == trained.identity
    assert torch.equal(rendered(loaded, 1, 3), rendered(trained, 1, 3))
    with pytest.raises(UserError, match="another network"):
        load_synthesizer(recipe(width=5), tmp_path / "synthesis.safetensors")


def test_a_gradient_goes_straight_through_the_draws() -> None:
    """It is that of the sum of the probabilities, while the values are 0 and 1."""
    translator, images = Translator(T, 4, noise=3), torch.rand(2, 3, H, W, generator=torch.Generator().manual_seed(1))
    frames = translator.sample(images, torch.Generator().manual_seed(2))
    assert set(frames.unique().tolist()) == {0.0, 1.0}
    frames.sum().backward()
    found = [weights.grad.clone() for weights in translator.parameters()]
    translator.zero_grad()
    noise = torch.randn(2, 3, generator=torch.Generator().manual_seed(2))
    translator(images, noise).sigmoid().sum().backward()
    for mine, weights in zip(found, translator.parameters(), strict=True):
        torch.testing.assert_close(mine, weights.grad)
    assert not torch.equal(translator(images, noise), translator(images, -noise))


def test_classes_without_images_and_a_data_set_without_recordings_are_refused(tmp_path: Path) -> None:
    data = dataset()
    one = replace(data.static, labels=np.zeros_like(data.static.labels))
    with pytest.raises(UserError, match="class 'wide' has no static image"):
        train_translator(recipe(), replace(data, static=one), tmp_path)
    none = EventSplit(frames=data.train.frames[:0], labels=data.train.labels[:0], keys=(), paired_images=None)
    with pytest.raises(UserError, match="needs training recordings, and there are none"):
        train_translator(recipe(), replace(data, train=none), tmp_path)


def test_validation_recordings_whose_class_has_no_image_are_not_scored(tmp_path: Path) -> None:
    data = dataset(validation=9)
    labels = data.validation.labels.copy()
    labels[:4] = 2
    data = replace(data, classes=("tall", "wide", "round"), validation=replace(data.validation, labels=labels))
    assert len(UnpairedTask(recipe(), data).scored) == 5
