"""Spikeport takes an image classifier to a neuromorphic chip: train, quantize, simulate, check, estimate energy.

    >>> import numpy as np
    >>> import spikeport as sp
    >>> net = sp.quantize(sp.load_graph("cnn.nir", dt_s=1e-3, reset="zero"))     # doctest: +SKIP
    >>> frames = np.zeros((1, 10, *net.input_shape), dtype=np.uint8)             # doctest: +SKIP
    >>> sp.simulate(net, frames).classes()                                       # doctest: +SKIP
    array([-1])

A network from elsewhere:
    load_graph, convert -> SpikingGraph; quantize -> CompiledNetwork; load_network -> CompiledNetwork (.net).
    adapt -> Adaptation: what cannot be compiled is distilled. check_limits -> LimitReport; simulate -> SpikeTrace;
    compare -> SpikeComparison; replay; estimate_energy -> EnergyEstimate; profile -> NetworkProfile;
    export_network -> ExportedFiles.

A run of your own:
    describe_recording; check_data -> DataCheck, or FramesCheck; list_recipe_keys; load_recipe -> Recipe;
    load_dataset -> Dataset; save_frames; run, train, open_run -> Run; predict -> FilePredictions;
    predict_stream -> PredictionStream; check -> CheckResult; profile; report; compare_runs -> RunComparison; sweep.

This machine:
    list_hardware, show_hardware, validate_hardware; list_datasets, describe_dataset, download_dataset, preview_dataset;
    install_lava, lava_info; doctor.

Values: Interval, Missing. Errors: UserError, MissingDependencyError, CheckFailedError, CannotWriteError.
`spikeport.plot` draws rasters, rates and energies.

A name is loaded when it is first used; importing the package loads neither torch nor Lava. Functions print nothing:
they take `progress`, a function that is called during long work.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spikeport.errors import CannotWriteError, CheckFailedError, MissingDependencyError, UserError
    from spikeport.export.backends.compare import SpikeComparison
    from spikeport.export.backends.divergence_case import replay
    from spikeport.export.frontends.convert import convert
    from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
    from spikeport.export.mapping.limits import LimitReport
    from spikeport.export.network.spike_trace import SpikeTrace
    from spikeport.pipeline.data.dataset import Dataset
    from spikeport.pipeline.data.own_data.check import DataCheck
    from spikeport.pipeline.data.own_data.frames_check import FramesCheck
    from spikeport.pipeline.profiling.energy.estimate import EnergyEstimate
    from spikeport.pipeline.run.recipe import Recipe
    from spikeport.pipeline.stages.adaptation import adapt
    from spikeport.pipeline.stages.adaptation_result import Adaptation
    from spikeport.pipeline.stages.check_result import CheckResult
    from spikeport.pipeline.stages.compiled_network import (
        CompiledNetwork,
        check_limits,
        load_network,
        quantize,
    )
    from spikeport.pipeline.stages.doctor import doctor
    from spikeport.pipeline.stages.export_files import ExportedFiles, export_network
    from spikeport.pipeline.stages.file_predictions import FilePredictions
    from spikeport.pipeline.stages.frames import save_frames
    from spikeport.pipeline.stages.machine import (
        describe_dataset,
        download_dataset,
        install_lava,
        lava_info,
        list_datasets,
        list_hardware,
        preview_dataset,
        show_hardware,
        validate_hardware,
    )
    from spikeport.pipeline.stages.network_check import check_network
    from spikeport.pipeline.stages.own_data import check_data, describe_recording
    from spikeport.pipeline.stages.predict import predict, predict_stream
    from spikeport.pipeline.stages.prediction_stream import PredictionStream
    from spikeport.pipeline.stages.profiles import NetworkProfile, profile
    from spikeport.pipeline.stages.recipe_keys import list_recipe_keys
    from spikeport.pipeline.stages.run_comparison import RunComparison, compare_runs
    from spikeport.pipeline.stages.run_value import Run, open_run
    from spikeport.pipeline.stages.runs import check, report, run, train
    from spikeport.pipeline.stages.settings import load_dataset, load_recipe
    from spikeport.pipeline.stages.simulation import compare, estimate_energy, simulate
    from spikeport.pipeline.sweep.sweep import sweep_recipe as sweep
    from spikeport.values import Interval, Missing

__all__ = [
    "Adaptation",
    "CannotWriteError",
    "CheckFailedError",
    "CheckResult",
    "CompiledNetwork",
    "DataCheck",
    "Dataset",
    "EnergyEstimate",
    "ExportedFiles",
    "FilePredictions",
    "FramesCheck",
    "Interval",
    "LimitReport",
    "Missing",
    "MissingDependencyError",
    "NetworkProfile",
    "PredictionStream",
    "Recipe",
    "Run",
    "RunComparison",
    "SpikeComparison",
    "SpikeTrace",
    "SpikingGraph",
    "UserError",
    "adapt",
    "check",
    "check_data",
    "check_limits",
    "check_network",
    "compare",
    "compare_runs",
    "convert",
    "describe_dataset",
    "describe_recording",
    "doctor",
    "download_dataset",
    "estimate_energy",
    "export_network",
    "install_lava",
    "lava_info",
    "list_datasets",
    "list_hardware",
    "list_recipe_keys",
    "load_dataset",
    "load_graph",
    "load_network",
    "load_recipe",
    "open_run",
    "predict",
    "predict_stream",
    "preview_dataset",
    "profile",
    "quantize",
    "replay",
    "report",
    "run",
    "save_frames",
    "show_hardware",
    "simulate",
    "sweep",
    "train",
    "validate_hardware",
]

_ERRORS, _VALUES = "errors", "values"
_STAGES, _EXPORT = "pipeline.stages", "export"
_HOMES = {
    _ERRORS: ("CannotWriteError", "CheckFailedError", "MissingDependencyError", "UserError"),
    _VALUES: ("Interval", "Missing"),
    f"{_EXPORT}.backends.compare": ("SpikeComparison",),
    f"{_EXPORT}.backends.divergence_case": ("replay",),
    f"{_EXPORT}.frontends.convert": ("convert",),
    f"{_EXPORT}.graph.spiking_graph": ("SpikingGraph", "load_graph"),
    f"{_EXPORT}.mapping.limits": ("LimitReport",),
    f"{_EXPORT}.network.spike_trace": ("SpikeTrace",),
    "pipeline.data.dataset": ("Dataset",),
    "pipeline.data.own_data.check": ("DataCheck",),
    "pipeline.data.own_data.frames_check": ("FramesCheck",),
    "pipeline.run.recipe": ("Recipe",),
    f"{_STAGES}.adaptation": ("adapt",),
    f"{_STAGES}.adaptation_result": ("Adaptation",),
    f"{_STAGES}.compiled_network": ("CompiledNetwork", "check_limits", "load_network", "quantize"),
    f"{_STAGES}.doctor": ("doctor",),
    f"{_STAGES}.export_files": ("ExportedFiles", "export_network"),
    f"{_STAGES}.file_predictions": ("FilePredictions",),
    f"{_STAGES}.frames": ("save_frames",),
    f"{_STAGES}.machine": (
        "describe_dataset", "download_dataset", "install_lava", "lava_info", "list_datasets", "list_hardware",
        "preview_dataset", "show_hardware", "validate_hardware",
    ),
    f"{_STAGES}.check_result": ("CheckResult",),
    f"{_STAGES}.network_check": ("check_network",),
    f"{_STAGES}.own_data": ("check_data", "describe_recording"),
    f"{_STAGES}.predict": ("predict", "predict_stream"),
    f"{_STAGES}.prediction_stream": ("PredictionStream",),
    f"{_STAGES}.profiles": ("NetworkProfile", "profile"),
    f"{_STAGES}.recipe_keys": ("list_recipe_keys",),
    f"{_STAGES}.run_comparison": ("RunComparison", "compare_runs"),
    f"{_STAGES}.run_value": ("Run", "open_run"),
    f"{_STAGES}.settings": ("load_dataset", "load_recipe"),
    f"{_STAGES}.runs": ("check", "report", "run", "train"),
    f"{_STAGES}.simulation": ("compare", "estimate_energy", "simulate"),
    "pipeline.profiling.energy.estimate": ("EnergyEstimate",),
}  # fmt: skip
_OTHER_NAMES = {  # public name -> module, and its name there
    "sweep": ("pipeline.sweep.sweep", "sweep_recipe"),
}


def __getattr__(name: str) -> object:
    """Loads a public name on first use (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("spikeport")
    place = _OTHER_NAMES.get(name) or next(((home, name) for home, names in _HOMES.items() if name in names), None)
    if place is None:
        raise AttributeError(f"module 'spikeport' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"spikeport.{place[0]}"), place[1])
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
