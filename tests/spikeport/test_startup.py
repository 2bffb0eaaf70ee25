"""What is set while large libraries come in, and that it is as before afterwards."""

from __future__ import annotations

import gc

import pytest

from spikeport._startup import paused_gc


def test_the_collector_rests_and_works_on() -> None:
    frozen = gc.get_freeze_count()
    try:
        with paused_gc():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > frozen
        with pytest.raises(ImportError), paused_gc():
            raise ImportError("a part is missing")
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_who_switched_it_off_keeps_it_so() -> None:
    gc.disable()
    try:
        with paused_gc():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
