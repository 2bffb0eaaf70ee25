"""Augmentation against NumPy, by hand-made examples, and by statistics."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeport.pipeline.data.augmentation.augment import AUGMENTATIONS, augment
from spikeport.pipeline.data.augmentation.draws import below, levels
from spikeport.pipeline.data.augmentation.events import add_noise, drop_events, jitter_time, shift_time
from spikeport.pipeline.data.augmentation.geometry import affine, flip, shift
from spikeport.pipeline.data.augmentation.mixing import Boxes, draw_boxes, mix, partners_of_class
from spikeport.pipeline.run.sections.training import Augmentation

SHAPE = (3, 6, 2, 5, 7)  # T, B, C, H, W
OFF = {"shift": 0, "event_drop": 0.0}
EACH = {
    "mix": 0.9, "flip": True, "rotation": 30.0, "scale": 0.3, "shift": 2, "time_shift": 2, "time_jitter": 0.5,
    "event_drop": 0.6, "noise": 0.1,
}  # fmt: skip


def distinct(shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.arange(1, int(np.prod(shape)) + 1).float().view(shape)


def events(shape: tuple[int, ...], share: float = 0.4) -> torch.Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(7)) < share).float()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_shift_by_hand() -> None:
    """Down 1 and left 1; up 2 and right 0; still. What comes in is zero; steps and channels move together."""
    frame = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]])
    frames = torch.stack([frame + 100 * n for n in range(4)]).view(2, 1, 2, 3, 4).repeat(1, 3, 1, 1, 1).float()
    moved = shift(frames, torch.tensor([[1, -1], [-2, 0], [0, 0]]))
    assert moved[0, 0, 0].tolist() == [[0, 0, 0, 0], [2, 3, 4, 0], [6, 7, 8, 0]]
    assert moved[1, 0, 1].tolist() == [[0, 0, 0, 0], [302, 303, 304, 0], [306, 307, 308, 0]]
    assert moved[0, 1, 1].tolist() == [[109, 110, 111, 112], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert torch.equal(moved[:, 2], frames[:, 2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_shift_is_a_roll_with_zeros(dtype: torch.dtype) -> None:
    frames = (distinct() % 251).to(dtype)
    offsets = torch.tensor([[0, 1], [-3, 2], [4, -6], [5, 0], [-9, 9], [0, 7]])
    moved = shift(frames.transpose(0, 1).contiguous().transpose(0, 1), offsets)
    assert moved.dtype == dtype
    for sample, (down, right) in enumerate(offsets.tolist()):
        expected = np.roll(frames[:, sample].numpy(), (down, right), (2, 3))
        expected[:, :, : max(down, 0)] = 0
        expected[:, :, 5 + min(down, 0) if down > -5 else 0 :] = 0
        expected[:, :, :, : max(right, 0)] = 0
        expected[:, :, :, 7 + min(right, 0) if right > -7 else 0 :] = 0
        np.testing.assert_array_equal(moved[:, sample].numpy(), expected)


def test_flip_is_numpys_and_its_own_inverse() -> None:
    which = torch.tensor([True, False, True, True, False, False])
    flipped = flip(distinct(), which)
    for sample, own in enumerate(which.tolist()):
        plain = distinct()[:, sample].numpy()
        np.testing.assert_array_equal(flipped[:, sample].numpy(), plain[..., ::-1] if own else plain)
    assert torch.equal(flip(flipped, which), distinct())


@pytest.mark.parametrize("size", [5, 6])
def test_quarter_turns_are_numpys(size: int) -> None:
    frames = distinct((2, 5, 3, size, size))
    turns = [0, 1, 2, 3, -1]
    turned = affine(frames, 90.0 * torch.tensor(turns), torch.ones(5))
    for sample, turn in enumerate(turns):
        np.testing.assert_array_equal(turned[:, sample], np.rot90(frames[:, sample], turn, (2, 3)))


def test_any_affine_is_a_plain_loop() -> None:
    """x' + iy' = (x + iy) * scale * e^(i angle) with y upward, undone for each pixel."""
    degrees, scales = [12.0, -33.0, 171.0, 0.0, 0.0, 45.0], [1.0, 1.1, 0.7, 2.0, 0.5, 1.3]
    turned = affine(distinct(), torch.tensor(degrees), torch.tensor(scales))
    for sample in range(6):
        for row in range(5):
            for column in range(7):
                place = complex(column - 3, 2 - row)
                source = place / (scales[sample] * np.exp(1j * np.radians(degrees[sample])))
                y = int(np.ceil(2 - source.imag - 0.5 - 1e-5))  # nearest, one half goes down
                x = int(np.ceil(3 + source.real - 0.5 - 1e-5))
                inside = 0 <= y < 5 and 0 <= x < 7
                expected = distinct()[:, sample, :, y, x] if inside else torch.zeros(3, 2)
                assert torch.equal(turned[:, sample, :, row, column], expected), (sample, row, column)


def test_a_magnified_pixel_is_a_block() -> None:
    frames = torch.zeros(1, 1, 1, 9, 9)
    frames[..., 4, 4] = 1
    grown = affine(frames, torch.zeros(1), torch.tensor([3.0]))
    assert grown[0, 0, 0].nonzero().tolist() == [[y, x] for y in (3, 4, 5) for x in (3, 4, 5)]


def test_a_draw_is_below_a_share_as_often_as_the_share_says() -> None:
    """Every level comes once in a count over all of them: for shares of whole levels the number below is exact."""
    every = torch.arange(256, dtype=torch.uint8)
    for share in (0.0, 0.25, 77 / 256, 1.0):
        assert int((every < below(torch.tensor([share]), seeded())).sum()) == round(share * 256)
    between = below(torch.full((4000,), 0.1), seeded()).float()  # 25.6 levels
    assert set(between.tolist()) == {25, 26}
    assert abs(float(between.mean()) - 25.6) < 4 * (0.6 * 0.4 / 4000) ** 0.5  # 4 sigma


def test_levels_are_uniform_and_their_bits_are_fair() -> None:
    drawn = levels(torch.Size([3, 66_667]), seeded(1))  # no multiple of eight
    assert drawn.shape == (3, 66_667)
    count = drawn.numel()
    for bit in range(8):
        ones = int((drawn >> bit & 1).sum())
        assert abs(ones - count / 2) < 5 * (count / 4) ** 0.5  # 5 sigma
    lanes = drawn.flatten()[: count // 8 * 8].view(-1, 8).float()  # the eight of one draw do not go together
    assert torch.corrcoef(lanes.T).fill_diagonal_(0).abs().max() < 5 / len(lanes) ** 0.5


def test_drop_takes_each_samples_own_share() -> None:
    frames = events((4, 3, 2, 50, 60))
    shares = torch.tensor([0.0, 0.25, 1.0])  # whole levels
    thinned = drop_events(frames, shares, seeded())
    assert torch.equal(thinned[:, 0], frames[:, 0])
    assert not thinned[:, 2].any()
    assert ((thinned == frames) | (thinned == 0)).all()
    before = float(frames[:, 1].sum())
    assert abs(float(thinned[:, 1].sum()) - 0.75 * before) < 4 * (before * 0.25 * 0.75) ** 0.5  # 4 sigma


def test_bytes_are_treated_as_floats_are() -> None:
    """One loop is compiled, the other is torch's: the same draws, the same frames, in whatever order they lie."""
    frames, shares = events((4, 3, 2, 5, 7)), torch.tensor([0.3, 1.0, 0.55])
    samples_first = frames.byte().transpose(0, 1).contiguous().transpose(0, 1)
    for held in (frames.byte(), samples_first):
        thinned = drop_events(held, shares, seeded(3))
        assert thinned.dtype == torch.uint8
        assert torch.equal(thinned.float(), drop_events(frames, shares, seeded(3)))
        for offsets in ([[1, -2], [0, 3], [-4, 0]], [[-1, 6], [4, -6], [5, 0]], [[0, 7], [-9, 1], [0, 0]]):
            expected = shift(frames, torch.tensor(offsets))
            assert torch.equal(shift(held, torch.tensor(offsets)).float(), expected)


