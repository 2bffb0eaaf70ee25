"""The beginning of recipes on a few small digits, for tests that train for seconds."""

DIGITS = """
name = "small"
[data]
source = "digits"
height = 16
width = 18
steps = 5
train = 60
validation = 20
test = 20
[teacher]
epochs = 1
"""
