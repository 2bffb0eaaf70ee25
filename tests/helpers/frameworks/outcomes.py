"""What becomes of every framework's file: loaded, quantized and simulated, against what the framework gave out."""

from __future__ import annotations

import functools
import gzip
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nir_oracle import run_nir

from spikeport.errors import UserError
from spikeport.export.backends.reference.simulate import simulate
from spikeport.export.calibration.float_simulator import run_float
from spikeport.export.calibration.own_resets import layer_resets
from spikeport.export.graph.frameworks import FRAMEWORKS as TABLE
from spikeport.export.graph.reset import ResetError
from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
from spikeport.export.quantization.quantize import quantize

FILES = Path(__file__).resolve().parent / "files"
FLOAT32_NOISE = 1e-3  # share of places at which a framework's float32 may part from float64 at the threshold
FRAMEWORKS = ("snntorch", "norse", "sinabs", "spikingjelly", "rockpool", "spyx", "nengo", "nirtorch")
CONVENTIONS = ("dt_s", "reset", "if_gain", "framework")  # of the metadata of a case; others are a user's choices


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """`result`:

    "exact": each output of the integer network is the framework's. "rounding": the file executed in float64 by
    nir_oracle is the framework, to float32 noise; the integer network differs where decays or weights were rounded.
    "another network": the file itself, executed in float64, is not what the framework ran. "refused": by the exporter
    to netx. "needs adapt": refused for the reset of the framework alone. "not exported": by the framework.

    Shares of output places (spikes) or of the largest voltage (membranes) that differ: `file` between float64 and the
    framework, `chip` between the integer network and float64, `both` between the integer network and the framework.
    `own`: where it needs adapt, between the framework and a float run of the file with the framework's own reset.
    `places`, `fired`: how much was compared. `why`: the refusal, or what the framework's exporter said.
    """

    result: str
    file: float = 0.0
    chip: float = 0.0
    both: float = 0.0
    own: float = 0.0
    places: int = 0
    fired: int = 0
    cause: str = ""


def frameworks() -> dict[str, dict[str, Any]]:
    """Versions and cases by framework, as the make_*.py scripts left them."""
    return {name: json.loads((FILES / f"{name}.json").read_text()) for name in FRAMEWORKS}


def cases() -> dict[str, dict[str, Any]]:
    """Every case by its name."""
    return {case["name"]: case for entry in frameworks().values() for case in entry["cases"]}


def graph(case: dict[str, Any]) -> SpikingGraph:
    """The case's file under its metadata. Raises UserError where it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{_kept(case)}.nir"
        path.write_bytes(gzip.decompress((FILES / f"{_kept(case)}.nir.gz").read_bytes()))
        return load_graph(path, **case["metadata"])


def by_framework(case: dict[str, Any]) -> dict[str, Any] | None:
    """The case as `--from` reads it, with `--reset zero` where its neurons were set to that against their default.

    None where nothing is left to say beside other metadata of the same file, and for files of no framework.
    """
    name = case["name"].partition("_")[0]
    chosen = {key: value for key, value in case["metadata"].items() if key not in CONVENTIONS}
    if name not in TABLE or ("files" in case and not chosen):
        return None
    reset = "zero" if TABLE[name].reset != "zero" and case["metadata"]["reset"] == "zero" else None
    return {**case, "metadata": {"framework": name, "reset": reset, **chosen}}


@functools.cache
def outcome_by_framework(name: str) -> CaseResult:
    """Runs the case of that name as `--from` reads it."""
    case = by_framework(cases()[name])
    assert case is not None
    return outcome_of(case)


@functools.cache
def outcome(name: str) -> CaseResult:
    """Runs the case of that name under its metadata."""
    return outcome_of(cases()[name])


def outcome_of(case: dict[str, Any]) -> CaseResult:
    """Runs a case under its metadata."""
    if "exporter_error" in case:
        return CaseResult(result="not exported", cause=case["exporter_error"])
    try:
        spiking = graph(case)
        network, rows = quantize(spiking)
    except ResetError as refused:
        return _with_own_reset(case, refused)
    except UserError as refused:
        return CaseResult(
            result="refused", cause=re.sub(re.escape(tempfile.gettempdir()) + r"/[^/]+/", "", str(refused))
        )
    data = np.load(FILES / f"{_kept(case)}.npz")
    theirs = data["output"].astype(np.float64)
    floats = np.stack([run_nir(spiking.nir_graph, spiking.dt_s, sample) for sample in data["frames"]])
    trace = simulate(network, data["frames"])
    if case["what"] == "membrane":
        assert trace.membrane is not None
        ours = trace.membrane / (64 * rows[-1].scale * rows[-1].divisor)
    else:
        ours = trace.spikes
    shares = [_share(case["what"], *pair) for pair in ((floats, theirs), (ours, floats), (ours, theirs))]
    result = "exact" if shares[2] == 0 else "rounding" if shares[0] <= FLOAT32_NOISE else "another network"
    file, chip, both = shares
    fired = int(theirs.sum()) if case["what"] == "spikes" else 0
    return CaseResult(result=result, file=file, chip=chip, both=both, places=theirs.size, fired=fired)


def _with_own_reset(case: dict[str, Any], refused: ResetError) -> CaseResult:
    """The result for a file whose reset the chip does not have: is at least the rest read as the framework ran it?"""
    name = case["metadata"].get("framework")
    cause = re.sub(re.escape(tempfile.gettempdir()) + r"/[^/]+/", "", str(refused))
    if name is None or case["metadata"]["reset"] is not None:
        return CaseResult(result="refused", cause=cause)
    data = np.load(FILES / f"{_kept(case)}.npz")
    spiking = graph({**case, "metadata": {**case["metadata"], "reset": "zero"}})
    ours = run_float(spiking, data["frames"], reset=layer_resets(spiking, TABLE[name].reset_of)).spikes
    theirs = data["output"]
    own = _share(case["what"], ours, theirs) if ours.size == theirs.size else 1.0  # the exporter left a layer out
    return CaseResult(result="needs adapt", own=own, places=theirs.size, fired=int(theirs.sum()), cause=cause)


def _kept(case: dict[str, Any]) -> str:
    """Name of the case's files: its own, or those of the case that it reads again."""
    return case.get("files", case["name"])


def _share(what: str, ours: np.ndarray, theirs: np.ndarray) -> float:
    ours = ours.reshape(theirs.shape)
    if what == "membrane":
        return float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    return float(np.count_nonzero(ours != theirs) / theirs.size)
