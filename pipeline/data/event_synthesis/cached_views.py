"""What shows static images as events, and a data set of such views that is drawn once and kept on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from spikeport.pipeline.data.dataset import StaticImages
from spikeport.pipeline.data.frames.binning import Binning, Frames
from spikeport.pipeline.data.frames.cache import cached_frames, stored_frames
from spikeport.pipeline.data.frames.facts import FACTS
from spikeport.pipeline.data.frames.inputs import as_input
from spikeport.pipeline.data.frames.packed import PackedFrames, row_bytes
from spikeport.pipeline.data.images.affine import apply_affine, draw_affine
from spikeport.pipeline.data.images.resize import resize_to
from spikeport.pipeline.run import distributed
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.seeding import derived_seed
from spikeport.progress import NamedProgress

BLOCK = 256  # images that are drawn together; other blocks would be other draws


class EventSynthesizer(Protocol):
    """Shows static images as events."""

    @property
    def identity(self) -> str:
        """What its frames depend on, besides images and generator."""
        ...

    def render(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """`images` `[B, 3, H, W]` in 0..1 as frames `[T, B, 2, H, W]` of 0 and 1, on the images' device."""
        ...


class CachedViews:
    """`synthesis.cached_views` renderings of each of `images`, mapped from `folder`, or drawn and stored there.

    They are a data set: they depend on the images, on how these are warped and shown, and not on a run's seed.
    """

    def __init__(
        self,
        synthesizer: EventSynthesizer,
        images: StaticImages,
        recipe: Recipe,
        folder: Path,
        progress: NamedProgress | None = None,
    ) -> None:
        data = recipe.data
        self.binning = Binning(steps=data.steps, step_us=data.step_us, height=data.height, width=data.width)
        self.synthesizer, self.images, self.warp = synthesizer, images.images, recipe.synthesis.affine
        self.folder, self.progress = folder, progress
        count = len(self.images)
        self.warps = [
            draw_affine(count, torch.Generator().manual_seed(derived_seed(0, "view's warp", view)))
            for view in range(recipe.synthesis.cached_views)
        ]
        pixels = hashlib.sha256(np.ascontiguousarray(self.images).data).hexdigest()
        self.content = f"{synthesizer.identity} of {pixels} {self.images.shape}, {self.warp!r}, in blocks of {BLOCK}"
        self.views = [self._kept(view) for view in range(recipe.synthesis.cached_views)]

    def sample(self, rows: Tensor, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        """The images of these rows as they were warped, `[B, 3, H, W]`, and one of their views each,
        `[T, B, 2, H, W]`."""
        which = torch.randint(len(self.views), (len(rows),), generator=generator)
        frames = np.empty((len(rows), *self.binning.shape), np.uint8)
        warps = torch.empty(len(self.warps[0]), len(rows))
        for view in range(len(self.views)):
            here = which == view
            frames[here.numpy()] = self.views[view][rows[here].numpy()]
            warps[:, here] = self.warps[view][:, rows[here]]
        seen = as_input(torch.from_numpy(frames).to(device).transpose(0, 1))
        return self._warped(rows, warps, device), seen

    def _warped(self, rows: Tensor, warps: Tensor, device: torch.device | None = None) -> Tensor:
        images = torch.from_numpy(resize_to(self.images[rows.numpy()], self.binning.height, self.binning.width))
        return apply_affine(images.to(device), self.warp, warps)

    def _kept(self, view: int) -> PackedFrames:
        key = self.folder, f"view {view} by {self.content}", len(self.images), self.binning
        drawn = cached_frames(*key, lambda: self._drawn(view)) if distributed.is_rank_zero() else None
        distributed.barrier()
        kept = stored_frames(*key)  # mapped, whoever drew it
        return (kept or drawn or self._drawn(view)).frames

    def _drawn(self, view: int) -> Frames:
        count = len(self.images)
        bits = np.empty((count, row_bytes(self.binning.shape)), np.uint8)
        facts = np.zeros(count, FACTS)  # events only, of which no two in one step come from one pixel
        for start in range(0, count, BLOCK):
            rows = torch.arange(start, min(start + BLOCK, count))
            generator = torch.Generator().manual_seed(derived_seed(0, "view", view, start))
            events = self.synthesizer.render(self._warped(rows, self.warps[view][:, rows]), generator).transpose(0, 1)
            frames = PackedFrames.pack(events.numpy() > 0)
            bits[rows.numpy()], facts["events"][rows.numpy()] = frames.bits, events.flatten(1).sum(1).numpy()
            if self.progress:
                self.progress(int(rows[-1]) + 1, count, f"drawing view {view + 1} of {len(self.warps)} of the images")
        return Frames(frames=PackedFrames(bits, (count, *self.binning.shape)), facts=facts)
