"""Entry point of the command `spikeport`. Signals are handled before the first library is loaded."""

from __future__ import annotations

import sys

from spikeport import exits


def main() -> None:
    """Runs the command and exits the process with its exit code."""
    sys.exit(exits.exit_code_of(_command))


def _command() -> None:
    from spikeport.pipeline.cli.app import app

    app()
