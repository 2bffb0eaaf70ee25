"""The context of a stage: run folder, recipe, data set and progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from spikeport.pipeline.run.progress import ProgressPrinter
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.run_folder import RunFolder

if TYPE_CHECKING:
    from spikeport.pipeline.data.dataset import Dataset


@dataclass
class Context:
    """The context of a stage. The data set is loaded once, when a stage first needs it.

    Attributes:
        run: the run folder.
        progress: shows the progress of long work.
    """

    run: RunFolder
    progress: ProgressPrinter = field(default_factory=ProgressPrinter)

    @property
    def recipe(self) -> Recipe:
        """The run's recipe."""
        return self.run.recipe

    @cached_property
    def dataset(self) -> Dataset:
        """The data set of the recipe. Binned frames are cached on disk."""
        from spikeport.pipeline.data.load import load_dataset

        return load_dataset(self.recipe, progress=self.progress)

    def checkpoints(self, training: str) -> Path:
        """Folder of the checkpoints of a training.

        Args:
            training: name of the training, such as `student-ckd`.
        """
        return self.run.file("checkpoints") / training
