"""Recomputes the numbers of a report of a network on Loihi 1, from the files it was made of.

Written from the definitions in docs/explanation/energy.md with NumPy, tomllib and h5py alone: nothing of Spikeport is
imported, so that a fault there cannot be repeated here. It knows what its test needs: convolutions and dense layers of
spiking neurons on one chip, each layer on one core.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Values = dict[str, Any]
Z95 = 1.959963984540054
ENDS = ("low", "nominal", "high")


def read_net(path: Path) -> list[Values]:
    """Layers of a .net file: kind, weight, strides and decays."""
    with h5py.File(path) as file:
        groups = [file["layer"][key] for key in sorted(file["layer"], key=int)]
        found = []
        for group in groups:
            kind = group["type"][0].decode()
            if kind in ("conv", "dense"):
                layer = {"kind": kind, "weight": group["weight"][:].astype(np.int64)}
                layer |= {key: int(group["neuron"][key][()]) for key in ("iDecay", "vDecay", "vThMant")}
                if kind == "conv":
                    layer |= {key: group[key][:].tolist() for key in ("stride", "padding", "dilation")}
                found.append(layer)
        return found


def weight_matrix(layer: Values, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Every synapse in a dense matrix `[outputs, inputs]`: its weight, and where there is one. Output shape too."""
    weight = layer["weight"]
    if layer["kind"] == "dense":
        return weight, np.ones(weight.shape, bool), (len(weight),)
    _, height, width = shape
    outputs, _, rows, columns = weight.shape
    (down, right), (top, left), (dy, dx) = layer["stride"], layer["padding"], layer["dilation"]
    high = (height + 2 * top - dy * (rows - 1) - 1) // down + 1
    wide = (width + 2 * left - dx * (columns - 1) - 1) // right + 1
    matrix, there = (np.zeros((outputs, high, wide, *shape), kind) for kind in (np.int64, bool))
    for (y, x, j, k), _ in np.ndenumerate(np.zeros((high, wide, rows, columns))):
        row, column = y * down - top + j * dy, x * right - left + k * dx
        if 0 <= row < height and 0 <= column < width:
            matrix[:, y, x, :, row, column] = weight[:, :, j, k]
            there[:, y, x, :, row, column] = True
    size = outputs * high * wide
    return matrix.reshape(size, -1), there.reshape(size, -1), (outputs, high, wide)


def simulate(layers: list[Values], frames: np.ndarray) -> tuple[list[Values], np.ndarray]:
    """Counts of every layer and sample, and output spikes `[N, T, K]`: current and voltage decay toward zero, strict
    threshold, reset to zero."""
    samples, steps = frames.shape[:2]
    shape, spikes = frames.shape[2:], frames.reshape(samples, steps, -1).astype(np.int64)
    counts = []
    for layer in layers:
        matrix, there, shape = weight_matrix(layer, shape)
        current = np.zeros((samples, len(matrix)), np.int64)
        voltage, fired, active, held = current.copy(), [], [], []
        for step in range(steps):
            before = voltage != 0
            current = np.trunc(current * (4096 - layer["iDecay"]) / 4096).astype(np.int64)
            current += 64 * spikes[:, step] @ matrix.T
            voltage = np.trunc(voltage * (4096 - layer["vDecay"]) / 4096).astype(np.int64) + current
            spike = voltage > 64 * layer["vThMant"]
            voltage = np.where(spike, 0, voltage)
            fired.append(spike)
            active.append((spikes[:, step] @ there.T > 0) | spike)
            held.append(active[-1] | before | (current != 0))
        output = np.stack(fired, axis=1).astype(np.int64)
        events = spikes.sum(axis=1)
        counts.append(
            {
                "shape": shape, "neurons": len(matrix), "weights": layer["weight"].size, "steps": steps,
                "zeros": int((layer["weight"] == 0).sum()), "dense": int(there.sum()),
                "padded": layer["weight"][0].size * len(matrix), "events": events.sum(axis=1),
                "synops": events @ there.sum(axis=0), "effective": events @ (matrix != 0).sum(axis=0),
                "spikes": output.sum(axis=(1, 2)), "active": np.sum(active, axis=(0, 2)),
                "held": np.sum(held, axis=(0, 2)),
            }
        )  # fmt: skip
        spikes = output
    for layer in counts:
        layer["messages"] = layer["events"] + (layer["spikes"] if layer is counts[-1] else 0)
    return counts, spikes


def read_constants(path: Path) -> dict[str, np.ndarray]:
    """(low, nominal, high) of every constant of a profile that is multiplied; the barrier of one tile, ns."""
    profile = tomllib.loads(path.read_text())

    def ends(entry: Values) -> np.ndarray:
        return np.array([entry.get("low", entry["value"]), entry["value"], entry.get("high", entry["value"])])

    found = {f"energy.{entry['op']}": ends(entry) for entry in profile["energy"] if "value" in entry}
    for section in ("static", "latency", "overhead"):
        for key, entry in profile[section].items():
            if isinstance(entry, dict) and not isinstance(entry["value"], list):
                found[f"{section}.{key}"] = ends(entry)
    barrier = profile["latency"]["barrier_ns"]
    nominal, high = barrier["value"][0][1], barrier["high"][0][1]  # at one tile
    found["latency.barrier_ns"] = np.array([nominal, nominal, high], float)
    return found


