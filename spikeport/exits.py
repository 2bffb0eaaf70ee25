"""How the command ends: by a signal, by a user's mistake, by a fault of ours; each with its words and its exit code.

A signal becomes an exception in the main thread, so that everything that was started ends in order. Where that cannot
be (an import, which would swallow it; work that does not come to an end), the process leaves at once: whatever it
started notices that and ends as well.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import NoReturn

from spikeport.errors import CannotWriteError, UserError, printable

OUR_BUG = 70  # EX_SOFTWARE of sysexits.h
LEAST_ADDRESS_SPACE = 576 << 20  # below it numba, LLVM and OpenBLAS abort without a word, or never end
FREE_ADDRESS_SPACE = 4 << 30
LIGHT = ("", "hardware", "report", "compare", "lava", "recipe")  # verbs that load none of these
RESUMING = ("run", "train", "sweep")  # verbs that have --resume
_GOES_ON = "the same command with --resume goes on from here"
GRACE_S = 15.0  # what ends in order has ended by then
REPEAT_S = 1.0  # `timeout` and terminals send a signal twice; one that comes later is meant
STARTED_BY = "SPIKEPORT_STARTED_BY"  # in the environment of commands that a command starts: its process id

_came: signal.Signals | None = None
_came_at = 0.0
_verb = ""
_reported = False
_suspects: list[str] = []  # inputs that were changed behind our back, in words
_started_here = False


class Stopped(KeyboardInterrupt):
    """SIGINT, SIGTERM or SIGHUP came. What answers Ctrl-C answers this."""


def begin(verb: str) -> None:
    """Says which verb this command is; the words at its end depend on it. Raises UserError where it cannot even load
    what it needs within the memory that this process may take."""
    global _verb
    _verb = verb
    limit = address_space()
    if verb not in LIGHT and limit is not None and limit < LEAST_ADDRESS_SPACE:
        raise UserError(
            f"this process may take {limit >> 20} MiB of address space, and its libraries alone take "
            f"{LEAST_ADDRESS_SPACE >> 20} MiB",
            hint="raise the limit (ulimit -v)",
        )


def suspect(error: UserError) -> None:
    """Notes an input that was changed by hand. It may be as good as before; where the command fails in a way that
    nobody foresaw, `error` is what is said of that."""
    _suspects.append(str(error))


def spare_address_space() -> None:
    """Before NumPy loads: under a narrow limit OpenBLAS would spin for ever in search of memory for its threads."""
    limit = address_space()
    if limit is not None and limit < FREE_ADDRESS_SPACE:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def address_space() -> int | None:
    """Bytes that this process may map, None where there is no limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def code_of(work: Callable[[], object]) -> int:
    """Does `work` and returns the process's exit code; what is to be said of its end is said on standard error.

    128 + signal where one stopped it, the error's own code for a UserError, 2 where memory ran out, 70 with a traceback
    for everything that nobody foresaw.
    """
    with _heeding():
        _end_with_starter()
        try:
            code = _code_of(work)
        except KeyboardInterrupt:
            code = 128 + signal.SIGINT
        if _came is None:
            return code
        _say_stopped()
        return 128 + _came


def _code_of(work: Callable[[], object]) -> int:
    try:
        _work_and_tell(work)
    except UserError as error:
        if isinstance(error, CannotWriteError) and _verb in RESUMING:
            error = type(error)(error.message, where=error.where, cause=error.cause, hint=f"{error.hint}; {_GOES_ON}")
        if _came is None:
            _say(f"error: {error}")
        return error.exit_code
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if _came is not None:
            return 0  # what was pulled away under the work is no fault of its own
        if ran_out_of_memory(error):
            _say(f"error: {UserError('there is not enough memory', cause=str(error), hint=_less_memory())}")
            return UserError.exit_code
        if _suspects:
            _say(f"error: {printable('; '.join(_suspects))}")
            return UserError.exit_code
        traceback.print_exc()
        _say(f"error: this is a fault of Spikeport, not yours ({type(error).__name__}); report it with the lines above")
        return OUR_BUG
    return 0


