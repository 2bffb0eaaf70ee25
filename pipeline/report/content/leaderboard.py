"""The columns of a NeuroBench leaderboard, as one line to paste.

Definitions are NeuroBench's (harness 2.3.0, docs/results/neurobench.txt): sparsities are shares of zero weights and of
neuron-steps without a spike; dense and effective operations are sums over all layers and time steps of a sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

HEADS = (
    "Method",
    "Accuracy",
    "Footprint (bytes)",
    "Connection sparsity",
    "Activation sparsity",
    "Dense",
    "Effective MACs",
    "Effective ACs",
)
NEEDED = ("weights", "zero_weights", "biases", "effective_synops_per_sample", "updates_active_per_sample")
NOTE = (
    "NeuroBench's columns. Footprint: weights in 8 and biases in 32-bit integers, as on the chip; NeuroBench counts "
    "the bytes of a framework's tensors. Operations are per sample, over all time steps. Accuracy: of the integer "
    "reference."
)


class LeaderboardRow(TypedDict):
    """NeuroBench's columns.

    Attributes:
        accuracy: share of recordings; None where it is not known.
        footprint_bytes: bytes of weights and biases.
        connection_sparsity: share of weights that are 0.
        activation_sparsity: share of neuron-steps without a spike.
        dense: operations of a sample if every input fired at every step.
        effective_macs: multiply-accumulates of a sample with input and weight other than 0.
        effective_acs: additions of a sample with input and weight other than 0.
        text: a line of a Markdown table with the columns HEADS.
    """

    accuracy: float | None
    footprint_bytes: int
    connection_sparsity: float
    activation_sparsity: float
    dense: int
    effective_macs: float
    effective_acs: float
    text: str


def leaderboard(name: str, layers: Sequence[Mapping[str, Any]], accuracy: float | None) -> LeaderboardRow | None:
    """The columns of one network.

    Args:
        name: name of the network.
        layers: counts of each layer, as `LayerActivity.means` gives them.
        accuracy: share of recordings; None where it is not known.

    Returns:
        The row; None for layers of an older version, which lack a count.
    """
    if not layers or any(key not in layer for layer in layers for key in NEEDED):
        return None
    weights = sum(layer["weights"] for layer in layers)
    zeros = sum(layer["zero_weights"] for layer in layers)
    updates = sum(layer["updates_active_per_sample"] + layer["updates_inactive_per_sample"] for layer in layers)
    effective = {
        kind: sum(layer["effective_synops_per_sample"] for layer in layers if layer.get("operation", "AC") == kind)
        for kind in ("MAC", "AC")
    }
    row: LeaderboardRow = {
        "accuracy": accuracy,
        "footprint_bytes": weights + 4 * sum(layer["biases"] for layer in layers),
        "connection_sparsity": zeros / weights if weights else 0.0,
        "activation_sparsity": 1 - sum(layer["spikes_per_sample"] for layer in layers) / updates,
        "dense": sum(layer["dense_ops"] for layer in layers),
        "effective_macs": effective["MAC"],
        "effective_acs": effective["AC"],
        "text": "",
    }
    cells = (
        name.replace("|", "/"),
        "unknown" if accuracy is None else f"{accuracy:.4f}",
        str(row["footprint_bytes"]),
        f"{row['connection_sparsity']:.4f}",
        f"{row['activation_sparsity']:.4f}",
        str(row["dense"]),
        f"{row['effective_macs']:.1f}",
        f"{row['effective_acs']:.1f}",
    )
    row["text"] = f"| {' | '.join(cells)} |"
    return row
