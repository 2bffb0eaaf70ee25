"""The types of what an export prints and writes as JSON, as typed dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from spikeport.pipeline.report.content.report_json import QuantizationRow


class MetadataJson(TypedDict):
    """What the files of an export do not say themselves."""

    dt_s: float
    reset: str
    readout: str


class ExportValues(TypedDict, total=False):
    """What an export found; which keys there are depends on what was exported.

    Attributes:
        metadata: time step, reset and readout.
        quantization: what quantizing each layer cost.
        notes: choices that a reader should know.
        calibration: how scales were searched.
        check: comparison of the float graph with the integers.
        nodes: what became of each node.
        layers: names of the layers of a .net file.
        limits: public limits of each device.
    """

    metadata: MetadataJson
    quantization: list[QuantizationRow]
    notes: list[str]
    calibration: Mapping[str, object]
    check: Mapping[str, object]
    nodes: list[Mapping[str, object]]
    layers: list[str]
    limits: list[Mapping[str, object]]


class ExportedJson(ExportValues):
    """`ExportedFiles` as JSON."""

    files: list[str]
