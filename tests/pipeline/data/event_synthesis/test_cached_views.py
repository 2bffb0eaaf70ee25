"""Views of static images that are drawn once: what they show, what they depend on, and that they are read again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from learning_data import HEIGHT, STEPS, WIDTH, tiny_dataset, tiny_recipe

from spikeport.pipeline.data.event_synthesis import cached_views
from spikeport.pipeline.data.event_synthesis.cached_views import CachedViews
from spikeport.pipeline.data.event_synthesis.simulator import Scene, Simulator
from spikeport.pipeline.data.event_synthesis.translator import Translator
from spikeport.pipeline.data.images.resize import resize_to
from spikeport.pipeline.distillation.streams import Streams

CPU = torch.device("cpu")
AFFINE = {"degrees": 20.0, "translate": 2.0}


class Plain:
    """Step t and polarity p show where an image is brighter than (2 t + p) tenths; nothing is drawn. Counts images."""

    identity = "plain"
    asked = 0

    def render(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        self.asked += len(images)
        return seen_plainly(images)


def seen_plainly(images: torch.Tensor) -> torch.Tensor:
    levels = torch.arange(2 * STEPS).view(STEPS, 1, 2, 1, 1) / 10
    return (images.mean(1)[None, :, None] > levels).float()


def make_views(folder: Path, synthesizer=None, *, views: int = 3, static: int = 33, affine=AFFINE) -> CachedViews:
    recipe = tiny_recipe(synthesis={"cached_views": views, "affine": affine})
    return CachedViews(synthesizer or Plain(), tiny_dataset(static=static).static, recipe, folder)


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_view_shows_what_the_teacher_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are those of the very images that come with them, also where a block ends amid the images."""
    monkeypatch.setattr(cached_views, "BLOCK", 10)
    views = make_views(tmp_path)
    rows = torch.tensor([32, 0, 19, 10, 9, 31, *[7] * 17])
    images, frames = views.sample(rows, draws(1), CPU)
    assert images.shape == (23, 3, HEIGHT, WIDTH)
    assert frames.shape == (STEPS, 23, 2, HEIGHT, WIDTH)
    assert torch.equal(frames, seen_plainly(images))
    assert frames.any()
    own = images[rows == 7]
    assert len({one.numpy().tobytes() for one in own}) == 3  # three views, drawn at random
    still = make_views(tmp_path / "still", affine={}).sample(rows, draws(1), CPU)[0]
    assert torch.equal(still, torch.from_numpy(resize_to(tiny_dataset().static.images[rows.numpy()], HEIGHT, WIDTH)))
    assert not torch.equal(still, images)


def test_views_are_drawn_once_and_then_read(tmp_path: Path) -> None:
    first, again, more = Plain(), Plain(), Plain()
    rows = torch.arange(33)
    one = make_views(tmp_path, first).sample(rows, draws(3), CPU)
    two = make_views(tmp_path, again).sample(rows, draws(3), CPU)
    assert (first.asked, again.asked) == (99, 0)
    assert all(torch.equal(mine, other) for mine, other in zip(one, two, strict=True))
    make_views(tmp_path, more, views=4)
    assert more.asked == 33  # the fourth alone
    assert len(list(tmp_path.glob("frames-*.bits"))) == 4


def test_a_damaged_file_is_drawn_anew(tmp_path: Path) -> None:
    expected = make_views(tmp_path, views=1).sample(torch.arange(33), draws(3), CPU)[1]
    (file,) = tmp_path.glob("frames-*.bits")
    damaged = bytearray(file.read_bytes())
    damaged[-5] ^= 1
    file.write_bytes(damaged)
    synthesizer = Plain()
    assert torch.equal(make_views(tmp_path, synthesizer, views=1).sample(torch.arange(33), draws(3), CPU)[1], expected)
    assert synthesizer.asked == 33


