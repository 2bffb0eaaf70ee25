"""A run folder that a report can be made of, without a training: the network is drawn, what comes after it is real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_folders import HEIGHT, WIDTH, with_pictures

from spikeport.export.formats.frames_file import write_frames
from spikeport.export.formats.netx.write import write_netx
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork
from spikeport.export.network.readout import Readout
from spikeport.pipeline.data.describe import describe
from spikeport.pipeline.data.splits.leakage import TEST_SET_DIGEST, test_set_digest
from spikeport.pipeline.profiling.profile_trace import profile_trace
from spikeport.pipeline.run.recipe import Recipe
from spikeport.pipeline.run.run_folder import create
from spikeport.pipeline.stages import deploy as stages_deploy
from spikeport.pipeline.stages import report as stages_report
from spikeport.pipeline.stages.context import Context
from spikeport.pipeline.stages.runner import record


def finished_runs(factory: pytest.TempPathFactory, *names: str) -> Path:
    """A folder with a finished run of each name, drawn by 1, 2, ..., for fixtures of a whole module. Its `cache` holds
    their recordings."""
    root = factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIKEPORT_CACHE", str(root / "cache"))
        for seed, name in enumerate(names, start=1):
            finished_folder(root, name, seed=seed)
    return root


def finished_folder(
    root: Path, name: str, *, seed: int, threshold: int = 90, readout: Readout | None = None, **reading: object
) -> Path:
    """A run in `root`/`name` of six test recordings of three classes, its network drawn by `seed`. With a high
    `threshold` it never fires. `reading` are settings of [data]. The cache is the one that SPIKEPORT_CACHE names."""
    described = with_pictures(root).model_dump() | reading
    settings = {"name": name, "data": described, "distillation": {"method": "baseline"}}
    settings["profile"] = {"baseline_seconds": 0.05}
    recipe = Recipe.model_validate(settings)
    run = create(root / name, recipe, resume=False, about={"command": "spikeport run", "versions": {}})
    context = Context(run)
    test = context.dataset.test
    tested = {"test_labels": test.labels.tolist(), TEST_SET_DIGEST: test_set_digest(context.dataset)}
    run.record("data", describe(context.dataset) | tested, (), 0.0)
    run.record("teacher", {"predicted": None, "reason": "no teacher was trained"}, (), 0.0)

    weight = 2 * np.random.default_rng(seed).integers(-20, 30, (3, 2 * HEIGHT * WIDTH))
    layer = IntegerLayer(
        name="fc",
        kind="dense",
        weight=weight,
        bias=None,
        i_decay=4096,
        v_decay=512,
        vth_mant=threshold,
        input_shape=(2, HEIGHT, WIDTH),
    )
    network = IntegerNetwork(input_shape=(2, HEIGHT, WIDTH), layers=(layer,), readout=readout or Readout())
    write_netx(network, run.file("student.net"))
    write_frames(run.file("test-frames.npz"), test.frames, test.labels)
    run.record("export", {"quantization": []}, ("student.net", "test-frames.npz"), 0.0)

    record(run, "simulate", stages_deploy.simulate(context), 0.0)
    for stage in ("student-baseline", "quantized-baseline"):
        run.record(stage, {key: run.result("simulate")[key] for key in ("predicted", "silent")}, (), 0.0)
    unchecked = dict.fromkeys(("quantized_vs_reference", "reference_vs_lava"), "left out")
    run.record("check", {"comparisons": unchecked, "predicted": {}}, (), 0.0)
    profiled = profile_trace(network, stages_deploy.trace_of(context), recipe.profile.hardware).to_json()
    run.record("profile", profiled | {"baseline": "left out"}, (), 0.0)
    record(run, "report", stages_report.report(context), 0.0)
    return run.path