def energy_of(
    counts: list[Values], constants: dict[str, np.ndarray], period_us: float, *, alone: bool = False
) -> Values:
    """Energies in pJ and times in µs, `[3, N]` each: of a stream, or of one inference alone."""
    on, off = constants["energy.neuron_active"], constants["energy.neuron_inactive"]
    steps = counts[0]["steps"] + (len(counts) - 1 if alone else 0)
    layers, times = [], []
    for layer in counts:
        updates, active = layer["neurons"] * steps, layer["active"].astype(float)
        neuron = [np.full(active.size, updates * min(on[0], off[0])), active * on[1] + (updates - active) * off[1],
                  np.full(active.size, updates * max(on[2], off[2]))]  # fmt: skip
        layers.append(
            {
                "synapse": np.outer(constants["energy.synop"], layer["synops"]),
                "neuron": np.stack(neuron),
                "routing": np.outer(constants["energy.spike_local"], layer["messages"]),
            }
        )
        worked = (layer["synops"], active, updates - active)
        ops = [constants[f"latency.{name}_ns"] for name in ("t_synop", "t_neuron_active", "t_neuron_inactive")]
        times.append(np.sum([np.outer(op, many) for op, many in zip(ops, worked, strict=True)], axis=0))
    busy, in_turn = np.max(times, axis=0), np.sum(times, axis=0)
    work = np.stack([busy[0], busy[1], in_turn[2]])
    time = (work + steps * constants["latency.barrier_ns"][:, None]) / 1e3
    dynamic = np.sum([sum(layer.values()) for layer in layers], axis=0)
    power = constants["static.per_chip_mW"][:, None]
    host_us = np.maximum(time, constants["overhead.board_step_us"][:, None] * steps)
    board = constants["energy.reset_chip"][:, None] + constants["overhead.host_mW"][:, None] * host_us * 1e3
    return {
        "layers": layers, "dynamic": dynamic, "time": time, "static": power * time * 1e3,
        "total": dynamic + power * time * 1e3, "live": dynamic + power * np.maximum(time, period_us) * 1e3,
        "duty": time / period_us,
        "board": dynamic + board,
    }  # fmt: skip


def wilson(right: int, n: int) -> Values:
    """An accuracy with its score interval."""
    share, z2 = right / n, Z95**2
    center, half = share + z2 / (2 * n), Z95 * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low, high = (center - half) / (1 + z2 / n), (center + half) / (1 + z2 / n)
    return {"value": share, "n": n, "low": low if right else 0.0, "high": high if right < n else 1.0}


def interval(values: np.ndarray, unit: float = 1e6) -> Values:
    """Means over samples by end."""
    return dict(zip(ENDS, (values.mean(axis=1) / unit).tolist(), strict=True))


def predict(spikes: np.ndarray) -> np.ndarray:
    """The output with the most spikes, the first of equals; -1 without a spike."""
    summed = spikes.sum(axis=1)
    return np.where(summed.any(axis=1), summed.argmax(axis=1), -1)


def range90(found: Values, constants: dict[str, np.ndarray], period_us: float, steps: int) -> Values:
    """Quantiles of 10,000 draws with seed 0, in the order of the report."""
    rng = np.random.default_rng(0)

    def draw(ends: np.ndarray) -> np.ndarray:
        places = rng.uniform(-1.0, 1.0, 10_000)
        return ends[1] + np.where(places < 0, ends[1] - ends[0], ends[2] - ends[1]) * places

    terms = [np.sum([layer[term].mean(axis=1) for layer in found["layers"]], axis=0) / 1e6
             for term in ("synapse", "neuron", "routing")]  # fmt: skip
    dynamic = np.sum([draw(term) for term in terms], axis=0)
    time, power = draw(found["time"].mean(axis=1)), draw(constants["static.per_chip_mW"])
    once = draw(np.zeros(3)) + draw(np.zeros(3))  # per step and per inference: not in the profile
    reset = draw(constants["energy.reset_chip"]) / 1e6
    host_us = np.maximum(time, draw(constants["overhead.board_step_us"]) * steps)
    drawn = {
        "dynamic": dynamic,
        "total": dynamic + power * time / 1e3,
        "live": dynamic + power * np.maximum(time, period_us) / 1e3,
        "board": dynamic + once + reset + draw(constants["overhead.host_mW"]) * host_us / 1e3,
    }
    quantiles = {name: np.quantile(each, (0.05, 0.95)) for name, each in drawn.items()}
    return {name: {"low": low, "high": high} for name, (low, high) in quantiles.items()} | {"draws": 10_000, "seed": 0}


def statistics(values: np.ndarray) -> Values:
    """Mean over samples with its bootstrap interval, seed 0, and quantiles."""
    rows = np.random.default_rng(0).integers(0, values.size, (10_000, values.size))
    low, high = np.percentile(values[rows].mean(axis=1), (2.5, 97.5))
    return {
        "n": values.size, "mean": values.mean(), "low": low, "high": high, "std": values.std(ddof=1),
        "p50": np.median(values), "p95": np.percentile(values, 95),
    }  # fmt: skip


