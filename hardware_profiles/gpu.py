"""The section [gpu] of a hardware profile: power and peak throughput."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spikeport.hardware_profiles.constants import Constant, Part

Precision = Literal["fp32", "tf32", "fp16", "int8"]


class Gpu(Part):
    """Power and peak throughput of a GPU, for the launch-bound model. Peaks are dense, not "sparse" ones.

    Attributes:
        p_max_w: maximum power, W.
        p_idle_w: idle power, W.
        fp32_tflops: peak of float32 without tensor cores, TFLOP/s.
        tf32_tflops: peak of float32 values whose products are rounded to 10 bits by tensor cores, TFLOP/s.
        fp16_tc_tflops: peak of float16 tensor cores, TFLOP/s.
        int8_tops: peak of int8, TOP/s.
        mem_gbps: memory bandwidth, GB/s.
    """

    p_max_w: Constant = Field(alias="p_max_W")
    p_idle_w: Constant | None = Field(default=None, alias="p_idle_W")
    fp32_tflops: Constant | None = None
    tf32_tflops: Constant | None = None
    fp16_tc_tflops: Constant | None = None
    int8_tops: Constant | None = None
    mem_gbps: Constant | None = Field(default=None, alias="mem_GBps")
    measured_via: str = ""

    def peak(self, precision: Precision) -> float | None:
        """Peak throughput in tera operations per second; None where it is not known.

        Args:
            precision: of the operations.
        """
        peak = {
            "fp32": self.fp32_tflops,
            "tf32": self.tf32_tflops,
            "fp16": self.fp16_tc_tflops,
            "int8": self.int8_tops,
        }[precision]
        return None if peak is None else peak.value
