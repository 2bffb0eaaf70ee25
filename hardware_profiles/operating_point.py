"""Conditions under which the energies of a hardware profile hold."""

from __future__ import annotations

from pydantic import Field

from spikeport.hardware_profiles.constants import Amount, Part


class OperatingPoint(Part):
    """Operating point of the energies: supply voltage, temperature, clock, and the measured network's firing rate."""

    vdd_v: Amount | None = Field(default=None, alias="vdd_V")
    temp_c: float | None = Field(default=None, alias="temp_C")
    clock_hz: Amount | None = Field(default=None, alias="clock_Hz")
    rate_hz: Amount | None = Field(default=None, alias="rate_Hz")
    synapses_per_neuron: Amount | None = None

    def __str__(self) -> str:
        stated = [
            f"{value:g} {unit}"
            for value, unit in (
                (self.vdd_v, "V"),
                (self.temp_c, "degrees C"),
                (self.clock_hz, "Hz clock"),
                (self.rate_hz, "Hz firing"),
                (self.synapses_per_neuron, "synapses per neuron"),
            )
            if value is not None
        ]
        return ", ".join(stated) or "not stated"
