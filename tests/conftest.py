"""What several tests share: the real recordings, and one Lava process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings, MNIST and other people's networks; skips where it is absent."""
    root = Path(os.environ.get("SPIKEPORT_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"the real recordings are not here ({root}); set SPIKEPORT_SHARED_DATA to their folder")
    return root