def test_noise_adds_its_share_evenly() -> None:
    frames = torch.zeros(4, 3, 2, 40, 50)
    noisy = add_noise(frames, 0.01, seeded())
    assert not frames.any()
    assert set(noisy.unique().tolist()) == {0, 1}
    expected = frames.numel() * (1 - np.exp(-0.01))  # a place is met by Poisson(0.01) events
    assert abs(float(noisy.sum()) - expected) < 4 * expected**0.5
    for axis in range(5):
        counts = noisy.sum([other for other in range(5) if other != axis])
        mean = expected / frames.shape[axis]
        assert (counts - mean).abs().max() < 5 * mean**0.5
    ones = torch.ones(2, 2, 1, 3, 3)
    assert torch.equal(add_noise(ones, 0.5, seeded()), ones)


def test_shift_in_time_is_slicing() -> None:
    frames = distinct((4, 6, 2, 3, 5))
    delays = [1, -1, 0, 3, -4, 9]
    moved = shift_time(frames, torch.tensor(delays))
    assert torch.equal(moved[1:, 0], frames[:-1, 0])
    assert torch.equal(moved[:-1, 1], frames[1:, 1])
    assert torch.equal(moved[:, 2], frames[:, 2])
    assert torch.equal(moved[3:, 3], frames[:1, 3])
    assert not moved[0, 0].any()
    assert not moved[-1, 1].any()
    assert not moved[:3, 3].any()
    assert not moved[:, 4:].any()


