"""What type checkers see of the public API. Checked by mypy and, where it is installed, by pyright; never run."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import numpy as np
import snntorch
from torch import nn

import spikeport as sp

graph = sp.load_graph("cnn.nir", dt_s=1e-3, reset="zero")
assert_type(graph, sp.SpikingGraph)
assert_type(graph.dt_s, float)
live = sp.convert(nn.Sequential(nn.Linear(4, 2), snntorch.Leaky(0.5, reset_mechanism="zero")), (4,), dt_s=1e-3)
assert_type(live, sp.SpikingGraph)

frames = np.zeros((3, 10, 2, 34, 34), dtype=np.uint8)
net = sp.quantize(graph, bits=8, calibrate=frames, progress=lambda done, total: None)
assert_type(net, sp.CompiledNetwork)
assert_type(net.input_shape, tuple[int, ...])
assert_type(net.dt_s, float | None)
assert_type(net.save("cnn.net"), Path)
assert_type(sp.load_network("cnn.net"), sp.CompiledNetwork)

limits = sp.check_limits(net, "loihi1")
assert_type(limits, sp.LimitReport)
assert_type(limits.passes, bool)

trace = sp.simulate(net, frames, backend="reference")
assert_type(trace, sp.SpikeTrace)
classes: np.ndarray = trace.classes()

same = sp.compare(net, frames, backends=("reference", "lava"))
assert_type(same, sp.SpikeComparison)
assert_type(same.mismatches, int)

recipe = sp.load_recipe("digits", {"distillation.method": "ckd"})
assert_type(recipe, sp.Recipe)
dataset = sp.load_dataset(recipe)
assert_type(dataset, sp.Dataset)

run = sp.run(recipe, out="runs/digits", log=print)
assert_type(run, sp.Run)
assert_type(run.network, sp.CompiledNetwork)
assert_type(run.trace, sp.SpikeTrace)
assert_type(run.summary, str)
assert_type(sp.open_run("runs/digits"), sp.Run)
assert_type(sp.check(run, samples=5), sp.CheckResult)
assert_type(sp.report(run), Path)
assert_type(sp.compare_runs([run, "runs/other"]).summary, str)
