"""Writes docs/reference/compatibility.md from what becomes of the files and nodes here.

Command: python tests/helpers/frameworks/table.py

With `--check` it writes nothing and fails where the page is not what it would write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "reference" / "compatibility.md"
TRAINED = ROOT / "docs" / "results" / "typical_networks.txt"  # of benchmarks/typical_networks.py
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers")]

from frameworks import net_files, nodes, outcomes, typical  # noqa: E402  the two folders above come first

from spikeport.export.backends.lava.environment import LAVA_DL, LAVA_NC  # noqa: E402

NAMES = {
    "snntorch": "snnTorch",
    "norse": "Norse",
    "sinabs": "Sinabs",
    "spikingjelly": "SpikingJelly",
    "rockpool": "Rockpool",
    "spyx": "Spyx",
    "nengo": "Nengo",
    "nirtorch": "nirtorch with a module map of one's own",
}
ADVICE = {
    "snntorch": "Its neurons subtract the threshold by default: train with `reset_mechanism=\"zero\"` (and "
    "`reset_delay=False` for `Synaptic` and `RLeaky`) and say `--reset zero`, or adapt. Where its exporter fails, hand "
    "the module over: `spikeport export package.module:factory --from snntorch --input-shape N`.",
    "norse": "Resets to zero. Its exporter multiplies tau by its argument `dt`, 1e-3 by default: `--from norse` takes "
    "the step for 1e-6 s where tau is below 1e-3 s. Another step than Norse's 1e-3 s needs `--dt`. Parameters must be "
    "arrays of the layer's shape, or its exporter fails.",
    "sinabs": "The defaults fire several spikes a step and subtract: train with `spike_fn=SingleSpike, "
    "reset_fn=MembraneReset()` and say `--reset zero`, or adapt. tau counts steps and decays exponentially. Call "
    "`infer_types()` before `nir.write` where there is a Conv2d.",
    "spikingjelly": "Resets to zero (its exporter refuses soft reset), and fires at v >= threshold.",
    "rockpool": "Its torch neurons always subtract, and may fire several times a step: adapt. Its time step follows "
    "from r by Lambert's W.",
    "spyx": "Its neurons always subtract, one step later (CuBaLIF in the same step): adapt. Each layer fires a step "
    "later than the chip's in logical time; the outputs compared here are moved back by that. Flatten has channels "
    "last, and the input of recurrent layers is written as entering their recurrent weights; `--from spyx` sets both "
    "right.",
    "nengo": "It has no exporter on PyPI; the files are written as the example of NIR's documentation does. "
    "`tau_ref=0`, `initial_state` 0 and a `min_voltage` far below 0 are the chip's neurons.",
    "nirtorch": "Graphs inside the graph are put in place, loops included.",
}  # fmt: skip


def main() -> None:
    text = page()
    if "--check" in sys.argv:
        if PAGE.read_text() != text:
            sys.exit(f"{PAGE.name} is old: python tests/helpers/frameworks/table.py")
    else:
        PAGE.write_text(text)


def page() -> str:
    """The whole page."""
    parts = [
        "# What can be read: frameworks and NIR nodes",
        "Written by `python tests/helpers/frameworks/table.py` from the tests of "
        "`tests/export/frontends/test_frameworks.py` and `test_net_files.py`; nothing here is typed by hand but the "
        "advice.",
        "Each row of the first tables is a small network built in its framework, exported by the framework's own NIR "
        "exporter and run by the framework itself on random spikes (`tests/helpers/frameworks/make_*.py`; "
        "`python tests/helpers/frameworks/regenerate.py` makes them again). Spikeport loads the file with the options "
        "of the row, quantizes it to 8 bits and runs the integer network in the reference.",
        "- **exact**: every output spike of the integer network is the framework's, on the recorded frames; for `.net` "
        "files every output of every layer is Lava's.\n"
        "- **within rounding**: the file executed in float64 is what the framework ran in float32 (to "
        f"{100 * outcomes.FLOAT32_NOISE:g} % of places); the integer network parts from the framework at the share of "
        "places shown (of the largest voltage where a membrane is read out), since decays were rounded to 12 bits and "
        "decayed values are truncated.\n"
        "- **another network**: the file does not say what the framework ran. The share is of places at which its "
        "float64 execution and the framework differ; no reader of the file could do better.\n"
        "- **needs adapt**: neurons of the framework reset by subtraction, which the chip cannot. All else is read "
        "as the framework ran it: a float run of the file with its own reset gives the share shown. The second "
        "command is `spikeport adapt`.\n"
        "- **refused**: Spikeport does not take it, with its own words.\n"
        "- **not exported**: the framework's exporter failed, with its own words.",
    ]
    parts += _typical()
    for name, entry in outcomes.frameworks().items():
        versions = ", ".join(f"{package} {number}" for package, number in entry["versions"].items())
        rows = [row for case in entry["cases"] if (row := _framework_row(case)) is not None]
        parts += [f"## {NAMES[name]}", f"{versions}. {ADVICE[name]}"]
        parts.append(_table(("network", "options", "what becomes of it"), rows))
    parts += [
        "## SLAYER (lava-dl)",
        f"lava-dl {LAVA_DL}, lava-nc {LAVA_NC}. Its `.net` files hold integers and all parameters: no option is "
        "needed. Each row is a file laid out as SLAYER's `export_hdf5` does (`tests/helpers/frameworks/net_files.py`), "
        "read, run in the reference on random frames, compared with what Lava's `fixed_pt` models gave for every layer "
        "and profiled. Sigma-delta neurons send values, others spikes.",
        _table(
            ("blocks", "what becomes of it", "outputs that differ from Lava", "operations per sample"),
            map(_net_row, net_files.ROWS),
        ),
        "## NIR nodes",
        "Each row is a graph of a few nodes (`tests/helpers/frameworks/nodes.py`), compiled and run against an "
        "independent "
        "execution of NIR's equations in float64 on random spikes. The words are those of `--explain` and of the "
        "refusals; the node in question is called `it`, the others `n0`, `n1`, ... in their order. Weights lie on the "
        "chip's grid, so that nothing should differ, except where a rewrite adds or scales them and 8 bits must round.",
        _table(("node", "condition", "what becomes of it", "outputs that differ"), map(_node_row, nodes.ROWS)),
    ]
    return "\n\n".join(parts) + "\n"


def _typical() -> list[str]:
    """The section of networks as guides write them."""
    found = [typical.result(name) for name in typical.names()]
    first, second = sum(one.goes for one in found), sum(one.adapted for one in found)
    rows = [(NAMES[one.framework], one.construct, one.first, one.second) for one in found]
    return [
        "## Typical networks",
        f"Networks as the frameworks' guides write them, smaller and untrained: {first} of {len(found)} go to the chip "
        f"with `spikeport export NET.nir --from FRAMEWORK` alone, {second} of the others with one more command, "
        "`spikeport adapt NET.nir --from FRAMEWORK --frames FRAMES.npz`. snnTorch's are live modules: `package.module:"
        "factory` with `--input-shape` in place of the file. The second command ran here without training (no epoch): "
        "the table shows that the network goes, not how close it comes; that takes your frames and the default "
        f"epochs. [A training on random frames](../results/{TRAINED.name}) measures it on others: {_summary()}. "
        "Networks with random weights on random frames are no task; [snnTorch's tutorial CNN]"
        "(../results/adaptation.txt) on real recordings is one. The places that differ are those between the "
        "framework's own spikes and the integer network's.",
        _table(("framework", "network", "first command", "adapt"), rows),
    ]


def _summary() -> str:
    """The last two lines of the benchmark that trains these networks: classes met, and differences to the reference."""
    return "; ".join(TRAINED.read_text().splitlines()[-2:])


OPTIONS = {"framework": "--from", "dt_s": "--dt", "reset": "--reset", "bias": "--bias", "if_gain": "--if-gain"}


def _framework_row(case: dict[str, Any]) -> tuple[str, ...] | None:
    if case["name"].startswith("nirtorch"):
        named, found = case, outcomes.outcome(case["name"])
    elif (as_read := outcomes.by_framework(case)) is not None:
        named, found = as_read, outcomes.outcome_by_framework(case["name"])
    else:
        return None
    words = [f"{OPTIONS[key]} {_plain(value)}" for key, value in named["metadata"].items() if OPTIONS.get(key)
             and value is not None]  # fmt: skip
    words += ["--allow-vector"] if named["metadata"].get("allow_vector") else []
    unit = f"of {found.places:,} voltages" if case["what"] == "membrane" else f"of {found.places:,} places"
    own = f"{100 * found.own:.2g} %" if found.own else "none"
    message = {
        "exact": f"**exact**, {found.fired:,} spikes",
        "rounding": f"**within rounding**, {100 * found.both:.2g} % {unit}",
        "another network": f"**another network**, {100 * found.file:.2g} % {unit}",
        "needs adapt": f"**needs adapt**; with its own reset in float, {own} {unit} differ",
        "refused": f"**refused**: {found.cause}",
        "not exported": f"**not exported**: `{found.cause}`",
    }[found.result]
    note = f"; {case['note']}" if case["note"] and (found.own or found.result == "another network") else ""
    return case["construct"], "" if found.result == "not exported" else f"`{' '.join(words)}`", f"{message}{note}"


def _net_row(row: net_files.NetRow) -> tuple[str, ...]:
    found = net_files.result(row)
    if found.cause:
        return row.construct, f"**refused**: {found.cause}", "", ""
    message = "**exact**" if not found.differing else "**another network**"
    return (row.construct, f"{message}, {found.sent:,} {found.sends}", f"{found.differing} of {found.places:,}",
            f"{found.operations:,.1f} {found.operation}")  # fmt: skip


def _node_row(row: nodes.Row) -> tuple[str, ...]:
    found = nodes.result(row)
    if found.cause:
        return row.node, row.condition, f"**refused**: {found.cause}", ""
    return row.node, row.condition, found.rewrite, f"{found.differing} of {found.places:,}"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
