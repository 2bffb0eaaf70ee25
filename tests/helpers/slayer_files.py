"""Writes .net files in the layout of SLAYER's `export_hdf5`, without SLAYER."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py


def slayer_net(path: Path, *layers: dict[str, Any]) -> Path:
    """A file with these layers: the type is 'S10' (1,), weights are floats, a dictionary is a group."""
    with h5py.File(path, "w") as file:
        for index, fields in enumerate(layers):
            group = file.create_group(f"layer/{index}")
            for key, value in fields.items():
                if key == "type":
                    group.create_dataset("type", (1,), "S10", [value.encode()])
                elif isinstance(value, dict):
                    for name, inner in value.items():
                        group.create_dataset(f"{key}/{name}", data=inner)
                else:
                    group.create_dataset(key, data=value)
        file["simulation/Ts"] = 1
    return path
