"""Repairs that Lava 0.10.0 and lava-dl 0.6.0 need on Python 3.11 or newer. Runs in Lava's environment only.

No repair changes Lava's arithmetic: three concern imports, one an argument that NumPy renamed.
"""

import dataclasses
import functools
import importlib
import importlib.util
import sys
import types


def apply() -> None:
    """Makes `import lava.lib.dl.netx` work. Call once, before it."""
    _hashable_encoders()
    _without_torch()
    _without_slayer()
    _reshape_by_shape()


def _hashable_encoders() -> None:
    """Lava uses unhashable dataclass instances as defaults, which dataclasses refuse from Python 3.11 on."""
    original = dataclasses.dataclass

    def dataclass(cls=None, **options):
        def decorate(target):
            if target.__module__ == "lava.magma.compiler.var_model":
                options.setdefault("unsafe_hash", True)
            return original(target, **options)

        return decorate if cls is None else decorate(cls)

    dataclasses.dataclass = dataclass
    try:
        importlib.import_module("lava.magma.compiler.var_model")
    finally:
        dataclasses.dataclass = original


def _without_torch() -> None:
    """netx imports torch for one class that no .net file needs."""
    if importlib.util.find_spec("torch") is not None:
        return
    torch, nn = types.ModuleType("torch"), types.ModuleType("torch.nn")
    nn.Module = type("Module", (), {})
    torch.Tensor = type("Tensor", (), {})
    torch.tensor = None
    torch.nn = nn
    sys.modules["torch"], sys.modules["torch.nn"] = torch, nn


def _without_slayer() -> None:
    """netx imports SLAYER for resonate-and-fire parameters, and SLAYER imports torchvision."""
    names = ("lava.lib.dl.slayer", "lava.lib.dl.slayer.neuron", "lava.lib.dl.slayer.neuron.rf")
    for name in names:
        sys.modules[name] = types.ModuleType(name)

    def neuron_params(*_):
        raise NotImplementedError("resonate-and-fire neurons need SLAYER, which this environment leaves out")

    sys.modules[names[-1]].neuron_params = neuron_params


def _reshape_by_shape() -> None:
    """NumPy 2.4 dropped `newshape`, which Lava's reshape port (flatten) passes."""
    import numpy as np
    from lava.magma.core.process.ports.ports import ReshapePort

    ReshapePort.get_transform_func_fwd = lambda port: functools.partial(np.reshape, shape=port.shape)
    ReshapePort.get_transform_func_bwd = lambda port: functools.partial(np.reshape, shape=port.old_shape)
    if tuple(int(part) for part in np.__version__.split(".")[:2]) < (2, 1):
        ReshapePort.get_transform_func_fwd = lambda port: functools.partial(np.reshape, newshape=port.shape)
        ReshapePort.get_transform_func_bwd = lambda port: functools.partial(np.reshape, newshape=port.old_shape)