def test_jitter_moves_its_share_by_one_step_either_way() -> None:
    """All events in the middle of seven steps: a share stays, the rest lies a step before or after, half each."""
    frames = torch.zeros(7, 2, 2, 60, 70)
    frames[3] = 1
    moved = jitter_time(frames, 0.375, seeded())  # whole levels
    number = frames[3].numel()
    assert torch.equal(moved.sum(0), frames.sum(0))
    assert moved[[0, 1, 5, 6]].sum() == 0
    for step, share in ((2, 0.1875), (3, 0.625), (4, 0.1875)):
        assert abs(float(moved[step].sum()) - share * number) < 4 * (number * share * (1 - share)) ** 0.5


def test_jitter_at_the_ends_and_onto_other_events() -> None:
    ones = torch.ones(3, 2, 1, 30, 40)
    moved = jitter_time(ones, 1.0, seeded(2))  # each goes, where there is a step to go to
    assert set(moved.unique().tolist()) == {0, 1}
    assert (moved.sum(0) >= 1).all()
    first = torch.zeros(3, 1, 1, 50, 50)
    first[0] = 1
    stays = jitter_time(first, 1.0, seeded(3))
    assert torch.equal(stays[0] + stays[1], first[0])
    assert abs(float(stays[0].sum()) - 1250) < 4 * 25  # half of 2,500, sigma 25
    assert torch.equal(jitter_time(ones, 0.0, seeded()), ones)


def test_partners_are_of_the_same_class() -> None:
    labels = torch.tensor([2, 0, 2, 5, 0, 2, 2])
    seen = set()
    for seed in range(20):
        partners = partners_of_class(labels, seeded(seed))
        assert torch.equal(labels[partners], labels)
        assert sorted(partners.tolist()) == list(range(7))
        own = [sample for sample, partner in enumerate(partners.tolist()) if sample == partner]
        assert own == [3]  # the only one of its class
        seen.add(int(partners[0]))
    assert seen == {2, 5, 6}


