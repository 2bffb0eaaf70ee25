"""The entry of the command `spikeport`: signals are heeded before the first library is loaded."""

from __future__ import annotations

import sys

from pipeline import ends


def main() -> None:
    """Runs the command and leaves with its exit code."""
    sys.exit(ends.code_of(_command))


def _command() -> None:
    from pipeline.cli import app

    app()
