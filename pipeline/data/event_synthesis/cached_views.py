"""Renders static images as events, each batch anew, or once and kept on disk."""

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
    """Renders static images as events: `Translator` or `Simulator`."""

    @property
    def identity(self) -> str:
        """What its frames depend on, besides images and generator."""
        ...

    def render(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Renders images.

        Args:
            images: `[B, 3, H, W]` in 0..1.
            generator: random generator on the CPU.

        Returns:
            Frames `[T, B, 2, H, W]` of 0 and 1, on the images' device.
        """
        ...


class CachedViews:
    """Several renderings of each image, mapped from a folder, or rendered once and stored there.

    They depend on the images, their random transforms and the synthesizer, not on the seed of a run.

    Args:
        synthesizer: renders the images.
        images: the static images.
        recipe: its `synthesis.cached_views` is the number of renderings.
        folder: where they are stored.
        progress: called during rendering.
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
        self.synthesizer, self.images, self.affine = synthesizer, images.images, recipe.synthesis.affine
        self.folder, self.progress = folder, progress
        count = len(self.images)
        self.transforms = [
            draw_affine(count, torch.Generator().manual_seed(derived_seed(0, "view's warp", view)))
            for view in range(recipe.synthesis.cached_views)
        ]
        pixels = hashlib.sha256(np.ascontiguousarray(self.images).data).hexdigest()
        self.content = f"{synthesizer.identity} of {pixels} {self.images.shape}, {self.affine!r}, in blocks of {BLOCK}"
        self.views = [self._load_or_render(view) for view in range(recipe.synthesis.cached_views)]

    def sample(self, rows: Tensor, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        """A random rendering of each image.

        Args:
            rows: int64 `[B]`, row numbers of the images.
            generator: random generator on the CPU.
            device: where the results are.

        Returns:
            The transformed images `[B, 3, H, W]` and their frames `[T, B, 2, H, W]`.
        """
        which = torch.randint(len(self.views), (len(rows),), generator=generator)
        frames = np.empty((len(rows), *self.binning.shape), np.uint8)
        transforms = torch.empty(len(self.transforms[0]), len(rows))
        for view in range(len(self.views)):
            here = which == view
            frames[here.numpy()] = self.views[view][rows[here].numpy()]
            transforms[:, here] = self.transforms[view][:, rows[here]]
        seen = as_input(torch.from_numpy(frames).to(device).transpose(0, 1))
        return self._transformed(rows, transforms, device), seen

    def _transformed(self, rows: Tensor, transforms: Tensor, device: torch.device | None = None) -> Tensor:
        images = torch.from_numpy(resize_to(self.images[rows.numpy()], self.binning.height, self.binning.width))
        return apply_affine(images.to(device), self.affine, transforms)

    def _load_or_render(self, view: int) -> PackedFrames:
        key = self.folder, f"view {view} by {self.content}", len(self.images), self.binning
        drawn = cached_frames(*key, lambda: self._render_view(view)) if distributed.is_rank_zero() else None
        distributed.barrier()
        stored = stored_frames(*key)  # mapped, whoever drew it
        found = (stored or drawn or self._render_view(view)).frames
        assert isinstance(found, PackedFrames)  # views are not counts
        return found

    def _render_view(self, view: int) -> Frames:
        count = len(self.images)
        bits = np.empty((count, row_bytes(self.binning.shape)), np.uint8)
        facts = np.zeros(count, FACTS)  # events only, of which no two in one step come from one pixel
        for start in range(0, count, BLOCK):
            rows = torch.arange(start, min(start + BLOCK, count))
            generator = torch.Generator().manual_seed(derived_seed(0, "view", view, start))
            events = self.synthesizer.render(
                self._transformed(rows, self.transforms[view][:, rows]), generator
            ).transpose(0, 1)
            frames = PackedFrames.pack(events.numpy() > 0)
            bits[rows.numpy()], facts["events"][rows.numpy()] = frames.bits, events.flatten(1).sum(1).numpy()
            if self.progress:
                self.progress(
                    int(rows[-1]) + 1, count, f"drawing view {view + 1} of {len(self.transforms)} of the images"
                )
        return Frames(frames=PackedFrames(bits, (count, *self.binning.shape)), facts=facts)