def test_mix_is_a_box_by_slices() -> None:
    frames = distinct((4, 3, 2, 5, 7))
    boxes = Boxes(torch.tensor([[1, 2, 0], [0, 0, 0], [0, 0, 3]]), torch.tensor([[3, 5, 4], [0, 0, 0], [4, 5, 7]]))
    mixed, shares = mix(frames, torch.tensor([2, 0, 1]), boxes)
    expected = frames.clone()
    expected[1:3, 0, :, 2:5, 0:4] = frames[1:3, 2, :, 2:5, 0:4]
    expected[:, 2, :, :, 3:7] = frames[:, 1, :, :, 3:7]
    assert torch.equal(mixed, expected)
    assert shares.tolist() == pytest.approx([2 * 3 * 4 / 140, 0, 4 / 7])


def test_boxes_lie_inside_and_are_drawn_where_chosen() -> None:
    chosen = torch.arange(600) % 2 == 0
    boxes = draw_boxes(torch.Size((10, 600, 2, 34, 20)), chosen, seeded())
    sides = boxes.ends - boxes.starts
    assert (boxes.starts >= 0).all()
    assert (boxes.ends <= torch.tensor([10, 34, 20])).all()
    assert not sides[~chosen].any()
    shares = (sides[chosen] / torch.tensor([10, 34, 20])).prod(1)
    assert shares.max() < 0.6
    assert abs(float(shares.mean()) - 0.25) < 0.03  # uniform in 0..1/2, sides rounded; sigma of the mean 0.008


@pytest.mark.parametrize("setting", EACH)
def test_each_setting_does_something_binary_and_seeded(setting: str) -> None:
    frames = events((6, 8, 2, 9, 12))
    labels = torch.tensor([0, 1, 0, 1, 2, 2, 2, 0])

    def done(seed: int, given: torch.Tensor = frames) -> torch.Tensor:
        return augment(given, Augmentation(**{**OFF, setting: EACH[setting]}), seeded(seed), labels)

    assert done(1).shape == frames.shape
    assert torch.equal(done(1), done(1))
    assert not torch.equal(done(1), done(2))
    assert not torch.equal(done(1), frames)
    assert set(done(1).unique().tolist()) == {0, 1}
    small = done(1, frames.to(torch.uint8))
    assert small.dtype == torch.uint8
    assert torch.equal(small.float(), done(1))
    batch_first = frames.transpose(0, 1).contiguous().transpose(0, 1)  # as a batch of stored recordings lies
    assert torch.equal(done(1, batch_first), done(1))
    assert torch.equal(frames, events((6, 8, 2, 9, 12)))  # what came in is as it was


def test_settings_and_table_name_the_same() -> None:
    assert {augmentation.setting for augmentation in AUGMENTATIONS} == set(Augmentation.model_fields) == set(EACH)


def test_augment_can_be_off_and_keeps_its_bounds() -> None:
    frames = events((3, 40, 2, 12, 13), 0.5)
    assert torch.equal(augment(frames, Augmentation(**OFF), seeded()), frames)
    dropped = augment(frames, Augmentation(shift=0, event_drop=0.4), seeded(1))
    shares = 1 - dropped.sum((0, 2, 3, 4)) / frames.sum((0, 2, 3, 4))
    assert 0.1 < shares.mean() < 0.3  # uniform in 0..0.4: about 0.2
    assert shares.max() < 0.5
    spot = torch.zeros(1, 500, 1, 9, 9)
    spot[..., 4, 4] = 1
    moved = augment(spot, Augmentation(shift=2, event_drop=0.0), seeded(3))
    places = {tuple(place) for place in moved[0, :, 0].nonzero()[:, 1:].tolist()}
    assert places == {(y, x) for y in range(2, 7) for x in range(2, 7)}  # every offset of -2..2, both axes


def test_mixing_needs_labels() -> None:
    with pytest.raises(ValueError, match="needs the labels"):
        augment(events(SHAPE), Augmentation(mix=0.5), seeded())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")
def test_a_gpu_gives_the_same_frames() -> None:
    frames, labels = events((6, 8, 2, 9, 12)), torch.tensor([0, 1, 0, 1, 2, 2, 2, 0])
    recipe = Augmentation(**EACH)
    there = augment(frames.cuda(), recipe, seeded(4), labels.cuda())
    assert torch.equal(there.cpu(), augment(frames, recipe, seeded(4), labels))
