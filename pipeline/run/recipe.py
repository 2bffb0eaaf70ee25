"""The recipe: one TOML file with all settings of a run, as validated frozen values.

The keys of each section, with their defaults, bounds and descriptions, are defined in `pipeline.run.sections`.
"""

from __future__ import annotations

from pathlib import Path

import tomli_w
from pydantic import Field, model_validator

from spikeport.pipeline.run.sections.data import Data
from spikeport.pipeline.run.sections.distillation import Distillation, Synthesis
from spikeport.pipeline.run.sections.evaluation import Check, Profile
from spikeport.pipeline.run.sections.fields import FileName, Section, SignedSeed
from spikeport.pipeline.run.sections.networks import Student, Teacher
from spikeport.pipeline.run.sections.training import PLANE, Augmentation, Quantization, Training


class Recipe(Section):
    """All settings of a run; read with `load_recipe`.

    >>> Recipe(name="mine").methods
    ('ckd', 'baseline')
    """

    name: FileName = Field(default="run", description="name of the run and of its folder")
    seed: SignedSeed = Field(default=1, description="seed of weights, shuffles and augmentation")
    data: Data = Data()
    teacher: Teacher = Teacher()
    student: Student = Student()
    training: Training = Training()
    augmentation: Augmentation = Augmentation()
    distillation: Distillation = Distillation()
    synthesis: Synthesis = Synthesis()
    quantization: Quantization = Quantization()
    check: Check = Check()
    profile: Profile = Profile()

    @model_validator(mode="after")
    def _shift_is_within_the_frame(self) -> Recipe:
        side, shift = max(self.data.frame_size), self.augmentation.shift
        if shift > side:
            raise ValueError(f"augmentation.shift = {shift} is more than the frames' side, {side}")
        return self

    @model_validator(mode="after")
    def _augmentations_have_their_axes(self) -> Recipe:
        if self.data.channels is not None:
            for name in PLANE:
                if getattr(self.augmentation, name):
                    raise ValueError(
                        f"augmentation.{name} needs frames with height and width; these are {self.data.channels} "
                        "channels: use shift, time_shift, time_jitter, event_drop or noise"
                    )
        return self

    @model_validator(mode="after")
    def _norms_are_for_the_steps_of_the_frames(self) -> Recipe:
        if self.student.norm_steps not in (0, self.data.steps):
            raise ValueError(
                f"student.norm_steps = {self.student.norm_steps} must be data.steps, {self.data.steps}, or 0"
            )
        return self

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods that train a student of this run: its own, and `baseline` for comparison."""
        own = self.distillation.method
        alone = own == "baseline" or not self.distillation.train_baseline or self.data.without_recordings
        return (own,) if alone else (own, "baseline")

    @property
    def folder(self) -> Path | None:
        """The folder of the file that it was read from, where own Python files are looked for; None where unknown."""
        return self.__dict__.get("_folder")

    def read_in(self, folder: Path) -> Recipe:
        """The same recipe, which knows the folder of its file.

        Args:
            folder: the folder.
        """
        known = self.model_copy()
        vars(known)["_folder"] = folder.resolve()  # no field: it is no setting, and equal recipes stay equal
        return known

    def as_toml(self) -> str:
        """The resolved recipe as TOML text, with every default."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))
