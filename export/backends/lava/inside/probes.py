"""Two Lava processes: `Driver` writes a variable of another process in each time step, `Probe` reads one."""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Driver(AbstractProcess):
    """Writes `data[..., t]` to the connected variable at the end of time step t + 1, so that it holds from t + 2 on.

    In layer 0 this is logical step t. lava-dl drives its own input layers in this way (StateDataloader).
    """

    def __init__(self, *, data):
        super().__init__(data=data)
        self.target = RefPort(shape=data.shape[:-1])
        self.data = Var(shape=data.shape, init=data)


@implements(proc=Driver, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyDriver(PyLoihiProcessModel):
    target: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    data: np.ndarray = LavaPyType(np.ndarray, np.int32)

    def post_guard(self):
        return True

    def run_post_mgmt(self):
        self.target.write(self.data[..., self.time_step - 1])
        self.target.wait()  # until it is written


class Probe(AbstractProcess):
    """Records the connected variable at the end of each time step; `shape` is (..., time steps)."""

    def __init__(self, *, shape):
        super().__init__(shape=shape)
        self.source = RefPort(shape=shape[:-1])
        self.data = Var(shape=shape, init=0)


@implements(proc=Probe, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyProbe(PyLoihiProcessModel):
    source: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    data: np.ndarray = LavaPyType(np.ndarray, np.int32)

    def post_guard(self):
        return True

    def run_post_mgmt(self):
        self.data[..., self.time_step - 1] = self.source.read()
