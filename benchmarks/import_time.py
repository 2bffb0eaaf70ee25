"""How long `import spikeport` takes, against a bare interpreter that imports NumPy. Run from anywhere:
python benchmarks/import_time.py [--repeats 15]

Each case starts a Python of its own; the cases take turns, so that other work on the machine hits all alike. The ratio
is one of medians. NumPy is what every name of the package needs at least; the package itself loads nothing before a
name is used.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time

CASES = {
    "bare interpreter": "pass",
    "import numpy": "import numpy",
    "import spikeport": "import spikeport",
    "spikeport.simulate": "import spikeport; spikeport.simulate, spikeport.load_network",
    "spikeport.load_graph": "import spikeport; spikeport.load_graph, spikeport.quantize",
    "spikeport.convert": "import spikeport; spikeport.convert",
}
BASE, TARGET = "import numpy", 1.5


def main() -> None:
    """Prints the medians and what they are times the base."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="starts of each case")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    for name in CASES:
        start(CASES[name])  # once, so that the files are in memory
    for _ in range(options.repeats):
        for name, code in CASES.items():
            seconds[name].append(start(code))
    print(f"python {platform.python_version()}, {os.cpu_count()} cores, {options.repeats} starts of each, medians")
    base = statistics.median(seconds[BASE])
    for name, each in seconds.items():
        median = statistics.median(each)
        print(f"{name:<24} {1000 * median:8.0f} ms  {median / base:6.2f} times `{BASE}`")
    ratio = statistics.median(seconds["import spikeport"]) / base
    print(f"target: at most {TARGET} times; {'met' if ratio <= TARGET else 'NOT met'}")


def start(code: str) -> float:
    """Seconds from the start of a Python that runs `code` to its end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