def test_views_depend_on_what_shows_them(tmp_path: Path) -> None:
    camera, translator = Simulator(STEPS, 30_000), Translator(STEPS, 3)
    same = Translator(STEPS, 3)
    same.load_state_dict(translator.state_dict())
    synthesizers = [
        camera, Simulator(STEPS, 30_000, Scene(blur=(0.1, 0.2))), Simulator(STEPS, 20_000), translator,
        Translator(STEPS, 3),
    ]  # fmt: skip
    known = {make_views(tmp_path, synthesizer, views=1).content for synthesizer in synthesizers}
    known |= {make_views(tmp_path, views=1).content, make_views(tmp_path, views=1, static=34).content}
    known |= {make_views(tmp_path, views=1, affine={}).content}
    assert len(known) == 8
    assert len(list(tmp_path.glob("frames-*.bits"))) == 8
    assert make_views(tmp_path, same, views=1).content in known
    assert len(list(tmp_path.glob("frames-*.bits"))) == 8


def test_a_camera_shows_as_it_does_otherwise(tmp_path: Path) -> None:
    """As many events as in batches that are drawn anew: 5 standard errors over 300 images."""
    data = tiny_dataset(static=300)
    camera = Simulator(STEPS, 30_000)
    recipe = tiny_recipe(synthesis={"cached_views": 1})
    _, frames = CachedViews(camera, data.static, recipe, tmp_path).sample(torch.arange(300), draws(1), CPU)
    images = torch.from_numpy(resize_to(data.static.images, HEIGHT, WIDTH))
    one, two = (each.flatten(2).sum((0, 2)) for each in (frames, camera.render(images, draws(9))))
    assert one.mean() > 1
    assert abs(one.mean() - two.mean()) < 5 * (one.var() / 300 + two.var() / 300).sqrt()


def test_streams_take_images_labels_and_frames_of_the_same_rows(tmp_path: Path) -> None:
    data = tiny_dataset()
    recipe = tiny_recipe(synthesis={"cached_views": 2, "affine": AFFINE}, distillation={"static": "synthetic"})
    streams = Streams(recipe, data, CachedViews(Plain(), data.static, recipe, tmp_path))
    clip = streams.synthetic(torch.tensor([4, 3, 30, 8]), lambda what: draws(2), CPU)
    assert clip.images is not None
    assert torch.equal(clip.frames, seen_plainly(clip.images))
    assert clip.labels.tolist() == [1, 0, 0, 2]
    events = streams.events(torch.tensor([5, 6, 7]), lambda what: draws(2), CPU)
    hybrid = streams.hybrid(events, 0.0, lambda what: draws(2))  # nothing is replaced yet
    assert hybrid.images is not None
    assert torch.equal(hybrid.frames, seen_plainly(hybrid.images))
    assert hybrid.labels.tolist() == [2, 0, 1]


def test_training_over_kept_views(tmp_path: Path, spikeport, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs that share the cache: the second draws nothing and ends in the same weights; a third draws anew."""
    words = [
        "train", "digits", "--set", "data.train=30", "--set", "data.validation=20", "--set", "data.test=20",
        "--set", "data.static_limit=70", "--set", "training.threads=1",
        "--set", "distillation={method = 'synthetic-events', train_baseline = false}",
        "--set", "synthesis.kind=simulator", "--set", "synthesis.pretrain_epochs=1",
        "--set", "teacher.epochs=1", "--set", "quantization.epochs=1",
    ]  # fmt: skip

    def train(name: str, views: int) -> bytes:
        code, _, err = spikeport(*words, "--set", f"synthesis.cached_views={views}", "--out", name)
        assert code == 0, err
        return (tmp_path / name / "pretrain.safetensors").read_bytes()

    first = train("first", 2)
    with monkeypatch.context() as without:
        without.setattr(Simulator, "render", lambda *_: pytest.fail("drawn again"))
        assert train("second", 2) == first
    assert train("anew", 0) != first
    assert len(list((tmp_path / "cache").glob("frames-*.bits"))) == 3  # two views, and the recordings
