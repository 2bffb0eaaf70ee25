"""A run as a value, which loads files of the run folder on demand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeport.pipeline.run import distributed
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.run_folder import RunFolder
from spikeport.pipeline.run.run_folder import open_run as open_folder
from spikeport.pipeline.stages.compiled_network import CompiledNetwork, load_network
from spikeport.pipeline.stages.context import Context
from spikeport.pipeline.stages.reporting import progress_of
from spikeport.pipeline.stages.settings import PathLike, load_dataset
from spikeport.tables import text_of

if TYPE_CHECKING:
    from spikeport.export.network.spike_trace import SpikeTrace
    from spikeport.pipeline.data.dataset import Dataset
    from spikeport.pipeline.models.students.base import Student
    from spikeport.pipeline.models.teachers.base import Teacher


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run and the files of its folder, which are loaded on first use.

    Attributes:
        folder: the run folder with recipe, manifest and files.
    """

    folder: RunFolder

    @property
    def path(self) -> Path:
        """Path of the run folder."""
        return self.folder.path

    @property
    def recipe(self) -> Recipe:
        """The recipe of the run."""
        return self.folder.recipe

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the finished stages, in order."""
        return tuple(name for name in self.folder.manifest["stages"] if self.folder.is_done(name))

    @property
    def is_worker(self) -> bool:
        """Whether this process only trains beside another process, which does all other work."""
        return distributed.is_worker(self.recipe.training)

    @cached_property
    def dataset(self) -> Dataset:
        """The data set of the run, read and binned as it was trained on."""
        return load_dataset(self.recipe)

    @cached_property
    def teacher(self) -> Teacher | None:
        """The trained teacher on the CPU, in eval mode; None if the data set has no static images."""
        from spikeport.pipeline.stages.train import load_teacher

        return load_teacher(self._context())

    @cached_property
    def student(self) -> Student:
        """The quantized student on the CPU, in eval mode."""
        from spikeport.pipeline.stages.train import load_student

        return load_student(self._context(), self.recipe.distillation.method, "quantized")

    @cached_property
    def float_student(self) -> Student:
        """The student before quantization on the CPU, in eval mode."""
        from spikeport.pipeline.stages.train import load_student

        return load_student(self._context(), self.recipe.distillation.method, "float")

    @cached_property
    def network(self) -> CompiledNetwork:
        """The network of student.net."""
        return load_network(self.folder.file("student.net"))

    @cached_property
    def trace(self) -> SpikeTrace:
        """Spikes and counts of the test set in the integer reference."""
        from dataclasses import replace

        from spikeport.export.network.spike_trace import load_trace

        return replace(load_trace(self.folder.file("trace.npz")), readout=self.network.network.readout)

    @property
    def report(self) -> Mapping[str, Any]:
        """report.json: accuracies, equality of spikes, layers, energy, provenance; see the reference of its schema."""
        self.folder.result("report")  # raises where the run did not come to it
        with open(self.folder.file("report.json"), encoding="utf-8") as file:
            return dict(json.load(file))

    @property
    def summary(self) -> str:
        """First sentence of the report: accuracy, equality of spikes, energy."""
        return str(self.folder.result("report")["summary"])

    def __repr__(self) -> str:
        done = self.stages
        lines = [f"Run of {self.recipe.name!r} in {self.path}", f"  stages done: {', '.join(done) or 'none'}"]
        return text_of([*lines, f"  {self.summary}"] if "report" in done else lines)

    def _context(self) -> Context:
        context = Context(self.folder, progress_of(None))
        if "dataset" in self.__dict__:
            context.__dict__["dataset"] = self.dataset
        return context


def open_run(folder: PathLike) -> Run:
    """Opens the run in a folder.

    Args:
        folder: the run folder.

    Raises:
        UserError: the folder contains no run, or its manifest is damaged.
    """
    return Run(folder=open_folder(Path(folder)))


def as_run(run: Run | PathLike) -> Run:
    """The run itself, or the one in a folder.

    Args:
        run: a run, or its folder.
    """
    return run if isinstance(run, Run) else open_run(run)
