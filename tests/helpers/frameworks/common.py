"""What the make_*.py scripts share: numbers on the integer grid, random frames, and how a case is kept.

A case is `<framework>_<name>.nir.gz`, the file that the framework's own exporter made (gzip: HDF5 is mostly zeros),
`<framework>_<name>.npz` with the frames and what the framework itself made of them, and its line in `<framework>.json`.
Runs in the framework's environment: imports NumPy, nir and the standard library only.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import json
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np

GRID = 128  # weights are m / 128 with max |m| = 127, so that 254 / max |w| = 256 puts them on even integers


def grid(rng: np.random.Generator, *shape: int, low: int = -90, high: int = 127) -> np.ndarray:
    """Float32 weights m / 128, low <= m < high, the first of them 127 / 128: exact in float32 and on the chip."""
    values = rng.integers(low, high, shape).astype(np.float32) / GRID
    values.reshape(-1)[0] = 127 / GRID
    return values


def odd(units: int) -> float:
    """A threshold of an odd number of half weight steps: no sum of weights meets it, so > and >= fire alike."""
    assert units % 2 == 1
    return units / (2 * GRID)


def spikes(rng: np.random.Generator, *shape: int, density: float = 0.3) -> np.ndarray:
    """Random 0/1 frames `[N, T, *input_shape]`, uint8."""
    return (rng.random(shape) < density).astype(np.uint8)


class Cases:
    """The cases of one framework, written into `folder` by `save`."""

    def __init__(self, framework: str, folder: Path, packages: tuple[str, ...]) -> None:
        self.framework, self.folder = framework, folder
        self.versions = {name: importlib.metadata.version(name) for name in packages}
        self.lines: list[dict[str, Any]] = []

    def add(
        self,
        name: str,
        construct: str,
        export: Callable[[], nir.NIRGraph],
        *,
        frames: np.ndarray | None = None,
        made: np.ndarray | None = None,
        what: str = "spikes",
        dt_s: float | None = None,
        reset: str | None = "zero",
        if_gain: str | None = None,
        note: str = "",
        **options: Any,
    ) -> None:
        """Exports and keeps one case; where the exporter fails, keeps what it said.

        `made`: the framework's own output `[N, T, K]`, `what` it is ("spikes" or "membrane"). `dt_s`, `reset`,
        `if_gain`, `options`: the metadata that a user gives to `load_graph`. `note`: a word for the page.
        """
        line = {
            "name": f"{self.framework}_{name}",
            "construct": construct,
            "what": what,
            "metadata": {"dt_s": dt_s, "reset": reset, "if_gain": if_gain, **options},
            "note": note,
        }
        path = self.folder / f"{line['name']}.nir.gz"
        path.unlink(missing_ok=True)
        try:
            path.write_bytes(gzip.compress(_written(export()), mtime=0))
        except Exception as error:  # any kind: what a user of that exporter would see
            first = (str(error).strip().splitlines() or [""])[0]
            line["exporter_error"] = textwrap.shorten(f"{type(error).__name__}: {first}", 160, placeholder=" ...")
        else:
            dtype = np.uint8 if what == "spikes" else np.float32
            assert frames is not None, name
            assert made is not None, name
            assert np.all(made == made.astype(dtype)), f"{name}: the output does not fit {dtype}"
            np.savez_compressed(self.folder / f"{line['name']}.npz", frames=frames, output=made.astype(dtype))
        self.lines.append(line)
        message = line.get("exporter_error") or f"{int(made.sum())} {what} in {made.shape}"
        print(f"  {line['name']}: {message}")

    def again(self, name: str, construct: str, *, of: str, note: str = "", **metadata: Any) -> None:
        """The files of the case `of` read under another metadata (only what differs is given)."""
        first = next(line for line in self.lines if line["name"] == f"{self.framework}_{of}")
        self.lines.append(
            {
                **first,
                "name": f"{self.framework}_{name}",
                "construct": construct,
                "metadata": {**first["metadata"], **metadata},
                "note": note,
                "files": first["name"],
            }
        )

    def save(self) -> None:
        """Writes `<framework>.json`: versions and cases."""
        text = json.dumps({"framework": self.framework, "versions": self.versions, "cases": self.lines}, indent=1)
        (self.folder / f"{self.framework}.json").write_text(text + "\n")


def _written(graph: nir.NIRGraph) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.nir"
        nir.write(path, graph)
        return path.read_bytes()
