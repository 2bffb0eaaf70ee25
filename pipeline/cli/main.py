"""The entry of the command `spikeport`: signals are heeded before the first library is loaded."""

from __future__ import annotations

import sys

from spikeport import exits


def main() -> None:
    """Runs the command and leaves with its exit code."""
    sys.exit(exits.exit_code_of(_command))


def _command() -> None:
    from spikeport.pipeline.cli.app import app

    app()
