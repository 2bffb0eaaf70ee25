"""An advisory file lock for one process at a time; the system releases it when the process ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from spikeport.errors import CannotWriteError, UserError
from spikeport.files import cannot_write


@contextlib.contextmanager
def held(lock: Path, *, busy: Callable[[], UserError | None]) -> Iterator[int]:
    """Holds a lock within the block.

    Args:
        lock: the lock file; created if it does not exist.
        busy: called while another process holds the lock. It returns the error to raise, or None to wait.

    Yields:
        The lock's file descriptor. A child process that inherits it holds the lock too.

    Raises:
        CannotWriteError: the lock file cannot be created.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        opened = open(lock, "w")  # noqa: SIM115  # closed below
    except OSError as error:
        raise cannot_write(lock.parent, error.strerror or "") from error
    with opened:
        try:
            import fcntl
        except ImportError:  # Windows: no advisory lock, one user at a time by agreement
            yield opened.fileno()
            return
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            refusal = busy()
            if refusal is not None:
                raise refusal from None
            fcntl.flock(opened, fcntl.LOCK_EX)
        except OSError as error:
            raise CannotWriteError("cannot lock this", where=str(lock), cause=error.strerror or "",
                                   hint="choose a folder on another disk") from error  # fmt: skip
        yield opened.fileno()
