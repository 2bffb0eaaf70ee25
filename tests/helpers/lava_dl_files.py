"""Files as lava-dl's export_hdf5 writes them: type "S10" (1,), float weights, a neuron group where there is one."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np


def written_as_lava_dl(path: Path, *layers: dict[str, Any]) -> Path:
    """A .net file of these layers; a value that is a dictionary becomes a group."""
    with h5py.File(path, "w") as file:
        for index, fields in enumerate(layers):
            group = file.create_group(f"layer/{index}")
            group.create_dataset("type", (1,), "S10", [fields["type"].encode()])
            for key, value in fields.items():
                for name, inner in value.items() if isinstance(value, dict) else ():
                    group.create_dataset(f"{key}/{name}", data=inner)
                if key != "type" and not isinstance(value, dict):
                    group.create_dataset(key, data=np.asarray(value))
        file["simulation/Ts"] = 1
    return path
