"""What the tests of the reference share: both engines, and which networks they take."""

from spikeport.export.backends.reference.events import refusal

ENGINES = ("events", "dense")


def runs(network, frames, engine):
    """Whether the engine takes this network at all: sums of counts can pass what the event-driven one proves safe."""
    return engine == "dense" or not refusal(network, frames.shape[1], "cpu")
