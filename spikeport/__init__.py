"""Spikeport takes a neural network to a neuromorphic chip."""
