"""Exit codes and last lines of the command: after a signal, a user's mistake, or a bug of Spikeport.

A signal raises an exception in the main thread, so that child processes and files are cleaned up. During an import,
which would swallow the exception, and when the cleanup takes too long, the process exits at once. Its child processes
notice that and exit too.
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
LEAST_ADDRESS_SPACE = 576 << 20  # below it numba, LLVM and OpenBLAS abort without a message, or hang
FREE_ADDRESS_SPACE = 4 << 30
LIGHT = ("", "hardware", "report", "compare", "lava", "recipe")  # verbs that load none of these
RESUMING = ("run", "train", "sweep")  # verbs that have --resume
_RESUME_HINT = "the same command with --resume continues from here"
GRACE_S = 15.0  # what ends in order has ended by then
REPEAT_S = 1.0  # `timeout` and terminals send a signal twice; one that comes later is meant
STARTED_BY = "SPIKEPORT_STARTED_BY"  # in the environment of commands that a command starts: its process id

_signal: signal.Signals | None = None
_signal_at = 0.0
_verb = ""
_reported = False
_changed_inputs: list[str] = []  # inputs that were changed by hand, as error lines
_started_here = False


class Stopped(KeyboardInterrupt):
    """SIGINT, SIGTERM or SIGHUP came. What answers Ctrl-C answers this."""


def set_verb(verb: str) -> None:
    """Sets the verb of this command; hints of later errors depend on it.

    Raises:
        UserError: the process may not map enough memory to load the libraries that the verb needs.
    """
    global _verb
    _verb = verb
    limit = address_space()
    if verb not in LIGHT and limit is not None and limit < LEAST_ADDRESS_SPACE:
        raise UserError(
            f"this process may take {limit >> 20} MiB of address space, and its libraries alone take "
            f"{LEAST_ADDRESS_SPACE >> 20} MiB",
            hint="raise the limit (ulimit -v)",
        )


def note_changed_input(error: UserError) -> None:
    """Records that an input was changed by hand.

    The command continues. If it fails later in an unforeseen way, `error` is printed instead of a traceback.
    """
    _changed_inputs.append(str(error))


def limit_blas_threads() -> None:
    """Limits OpenBLAS to one thread where the address space is small. Call it before NumPy is imported.

    Otherwise OpenBLAS searches for memory for its threads for ever.
    """
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


def exit_code_of(work: Callable[[], object]) -> int:
    """Runs a command and reports its end on standard error.

    Args:
        work: the command.

    Returns:
        The exit code of the process: 128 + signal after a signal, `exit_code` of a UserError, 2 where memory ran out,
        70 with a traceback for an unforeseen error.
    """
    with _signals_handled():
        _exit_with_parent()
        try:
            code = _exit_code_of(work)
        except KeyboardInterrupt:
            code = 128 + signal.SIGINT
        if _signal is None:
            return code
        _print_stopped()
        return 128 + _signal


def _exit_code_of(work: Callable[[], object]) -> int:
    try:
        _run_and_flush(work)
    except UserError as error:
        if isinstance(error, CannotWriteError) and _verb in RESUMING:
            error = type(error)(
                error.message, where=error.where, cause=error.cause, hint=f"{error.hint}; {_RESUME_HINT}"
            )
        if _signal is None:
            _print_line(f"error: {error}")
        return error.exit_code
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if _signal is not None:
            return 0  # the signal caused the error
        if ran_out_of_memory(error):
            _print_line(f"error: {UserError('there is not enough memory', cause=str(error), hint=_less_memory())}")
            return UserError.exit_code
        if _changed_inputs:
            _print_line(f"error: {printable('; '.join(_changed_inputs))}")
            return UserError.exit_code
        traceback.print_exc()
        _print_line(
            f"error: this is a fault of Spikeport, not yours ({type(error).__name__}); report it with the lines above"
        )
        return OUR_BUG
    return 0


def _run_and_flush(work: Callable[[], object]) -> None:
    """Runs `work` and flushes standard output. Raises CannotWriteError for unforeseen errors of a disk."""
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
            if sys.stdout is not None:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        where = str(getattr(error, "filename", None) or "")
        raise CannotWriteError("cannot write", where=where, cause=reason, hint="make room there") from error


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out; each library has its own message."""
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
def _signals_handled() -> Iterator[None]:
    """Within it signals stop the work. Signals that are ignored already (nohup, a background job) stay ignored."""
    global _signal, _reported, _verb
    _signal, _reported, before = None, False, {}
    _verb = next((word for word in sys.argv[1:] if not word.startswith("-")), "")  # until `begin` knows it
    _changed_inputs.clear()
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, _on_signal) or signal.SIG_DFL
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _on_signal(number: int, frame: FrameType | None) -> None:
    global _signal, _signal_at
    now, first = time.monotonic(), _signal is None
    if first:
        _signal, _signal_at = signal.Signals(number), now
    if _is_importing(frame) or (not first and now - _signal_at > REPEAT_S):
        exit_now(128 + number)
    if first:
        with contextlib.suppress(RuntimeError):  # no thread can be started any more
            threading.Thread(target=_exit_after_grace, daemon=True).start()
        raise Stopped


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported: libraries swallow exceptions there, or stay half imported."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def child_environment() -> dict[str, str]:
    """Environment variables for a child process that is to exit when this process does."""
    return {STARTED_BY: str(os.getpid())}


def describe_exit(code: int) -> str:
    """The end of a child process as text, from its return code: "left with 2", "was killed by SIGKILL"."""
    if code >= 0:
        return f"left with {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


def last_error(output: Sequence[str]) -> str:
    """The last error line of a command's output, without "error: "; the last line where there is no error."""
    lines = [line.strip() for line in output if line.strip()]
    last = next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "no word")
    return last.removeprefix("error: ")


def _exit_with_parent() -> None:
    """Watches the parent process: a sweep or rank 0 that was killed cannot stop its children itself."""
    global _started_here
    starter = os.environ.pop(STARTED_BY, "")
    _started_here = starter.isdigit()
    if not _started_here:
        return

    def watch() -> None:
        while os.getppid() == int(starter):
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)
        _exit_after_grace()

    threading.Thread(target=watch, daemon=True).start()


def _exit_after_grace() -> None:
    time.sleep(GRACE_S)
    exit_now(128 + (_signal or 0))


def exit_now(code: int, error: str = "") -> NoReturn:
    """Exits at once, from any thread, without cleanup. Prints `error` first, or the signal that stopped the work."""
    with contextlib.suppress(Exception):
        if error:
            _print_line(f"error: {printable(error)}")
        elif _signal is not None:
            _print_stopped()
        if sys.stderr.isatty():
            sys.stderr.write("\x1b[?25h")  # a bar hid the cursor
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _print_stopped() -> None:
    global _reported
    if _signal is None or _reported:
        return
    _reported = True
    hint = f"; {_RESUME_HINT}" if _verb in RESUMING else ""
    _print_line(f"stopped by {_signal.name}{hint}")


def _print_line(line: str) -> None:
    """Prints on rank 0 only, and in child processes, whose output the parent reads."""
    if os.environ.get("RANK", "0") == "0" or _started_here:
        with contextlib.suppress(OSError, ValueError):  # the reader of standard error has ended
            print(line, file=sys.stderr, flush=True)
