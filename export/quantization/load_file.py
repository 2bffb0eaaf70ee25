"""Loads a .nir file for the chip. Its refusal names in one answer what the file does not state and what is wrong."""

from __future__ import annotations

import os
from typing import Any

from spikeport.errors import UnstatedError, UserError
from spikeport.export.graph.reset import ResetError
from spikeport.export.graph.spiking_graph import SpikingGraph, load_graph
from spikeport.export.graph.structure import faults_of, refuse
from spikeport.export.quantization.graph_faults import graph_faults
from spikeport.export.quantization.quantize import quantize

SHORT_STEP_S = 1e-9  # a time step below every time constant, where the true one is not known


def load_file(path: str | os.PathLike[str], **given: Any) -> SpikingGraph:
    """Reads a .nir file as `load_graph` does.

    Args:
        path: the file.
        given: arguments of `load_graph`.

    Raises:
        UserError: as `load_graph`; where it only asks for something, with all that would be refused behind it.
    """
    try:
        return load_graph(path, **given)
    except UserError as error:
        refuse(read_on(path, error, **given)[0])
        raise


def read_on(
    path: str | os.PathLike[str], error: UserError, **given: Any
) -> tuple[list[UserError], SpikingGraph | None]:
    """What a file lacks beyond the first refusal of `load_graph`, as far as it can be known.

    The file is read as if its neurons reset to zero, and if its time step is unknown, with a short one, for faults
    that do not depend on it.

    Args:
        path: the file.
        error: the refusal.
        given: arguments of `load_graph`.

    Returns:
        (all faults, the graph with a reset to zero; None where more is not stated than the reset).
    """
    faults = list(faults_of(error))
    if not any(isinstance(fault, UnstatedError | ResetError) for fault in faults):
        return faults, None
    graph = _tried(path, given | {"reset": "zero"})
    if graph is not None:
        found = _refused(graph)
    else:
        some = {"reset": "zero", "dt_s": SHORT_STEP_S, "if_gain": given.get("if_gain") or "per_second"}
        blind = _tried(path, given | some)
        found = [] if blind is None else graph_faults(blind, dt_known=False)
    known = {str(fault) for fault in faults}
    return [*faults, *(fault for fault in found if str(fault) not in known)], graph


def _tried(path: str | os.PathLike[str], given: dict[str, Any]) -> SpikingGraph | None:
    try:
        return load_graph(path, **given)
    except UserError:
        return None


def _refused(graph: SpikingGraph) -> list[UserError]:
    try:
        quantize(graph)
    except UserError as error:
        return list(faults_of(error))
    return []
