"""The context of a stage: run folder, recipe, data set and progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from spikeport.pipeline.run.auto_method import chosen_method, with_method
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

    def recipe_of(self, method: str) -> Recipe:
        """The recipe that trains the student of a method of this run; with "auto", of the candidate in its place.

        Args:
            method: one of the recipe's `methods`.
        """
        return with_method(self.recipe, self.losses_of(method))

    def losses_of(self, method: str) -> str:
        """The name in `METHODS` of a method of this run: itself, or what "auto" has chosen.

        Args:
            method: one of the recipe's `methods`.
        """
        return chosen_method(self.run) if method == self.recipe.distillation.method else method

    def weights_file(self, kind: str, method: str) -> str:
        """Name of a weights file: `student.safetensors` of the run's method, `student-<method>.safetensors` of others.

        Args:
            kind: "student" or "quantized".
            method: one of the recipe's `methods`.
        """
        return f"{kind}.safetensors" if method == self.recipe.distillation.method else f"{kind}-{method}.safetensors"

    def checkpoints(self, training: str) -> Path:
        """Folder of the checkpoints of a training.

        Args:
            training: name of the training, such as `student-ckd`.
        """
        return self.run.file("checkpoints") / training
