"""How frames lie in memory before a student: the values are the same, their places are not."""

from __future__ import annotations

import pytest
import torch

from spikeport.pipeline.data.frames.inputs import as_input, concat_batch

SHAPE = (5, 3, 2, 7, 11)  # T, B, C, H, W


def lies_channels_last(frames: torch.Tensor) -> bool:
    return frames.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_values_and_gradients_stay() -> None:
    frames = torch.randn(SHAPE, requires_grad=True)
    laid = as_input(frames)
    assert lies_channels_last(laid)
    assert torch.equal(laid, frames)
    weights = torch.randn(SHAPE)
    (laid * weights).sum().backward()
    assert frames.grad is not None
    assert torch.equal(frames.grad, weights)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("swapped", [False, True])
def test_bytes_become_floats(channels: int, swapped: bool) -> None:
    frames = torch.randint(0, 256, (5, 3, channels, 7, 11), dtype=torch.uint8)
    if swapped:  # as recordings come, sample by sample
        frames = frames.transpose(0, 1).contiguous().transpose(0, 1)
    laid = as_input(frames)
    assert laid.dtype == torch.float32
    assert lies_channels_last(laid)
    assert torch.equal(laid, frames.float())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_floats_keep_their_type(dtype: torch.dtype) -> None:
    frames = torch.randn(SHAPE).to(dtype)
    laid = as_input(frames)
    assert laid.dtype == dtype
    assert torch.equal(laid, frames)


def test_what_lies_so_is_not_copied() -> None:
    laid = as_input(torch.randn(SHAPE))
    assert as_input(laid).data_ptr() == laid.data_ptr()


def test_parts_come_together_in_order() -> None:
    """However each lies; one alone is itself."""
    parts = [torch.randn(5, batch, 2, 7, 11) for batch in (3, 1, 2)]
    parts[1] = as_input(parts[1])
    joined = concat_batch(parts)
    assert lies_channels_last(joined)
    assert torch.equal(joined, torch.cat(parts, dim=1))
    assert concat_batch(parts[:1]) is parts[0]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64])
def test_channels_become_floats_side_by_side(dtype: torch.dtype) -> None:
    frames = torch.randint(0, 2, (3, 5, 11)).to(dtype).transpose(0, 1)
    laid = as_input(frames)
    assert laid.dtype == (torch.float32 if dtype == torch.uint8 else dtype)
    assert laid.is_contiguous()
    assert torch.equal(laid, frames.to(laid.dtype))
    joined = concat_batch([frames, frames[:, :2]])
    assert torch.equal(joined, torch.cat([laid, laid[:, :2]], dim=1))
