"""The section [[published]] of a hardware profile: measurements of the device, to validate its constants."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from spikeport.hardware_profiles.constants import Amount, Sourced, Text
from spikeport.hardware_profiles.gpu import Precision


class Published(Sourced):
    """A published measurement of the device, with the counts to recompute it if they are published.

    Counts are per inference for units of energy and per second for units of power. They are written as factors; the
    count is their product.

    Attributes:
        workload: the network and its data.
        quantity: what was measured.
        value: the result; None if it is unknown.
        synops: synaptic operations, one list of factors per point of the workload.
        synops_if_all_fire: synaptic operations if every neuron fired in every step, if spikes are not published.
        macs: multiply-accumulates of the network, of one inference on a GPU.
        kernels: kernels that a GPU starts for a batch.
        batch: inferences of a batch on a GPU.
        precision: of the operations on a GPU.
        weight_bytes: bytes of the weights on a GPU.
        value_bytes: bytes that a GPU reads and writes for each inference.
        estimated_by: id of the profile that estimates the value, if this profile has no energies; else "".
        steps: time steps of an inference on one chip, where the board's overhead belongs to the quantity; else None.
        clock_mhz: clock frequency, MHz.
        step_synops_if_all_fire: synaptic operations of the busiest core in one step if all its sources fired.
        step_neurons: neurons of that core.
        typical_rate: firing rate at which an estimate is stated where spikes are not published.
        quantity_kind: what the value tests: a total, a slope over network size, or a time.
        role: what the row is evidence for. `independent`: no constant was taken from it. `source_of_an_end`: an end of
            an interval was taken from it, no nominal constant. `in_sample`: constants were fitted to the same
            publication.
        reason: why an estimate is known to miss the value; "" where it does not.
        tolerance: largest accepted deviation of the estimate, as a fraction of `value`.
        usable: False for a value that is documented but not used for validation.
    """

    id: Text
    workload: Text
    quantity: Text
    value: float | None = None
    unit: Literal["mJ", "uJ", "mW", "uW", "us"]
    synops: tuple[tuple[Amount, ...], ...] = ()
    synops_if_all_fire: tuple[Amount, ...] = ()
    neuron_updates: tuple[Amount, ...] = ()
    macs: Amount | None = None
    kernels: Amount | None = None
    batch: Annotated[int, Field(ge=1)] = 1
    precision: Precision = "fp32"
    weight_bytes: Amount = 0.0
    value_bytes: Amount = 0.0
    estimated_by: str = ""
    steps: Annotated[int, Field(ge=1)] | None = None
    clock_mhz: Amount | None = Field(default=None, alias="clock_MHz")
    step_synops_if_all_fire: tuple[Amount, ...] = ()
    step_neurons: Amount = 0.0
    typical_rate: Amount | None = None
    quantity_kind: Literal["total", "slope", "time"] = "total"
    role: Literal["independent", "source_of_an_end", "in_sample"] = "independent"
    reason: str = ""
    tolerance: Amount | None = None
    usable: bool = True
