# mypy: disallow-untyped-defs=False
"""Functions that numba compiles: without Python's lock, kept on disk between processes."""

from __future__ import annotations

from numba import njit


def entry_point(function, **options):
    """A function compiled at its first call, to be called from Python.

    The compiled code is kept for the next process where numba finds a folder that it may write to. It runs without
    Python's global lock, and divides as NumPy does (no exception at zero).

    Args:
        function: the function; numba infers the types of its arguments.
        options: more options of `numba.njit`.

    Returns:
        The compiled function.
    """
    try:
        return njit(nogil=True, cache=True, error_model="numpy", **options)(function)
    except RuntimeError:  # no such folder
        return njit(nogil=True, error_model="numpy", **options)(function)


def compiled(function):
    """As `entry_point`, to be called from compiled code alone, which takes a third less time to compile."""
    return entry_point(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)
