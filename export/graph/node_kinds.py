"""Which NIR nodes have a place on the chip, by what they are there."""

from __future__ import annotations

import nir

from spikeport.export.graph.shapes import POOLS

SYNAPSES = (nir.Linear, nir.Affine, nir.Conv2d)
SPIKING = (nir.LIF, nir.CubaLIF, nir.IF)
INTEGRATORS = (nir.LI, nir.CubaLI, nir.I)  # integrators without spikes, read out by their membrane
NEURONS = (*SPIKING, *INTEGRATORS)
TAKEN = (*SYNAPSES, *POOLS, *NEURONS, nir.Flatten, nir.Scale, nir.Delay, nir.Input, nir.Output)
RECURRENT_LAYERS = (nir.Linear, nir.Affine, nir.Conv2d, nir.Scale)
REFUSED: dict[type, tuple[str, str]] = {
    nir.Threshold: ("netx has no neuron without state", "use a LIF whose tau equals the time step"),
}
