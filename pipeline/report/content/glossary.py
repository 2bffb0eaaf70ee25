"""Terms of the report with their meaning. Sources stand as arXiv numbers and DOIs, which pages link."""

from __future__ import annotations

TERMS = {
    "Synaptic operation": "a spike that reaches one synapse; one spike with 100 outgoing synapses causes 100. "
    "NeuroBench calls those through weights other than zero effective (arXiv 2304.04640).",
    "Dense operations": "the synaptic operations if every neuron fired at every time step.",
    "MAC": "multiply-accumulate, the operation of an ANN. One dense pass counts one for each synapse.",
    "Neuron update": "the work of one neuron in one time step. It is active if something happens to the neuron; "
    "devices define this differently.",
    "Message": "a spike on its way to one core that holds some of its synapses.",
    "Dynamic energy": "energy of the counted operations: synapses, neuron updates, messages.",
    "Static energy": "power that a chip draws in any case, times the time that it is on.",
    "Energy-delay product": "total energy times the time of one inference. Lower is better in both.",
    "Measured": "read from an instrument or a clock.",
    "Modeled": "counted operations times published constants. The interval has all constants at their low ends and all "
    "at their high ends; it is no confidence interval.",
    "Simulated": "computed by a program that acts as a camera or as a chip.",
    "Break-even": "the activity at which the spiking network takes the energy of one dense pass of an ANN.",
    "ANN of the same shape": "a network of ordinary neurons with the same layers and synapses as the spiking network.",
    "Wilson interval": "95 % interval of a share of recordings (Wilson 1927, 10.1080/01621459.1927.10502953).",
    "Interval of a difference": "95 % interval of two shares of the same recordings (Bonett and Price 2012, "
    "10.3102/1076998611411915).",
    "netx": "the file that Lava-DL runs on Loihi; its weights, thresholds and decays are integers.",
    "NIR": "a file format for spiking networks that many tools read (10.1038/s41467-024-52259-9).",
    "fixed_pt": "the integer arithmetic of Loihi as Lava simulates it.",
}
