"""Inputs that no honest user gives, made from a seed; `benchmarks/robustness.py` holds the command against them."""
