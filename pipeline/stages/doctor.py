"""Tests the installation on this machine. Nothing is changed."""

from __future__ import annotations

import sys

from spikeport.tables import Table
from spikeport.versions import versions

Row = dict[str, str]


def doctor() -> Table:
    """Tests the installation. Each backend simulates a network of known output. Nothing is changed.

    Returns:
        A row for each part: `part`, `state` (ok, missing, wrong; absent for an optional part) and `detail`.
    """
    return Table([_python(), _packages(), *_backends(), _gpu(), _energy_counters()])


def _python() -> Row:
    ok = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return _row("python", "ok" if ok else "wrong", f"{sys.version.split()[0]} (3.11 to 3.13 are supported)")


def _packages() -> Row:
    found = versions()
    missing = [name for name, version in found.items() if version == "not installed"]
    if missing:
        return _row("packages", "missing", f"{', '.join(missing)}: run `pip install spikeport` again")
    return _row("packages", "ok", ", ".join(f"{name} {found[name]}" for name in ("torch", "snntorch", "nir", "tonic")))


def _backends() -> list[Row]:
    from spikeport.export.backends.table import BACKENDS

    found = [(backend.name, backend.doctor()) for backend in BACKENDS.values()]
    return [_row(name, diagnosis.state, diagnosis.detail) for name, diagnosis in found]


def _gpu() -> Row:
    import torch

    if not torch.cuda.is_available():
        return _row("gpu", "absent", "training runs on the CPU")
    return _row("gpu", "ok", torch.cuda.get_device_name())


def _energy_counters() -> Row:
    from importlib.util import find_spec

    if find_spec("zeus") is None:
        return _row(
            "energy counters", "absent", "zeus is not installed; `pip install 'spikeport[energy]'` measures joules"
        )
    return _row("energy counters", "ok", "zeus is installed; it measures where the device has counters")


def _row(part: str, state: str, detail: str) -> Row:
    return {"part": part, "state": state, "detail": detail}
