"""What a training step shows: whose images the teacher sees, what the hybrid stream is made of, who is in a batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from learning_data import HEIGHT, STEPS, WIDTH, tiny_dataset, tiny_recipe

from spikeport.errors import UserError
from spikeport.pipeline.data.images.resize import resize_to
from spikeport.pipeline.distillation.losses.base import Sizes
from spikeport.pipeline.distillation.method_parts import MethodSpec
from spikeport.pipeline.distillation.objective import Objective
from spikeport.pipeline.distillation.streams import Streams, run_streams
from spikeport.pipeline.models.teachers.build import build_teacher
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.sections.distillation import LossSpec
from spikeport.pipeline.training.train import initial_student

CPU = torch.device("cpu")
STILL = {"shift": 0, "event_drop": 0.0}
SIZES = Sizes(steps=STEPS, classes=3, v_threshold=1.0)
ROWS = torch.tensor([7, 2, 11, 3, 0])


def draws(what: str) -> torch.Generator:
    return torch.Generator().manual_seed(sum(what.encode()))


class Marker:
    """A synthesizer whose frames are known: the image's brightest channel, in polarity 1 of the last step alone."""

    def render(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        frames = torch.zeros(STEPS, len(images), 2, *images.shape[2:])
        frames[-1, :, 1] = images.amax(1)
        return frames


def streams(synthesizer: Marker | None = None, *, paired_images: bool = True, recipe: Recipe | None = None) -> Streams:
    return Streams(recipe or tiny_recipe(augmentation=STILL), tiny_dataset(paired_images=paired_images), synthesizer)


def test_the_teacher_sees_the_image_that_a_recording_was_made_from() -> None:
    made = streams()
    clip = made.events(ROWS, draws, CPU, images=True)
    assert made.paired_images is not None
    np.testing.assert_array_equal(clip.images, resize_to(made.paired_images.images[ROWS.numpy()], HEIGHT, WIDTH))
    data = tiny_dataset(paired_images=True)
    np.testing.assert_array_equal(clip.frames.transpose(0, 1), data.train.frames[ROWS.numpy()])
    assert clip.labels.tolist() == data.train.labels[ROWS.numpy()].tolist()
    assert made.events(ROWS, draws, CPU).images is None  # nobody asked


def test_without_known_pairs_it_sees_one_of_the_class() -> None:
    made = streams(paired_images=False)
    images = made.events(ROWS, draws, CPU, images=True).images
    assert images is not None
    static = tiny_dataset().static
    known = resize_to(static.images, HEIGHT, WIDTH)
    for image, label in zip(images.numpy(), made.labels[ROWS].tolist(), strict=True):
        matches = [row for row in range(len(known)) if np.array_equal(known[row], image)]
        assert len(matches) == 1
        assert static.labels[matches[0]] == label


@pytest.mark.parametrize(
    ("unit", "shares"), [("clip", (0.0, 1.0)), ("suffix_share", (0.0, 1.0)), ("never", (0.0, 0.0))]
)
def test_the_hybrid_stream_slides_from_images_to_recordings(unit: str, shares: tuple[float, float]) -> None:
    recipe = tiny_recipe(augmentation=STILL, distillation={"replacement_unit": unit})
    made = streams(recipe=recipe)
    events = made.events(ROWS, draws, CPU)
    for progress, share in zip((0.0, 1.0), shares, strict=True):
        clip = made.hybrid(events, progress, draws)
        assert clip.images is not None
        assert clip.replaced is not None
        assert clip.replaced.float().mean().item() == share
        still = clip.images.amax(1)[None, :, None].expand(STEPS, -1, 2, -1, -1)
        torch.testing.assert_close(clip.frames, events.frames if share else still, atol=0, rtol=0)


def test_the_hybrid_stream_may_start_as_synthetic_events() -> None:
    recipe = tiny_recipe(augmentation=STILL, distillation={"static": "synthetic"})
    made = streams(Marker(), recipe=recipe)
    clip = made.hybrid(made.events(ROWS, draws, CPU), 0.0, draws)
    assert clip.images is not None
    torch.testing.assert_close(clip.frames[-1, :, 1], clip.images.amax(1))
    assert not clip.frames[:-1].any()
    with pytest.raises(UserError, match="no event synthesizer was given"):
        streams(recipe=recipe).hybrid(made.events(ROWS, draws, CPU), 0.0, draws)


def test_what_is_synthesized_for_two_streams_is_drawn_twice() -> None:
    asked: list[bytes] = []

    class Noting(Marker):
        def render(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            asked.append(generator.get_state().numpy().tobytes())
            return super().render(images, generator)

    made = streams(Noting(), recipe=tiny_recipe(augmentation=STILL, distillation={"static": "synthetic"}))
    made.hybrid(made.events(ROWS, draws, CPU), 0.0, draws)
    made.synthetic(ROWS, draws, CPU)
    assert len(set(asked)) == 2


def test_synthetic_events_are_those_of_the_rows() -> None:
    made = streams(Marker())
    clip = made.synthetic(torch.tensor([4, 20]), draws, CPU)
    static = tiny_dataset(paired_images=True).static
    expected = resize_to(static.images[[4, 20]], HEIGHT, WIDTH)
    np.testing.assert_array_equal(clip.frames[-1, :, 1], expected.max(1))
    assert clip.labels.tolist() == static.labels[[4, 20]].tolist()


def test_a_class_without_images_is_named() -> None:
    data = tiny_dataset()
    mask = data.static.labels != 1
    poor = replace(data.static, images=data.static.images[mask], labels=data.static.labels[mask])
    made = Streams(tiny_recipe(), replace(data, static=poor), None)
    with pytest.raises(UserError, match=r"class 'middle' has no static image.*train without"):
        made.hybrid(made.events(ROWS, draws, CPU), 0.0, draws)


def spec(*losses: tuple[str, str]) -> Objective:
    return Objective(MethodSpec(losses=tuple(LossSpec(loss=loss, stream=stream) for loss, stream in losses)), SIZES)


def test_every_stream_is_as_if_it_were_alone() -> None:
    """In eval mode: recordings and synthetic events in one batch as each by itself, the hybrid stream by its own head,
    whatever goes first (states start at zero each time)."""
    recipe, data = tiny_recipe(augmentation=STILL), tiny_dataset(paired_images=True)
    student = initial_student(recipe, data).eval()
    with torch.no_grad():
        for synapse in (*student.heads.values(), student.backbone["conv1"], student.backbone["conv2"]):
            synapse.weight *= 5  # so that every layer fires
    made = streams(Marker())
    events = made.events(ROWS, draws, CPU, images=True)
    clips = {
        "event": events,
        "hybrid": made.hybrid(events, 0.6, draws),
        "synthetic": made.synthetic(ROWS[:3], draws, CPU),
    }
    objective = spec(("tet", "event"), ("logit_kd", "hybrid"), ("logit_kd", "synthetic"))
    teacher = build_teacher(recipe.teacher, (3, HEIGHT, WIDTH), 3)
    for order in (clips, dict(reversed(clips.items()))):
        step = run_streams(student, order, objective, teacher, 0.6, torch.Generator())
        for name, clip in clips.items():
            alone = student(clip.frames, head="static" if name == "hybrid" else "event")
            stream = step.streams[name]
            assert torch.equal(stream.logits, alone.logits)
            assert alone.logits.any() or name == "synthetic"  # its three frames may be too little for the last layer
            # One batch or another: oneDNN sums in another order.
            torch.testing.assert_close(stream.features, alone.features, atol=1e-5, rtol=1e-5)
            assert stream.labels.tolist() == clip.labels.tolist()
            assert stream.stages is not None
            assert alone.stages is not None
            assert all(torch.equal(*pair) for pair in zip(stream.stages, alone.stages, strict=True))
    assert step.streams["event"].teacher is None
    for name in ("hybrid", "synthetic"):
        targets, images = step.streams[name].teacher, clips[name].images
        assert targets is not None
        assert images is not None
        torch.testing.assert_close(targets.logits, teacher.eval()(images), atol=1e-5, rtol=1e-5)
        assert not targets.logits.requires_grad


def test_a_teacher_that_is_needed_and_missing_is_named(tmp_path: Path) -> None:
    made, recipe = streams(), tiny_recipe()
    student = initial_student(recipe, tiny_dataset())
    clips = {"event": made.events(ROWS, draws, CPU, images=True)}
    with pytest.raises(UserError, match=r"needs a teacher.*train without"):
        run_streams(student, clips, spec(("logit_kd", "event")), None, 0.0, torch.Generator())