def _work_and_tell(work: Callable[[], object]) -> None:
    """Does `work`, and sees that what it printed is out. Raises CannotWriteError where a disk did not take something
    that nobody foresaw."""
    try:
        try:
            work()
        finally:
            if sys.stdout is not None:  # None where it was closed before
                sys.stdout.flush()
    except BrokenPipeError:
        raise
    except Exception as error:
        from spikeport.files import why_unwritten  # not before: it brings NumPy

        reason = None if isinstance(error, UserError) else why_unwritten(error)
        if reason is None:
            raise
        with contextlib.suppress(OSError, ValueError):  # else Python writes again as it ends, and leaves with 120
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        where = str(getattr(error, "filename", None) or "")
        raise CannotWriteError("cannot write", where=where, cause=reason, hint="make room there") from error


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; every library has words of its own for it."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    if error.__cause__ or error.__context__:
        return ran_out_of_memory(error.__cause__ or error.__context__)  # type: ignore[arg-type]
    text = str(error).lower()
    words = ("can't allocate memory", "cannot allocate memory", "out of memory", "failed to allocate memory",
             "can't start new thread", "failed to map segment", "bad allocation", "bad_alloc")  # fmt: skip
    return isinstance(error, (RuntimeError, OSError, ImportError)) and any(word in text for word in words)


def _less_memory() -> str:
    if _verb in ("run", "train", "sweep"):
        return "lower training.batch or raise training.accumulate; a teacher has teacher.batch"
    if _verb == "simulate":
        return "give a smaller --memory, such as 256M, or fewer --samples"
    return "give it fewer or smaller inputs, or a machine with more memory"


@contextlib.contextmanager
def _heeding() -> Iterator[None]:
    """Within it signals stop the work. One that this process was told to ignore (nohup, a background job) stays so."""
    global _came, _reported, _verb
    _came, _reported, before = None, False, {}
    _verb = next((word for word in sys.argv[1:] if not word.startswith("-")), "")  # until `begin` knows it
    _suspects.clear()
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, _stop) or signal.SIG_DFL
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    global _came, _came_at
    now, first = time.monotonic(), _came is None
    if first:
        _came, _came_at = signal.Signals(number), now
    if _imports(frame) or (not first and now - _came_at > REPEAT_S):
        leave(128 + number)
    if first:
        with contextlib.suppress(RuntimeError):  # no thread can be started any more
            threading.Thread(target=_insist, daemon=True).start()
        raise Stopped


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being loaded: libraries wrap imports in what swallows an exception, or half of one stays."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def started_by_this() -> dict[str, str]:
    """What to add to the environment of a command that is to end when this process does."""
    return {STARTED_BY: str(os.getpid())}


def left_with(code: int) -> str:
    """How a command that was started here ended, in words, from its return code."""
    if code >= 0:
        return f"left with {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


def last_words(said: Sequence[str]) -> str:
    """The line of what a command said that says best why it ended: its error, else its last."""
    lines = [line.strip() for line in said if line.strip()]
    last = next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "no word")
    return last.removeprefix("error: ")


def _end_with_starter() -> None:
    """A sweep or a leading rank that was killed cannot end what it started; its children see to it themselves."""
    global _started_here
    starter = os.environ.pop(STARTED_BY, "")
    _started_here = starter.isdigit()
    if not _started_here:
        return

    def watch() -> None:
        while os.getppid() == int(starter):
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)
        _insist()

    threading.Thread(target=watch, daemon=True).start()


def _insist() -> None:
    time.sleep(GRACE_S)
    leave(128 + (_came or 0))


def leave(code: int, error: str = "") -> NoReturn:
    """Leaves now, from any thread, cleaning up nothing; first says `error`, or what stopped the work."""
    with contextlib.suppress(Exception):
        if error:
            _say(f"error: {printable(error)}")
        elif _came is not None:
            _say_stopped()
        if sys.stderr.isatty():
            sys.stderr.write("\x1b[?25h")  # a bar hid the cursor
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _say_stopped() -> None:
    global _reported
    if _came is None or _reported:
        return
    _reported = True
    hint = f"; {_GOES_ON}" if _verb in RESUMING else ""
    _say(f"stopped by {_came.name}{hint}")


def _say(line: str) -> None:
    """Of processes that train together one speaks; those that it started speak to it."""
    if os.environ.get("RANK", "0") == "0" or _started_here:
        with contextlib.suppress(OSError, ValueError):  # nobody listens
            print(line, file=sys.stderr, flush=True)
