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
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers")]

from frameworks import nodes, outcomes  # noqa: E402  the two folders above come first

NAMES = {
    "snntorch": "snnTorch",
    "norse": "Norse",
    "sinabs": "Sinabs",
    "spikingjelly": "SpikingJelly",
    "rockpool": "Rockpool",
    "nirtorch": "nirtorch with a module map of one's own",
}
ADVICE = {
    "snntorch": "Give `reset=\"zero\"`; dt is 1e-4 s in every file, the exporter knows no other, and tau/r tells it. "
    "Train with `reset_mechanism=\"zero\"`, `Synaptic` and `RLeaky` with `reset_delay=False`. Where snnTorch's "
    "exporter fails, Spikeport's own (`spikeport.export.frontends.from_snntorch`) takes the live nn.Sequential: "
    '`to_spiking_graph(net, input_shape, dt_s).save("net.nir")`.',
    "norse": "Give `reset=\"zero\"` and export with `to_nir(..., dt=1)`: tau is then in seconds, and dt the step that "
    "Norse ran, 1e-3 s. A file made with the default `dt=1e-3` has tau a thousand times too short; dt is then 1e-6 s. "
    "Parameters must be arrays of the layer's shape.",
    "sinabs": "Give `if_gain=\"per_step\"` and, for networks of IAF alone, any dt. A LIF's tau counts steps and decays "
    "by exp(-1/tau): dt = tau (1 - exp(-1/tau)) is right where all layers share tau. Train with "
    "`spike_fn=SingleSpike, reset_fn=MembraneReset()`; the defaults fire several spikes a step and subtract, which no "
    "file tells and Loihi does not do. Call `infer_types()` before `nir.write` where there is a Conv2d.",
    "spikingjelly": "Give `reset=\"zero\"` (soft reset is refused by its exporter) and dt as given to `export_to_nir`, "
    "1e-4 s by default; IF needs it said. SpikingJelly fires at v >= threshold, Loihi at v > threshold: where weights "
    "lie on a grid that meets the threshold exactly, the two part.",
    "rockpool": "Rockpool's torch neurons reset by subtraction and may fire several times a step; neither can run on "
    "Loihi, so say `reset=\"subtract\"` and be refused. Claiming zero runs another network, by the shares below.",
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
        "`tests/export/frontends/test_frameworks.py`; nothing here is "
        "typed by hand but the advice.",
        "Each row of the first tables is a small network built in its framework, exported by the framework's own NIR "
        "exporter and run by the framework itself on random spikes (`tests/helpers/frameworks/make_*.py`; "
        "`python tests/helpers/frameworks/regenerate.py` makes them again). Spikeport loads the file under the "
        "metadata of the "
        "row (arguments of `load_graph`), quantizes it to 8 bits and runs the integer network in the reference.",
        "- **exact**: every output spike of the integer network is the framework's, on the recorded frames.\n"
        "- **within rounding**: the file executed in float64 is what the framework ran in float32 (to "
        f"{100 * outcomes.FLOAT32_NOISE:g} % of places); the integer network parts from the framework at the share of "
        "places shown (of the largest voltage where a membrane is read out), since decays were rounded to 12 bits and "
        "decayed values are truncated.\n"
        "- **another network**: the file does not say what the framework ran. The share is of places at which its "
        "float64 execution and the framework differ; no reader of the file could do better.\n"
        "- **refused**: Spikeport does not take it, with its own words.\n"
        "- **not exported**: the framework's exporter failed, with its own words.",
    ]
    for name, entry in outcomes.frameworks().items():
        versions = ", ".join(f"{package} {number}" for package, number in entry["versions"].items())
        rows = [_framework_row(case, outcomes.outcome(case["name"])) for case in entry["cases"]]
        parts += [f"## {NAMES[name]}", f"{versions}. {ADVICE[name]}"]
        parts.append(_table(("network", "metadata", "what becomes of it"), rows))
    parts += [
        "## NIR nodes",
        "Each row is a graph of a few nodes (`tests/helpers/frameworks/nodes.py`), compiled and run against an "
        "independent "
        "execution of NIR's equations in float64 on random spikes. The words are those of `--explain` and of the "
        "refusals; the node in question is called `it`, the others `n0`, `n1`, ... in their order. Weights lie on the "
        "chip's grid, so that nothing should differ, except where a rewrite adds or scales them and 8 bits must round.",
        _table(("node", "condition", "what becomes of it", "outputs that differ"), map(_node_row, nodes.ROWS)),
    ]
    return "\n\n".join(parts) + "\n"


def _framework_row(case: dict[str, Any], found: outcomes.CaseResult) -> tuple[str, ...]:
    metadata = ", ".join(f"{key}={_plain(value)}" for key, value in case["metadata"].items() if value is not None)
    unit = f"of {found.places:,} voltages" if case["what"] == "membrane" else f"of {found.places:,} places"
    message = {
        "exact": f"**exact**, {found.fired:,} spikes",
        "rounding": f"**within rounding**, {100 * found.both:.2g} % {unit}",
        "another network": f"**another network**, {100 * found.file:.2g} % {unit}",
        "refused": f"**refused**: {found.cause}",
        "not exported": f"**not exported**: `{found.cause}`",
    }[found.result]
    note = f"; {case['note']}" if case["note"] else ""
    return case["construct"], "" if found.result == "not exported" else f"`{metadata}`", f"{message}{note}"


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
