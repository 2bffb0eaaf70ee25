"""The table of backends, and how a name becomes a backend."""

from __future__ import annotations

from spikeport.errors import UserError
from spikeport.export.backends.base import Backend
from spikeport.export.backends.lava.backend import LavaBackend
from spikeport.export.backends.reference.backend import ReferenceBackend
from spikeport.factory import call_factory, is_factory

BACKENDS: dict[str, Backend] = {backend.name: backend for backend in (ReferenceBackend(), LavaBackend())}


def backend_of(name: str | Backend) -> Backend:
    """The backend of a name; a backend itself is returned unchanged.

    Args:
        name: a key of `BACKENDS`, or `package.module:factory`, where `factory()` returns a backend.

    Raises:
        UserError: there is no such backend, or the factory returns something else.

    >>> backend_of("reference").name
    'reference'
    """
    if not isinstance(name, str):
        return name
    if name in BACKENDS:
        return BACKENDS[name]
    hint = f"use {' or '.join(BACKENDS)}, or package.module:factory, where factory() returns a backend"
    if not is_factory(name):
        raise UserError(f"{name!r} is not a backend", where="backend", hint=hint)
    found = call_factory(name, "backend", hint=hint)
    if not isinstance(found, Backend):
        raise UserError(f"{name}() returned a {type(found).__name__}, which is not a backend", where="backend",
                        cause="a backend has name, version, check, simulate and doctor", hint=hint)  # fmt: skip
    return found
