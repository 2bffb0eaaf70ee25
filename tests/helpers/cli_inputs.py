"""Cli inputs that several tests use."""

import nir
import numpy as np


def one_line(err: str) -> str:
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in err
    return lines[0]


def small_graph() -> nir.NIRGraph:
    full = np.full(3, 1.0)
    return nir.NIRGraph(
        nodes={
            "input": nir.Input({"input": np.array([5])}),
            "fc": nir.Linear(np.linspace(-1, 1, 15).reshape(3, 5)),
            "lif": nir.LIF(tau=full * 2e-3, r=full * 2, v_leak=full * 0, v_threshold=full, v_reset=full * 0),
            "output": nir.Output({"output": np.array([3])}),
        },
        edges=[("input", "fc"), ("fc", "lif"), ("lif", "output")],
    )
