"""The recipe's sections [check] and [profile]: comparison of backends, and energy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spikeport.hardware_profiles.schema import ActiveRule
from spikeport.pipeline.run.sections.fields import Count, Fraction, Seconds, Section, Seed


class Check(Section):
    """Comparison of the integer reference with other backends, spike by spike."""

    backends: tuple[str, ...] = Field(
        default=("lava",),
        description="backends that are compared with the reference: lava, or package.module:factory; []: none",
    )
    samples: Count = Field(
        default=0, description="test recordings that are compared, drawn by class; 0: 20, or one of each class if more"
    )
    seed: Seed = Field(default=0, description="seed of the drawn recordings")
    silent_max: Fraction = Field(
        default=1.0, description="train and run exit with 1 if more of the test recordings have no output spike"
    )
    timeout_s: Seconds = Field(default=1800.0, description="time after which a backend is stopped, in seconds")


class Profile(Section):
    """Devices and counts of the energy estimate."""

    hardware: tuple[str, ...] = Field(
        default=("loihi1", "loihi2", "cmos45-fp32"), description="ids of the hardware profiles"
    )
    baseline_gpu: str = Field(
        default="a100", description="GPU whose modeled time and energy are listed beside the measured CPU; none: no GPU"
    )
    active_rule: Literal["", ActiveRule] = Field(
        default="", description='which neuron updates count as active; "": as in each hardware profile'
    )
    per_step: bool = Field(default=False, description="also count every time step by itself, in steps.csv")
    baseline_seconds: Seconds = Field(
        default=2.0, description="time to measure each batch size, for all networks of the baseline together"
    )