def recompute(net: Path, frames: np.ndarray, labels: np.ndarray, profile: Path, dt_s: float) -> Values:
    """The numbers of report.json, in its structure."""
    layers, constants, steps = read_net(net), read_constants(profile), frames.shape[1]
    counts, spikes = simulate(layers, frames)
    period_us = 1e6 * dt_s * steps
    stream, one = (energy_of(counts, constants, period_us, alone=alone) for alone in (False, True))
    found = predict(spikes)
    classes, n = spikes.shape[2], len(labels)
    accuracy = wilson(int((found == labels).sum()), n) | {"silent": int((found < 0).sum())}
    matrix = [[int(((labels == a) & (found == b)).sum()) for b in range(classes)] for a in range(classes)]
    sizes = [int((labels == a).sum()) for a in range(classes)]
    recall = [wilson(matrix[a][a], sizes[a]) for a in range(classes)]
    updates = sum(layer["neurons"] * steps for layer in counts)
    on, off = constants["energy.neuron_active"][1], constants["energy.neuron_inactive"][1]
    macs, weights = sum(layer["dense"] for layer in counts), sum(layer["weights"] for layer in counts)
    rules = {"received_input_or_bias_or_spiked": "active", "spiked_only": "spikes", "membrane_nonzero": "held"}
    by_rule = {
        rule: (updates * off + sum(layer[key].mean() for layer in counts) * (on - off)) / 1e6
        for rule, key in rules.items()
    }
    rates = (17.755e6 / 12.5e6, (17.755e6 / 12.5e6 * 5.627e6 / 2.66e6) ** 0.5, 5.627e6 / 2.66e6)
    early = []
    for last in sorted({-(-steps * share // 5) for share in (1, 2, 3, 4)} | {steps}):
        part, output = simulate(layers, frames[:, :last])
        read = predict(output)
        value = wilson(int((read == labels).sum()), n) | {"silent": int((read < 0).sum())}
        early.append(
            {"steps": last, "accuracy": value, "dynamic_uj": interval(energy_of(part, constants, 1.0)["dynamic"])}
        )
    return {
        "dataset": {"counts": {"given": n}, "steps": steps, "dt_s": dt_s},
        "accuracy": {"reference": accuracy},
        "confusion": {
            "counts": matrix, "silent": [0] * classes,
            "recall": {"classes": recall, "macro": np.mean([each["value"] for each in recall]),
                       "majority": max(sizes) / n},
        },
        "layers": [
            {
                "shape": list(layer["shape"]), "neurons": layer["neurons"], "weights": layer["weights"],
                "spikes_per_sample": layer["spikes"].mean(),
                "rate": layer["spikes"].mean() / (layer["neurons"] * steps),
                "synops_per_sample": layer["synops"].mean(),
                "effective_synops_per_sample": layer["effective"].mean(),
                "dense_ops": layer["dense"] * steps, "naive_macs": layer["padded"] * steps,
                "updates_active_per_sample": layer["active"].mean(),
                "updates_inactive_per_sample": layer["neurons"] * steps - layer["active"].mean(),
                "messages_per_sample": layer["messages"].mean(),
                "zero_weights": layer["zeros"], "biases": 0,
            }
            for layer in counts
        ],
        "energy": [
            {
                **{f"{name}_uj": interval(stream[name]) for name in ("dynamic", "static", "total", "live", "board")},
                "latency_us": interval(one["time"], 1.0), "interval_us": interval(stream["time"], 1.0),
                "isolated_uj": interval(one["dynamic"]), "duty": interval(stream["duty"], 1.0),
                "edp_uj_us": interval(stream["total"] * one["time"]),
                "steps_to_answer": steps + len(counts) - 1, "steps_between": steps,
                "per_sample_uj": statistics(stream["dynamic"][1] / 1e6),
                "neuron_bracket_uj": {"all_inactive": updates * off / 1e6, "all_active": updates * on / 1e6},
                "neuron_by_rule_uj": by_rule,
                "layers": [{f"{term}_uj": interval(layer[term]) for term in layer} for layer in stream["layers"]],
                "range90_uj": range90(stream, constants, period_us, steps),
            }
        ],
        "early_exit": {"points": early},
        "elsewhere": {
            "microcontroller": {
                "macs": macs, "nj_per_mac": dict(zip(ENDS, rates, strict=True)),
                "energy_uj": dict(zip(ENDS, (rate * macs / 1e3 for rate in rates), strict=True)),
            }
        },
        "leaderboard": {
            "accuracy": accuracy["value"], "footprint_bytes": weights,
            "connection_sparsity": sum(layer["zeros"] for layer in counts) / weights,
            "activation_sparsity": 1 - sum(layer["spikes"].mean() for layer in counts) / updates,
            "dense": macs * steps, "effective_macs": 0,
            "effective_acs": sum(layer["effective"].mean() for layer in counts),
        },
    }  # fmt: skip
