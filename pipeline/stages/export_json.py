"""Results of an export in JSON values, as typed dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from spikeport.pipeline.report.content.report_json import QuantizationRow


class MetadataJson(TypedDict):
    """Properties that the exported files do not contain."""

    dt_s: float
    reset: str
    readout: str


class ExportValues(TypedDict, total=False):
    """Results of an export. The source determines which keys are present.

    Attributes:
        metadata: time step, reset and readout.
        quantization: rounding errors of each layer.
        notes: decisions of the conversion that a reader should know.
        calibration: result of the search of scales.
        check: comparison of the float and the integer network.
        nodes: conversion of each node.
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
