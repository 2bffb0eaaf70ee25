"""One process at a time: an advisory lock on a file, which goes with the process that holds it, however that ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from spikeport.errors import CannotWriteError, UserError
from spikeport.files import cannot_write


@contextlib.contextmanager
def held(lock: Path, *, busy: Callable[[], UserError | None]) -> Iterator[int]:
    """Holds `lock`, which is made where it is not there; gives its descriptor. A child that inherits it holds it too.

    Where another process holds it, `busy` gives the error to raise, or says that it waits and gives None. Raises
    CannotWriteError where the lock cannot be made.
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
