"""The table of backends, the interface that they share, and a backend from outside the package."""

import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest

from spikeport.errors import UserError
from spikeport.export.backends.base import Backend, Diagnosis, Fault
from spikeport.export.backends.compare_backends import compare_backends
from spikeport.export.backends.divergence_case import replay
from spikeport.export.backends.table import BACKENDS, backend_of
from spikeport.export.formats.frames_file import write_frames
from spikeport.export.formats.netx.write import write_netx
from spikeport.export.network.integer_network import IntegerLayer, IntegerNetwork

# A backend as another package would have it: plain loops over time steps, for dense layers without delays only.
OUTSIDE = """
from dataclasses import dataclass
import numpy as np
from spikeport.export.backends.base import Diagnosis, Fault
from spikeport.export.network.spike_trace import SpikeTrace

@dataclass(frozen=True)
class PlainLoops:
    name: str = "outside:plain_loops"
    wrong_by: int = 0

    def version(self):
        return "plain loops 1"

    def check(self, network):
        return [Fault(layer=layer.name, message="only dense layers are supported", hint="use reference")
                for layer in network.layers if layer.kind != "dense"]

    def simulate(self, network, frames, *, keep_layers=False, timeout_s=None, progress=None):
        spikes = np.asarray(frames).astype(np.int64).reshape(*frames.shape[:2], -1)
        fired = []
        for layer in network.layers:
            u = v = np.zeros((len(spikes), layer.neurons), np.int64)
            out = np.zeros((*spikes.shape[:2], layer.neurons), np.int64)
            for t in range(spikes.shape[1]):
                u = np.sign(u) * (abs(u) * (4096 - layer.i_decay) // 4096) + 64 * (spikes[:, t] @ layer.weight.T)
                v = np.sign(v) * (abs(v) * (4096 - layer.v_decay) // 4096) + u + 64 * layer.bias_map
                out[:, t] = v > 64 * (layer.vth_mant + self.wrong_by)
                v = np.where(out[:, t], 0, v)
            fired.append(out.astype(np.uint8))
            spikes = out
        if progress:
            progress(len(frames), len(frames))
        return SpikeTrace(backend=self.version(), spikes=fired[-1], layer_spikes=tuple(fired) if keep_layers else None)

    def doctor(self):
        return Diagnosis(state="ok", detail="nothing to install")

def plain_loops():
    return PlainLoops()

def wrong():
    return PlainLoops("outside:wrong", 40)

def number():
    return 7
"""


@pytest.fixture
def outside(tmp_path, monkeypatch):
    (tmp_path / "outside.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "outside", raising=False)


@pytest.fixture
def network():
    rng = np.random.default_rng(3)
    first = IntegerLayer(name="a", kind="dense", weight=2 * rng.integers(-40, 60, (6, 5)), bias=rng.integers(-9, 9, 6),
                         i_decay=1500, v_decay=300, vth_mant=130, input_shape=(5,))  # fmt: skip
    second = IntegerLayer(name="b", kind="dense", weight=2 * rng.integers(-40, 60, (3, 6)), bias=None, i_decay=4096,
                          v_decay=700, vth_mant=90, input_shape=(6,))  # fmt: skip
    return IntegerNetwork(input_shape=(5,), layers=(first, second))


@pytest.fixture
def frames():
    return (np.random.default_rng(4).random((7, 9, 5)) < 0.4).astype(np.uint8)


def test_the_table_names_its_backends():
    assert list(BACKENDS) == ["reference", "lava"]
    for name, backend in BACKENDS.items():
        assert backend.name == name
        assert isinstance(backend, Backend)
        assert backend_of(name) is backend_of(backend) is backend
    assert replace(backend_of("lava"), workers=3).workers == 3


def test_the_table_loads_neither_torch_nor_lava():
    script = """
import sys
import spikeport.export.backends.table
print(sorted({"torch", "lava", "numba", "h5py"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_backend_from_outside_equals_the_reference(outside, network, frames):
    calls = []
    found = compare_backends(network, frames, ("reference", "outside:plain_loops"),
                             progress=lambda done, total: calls.append((done, total)))  # fmt: skip
    comparison = found.comparison
    assert (comparison.first, comparison.second, comparison.mismatches) == ("reference", "outside:plain_loops", 0)
    assert comparison.layers == ("a", "b")
    assert comparison.spikes_compared > 50
    assert comparison.samples == 7
    assert calls == [(7, 7)]
    assert found.trace.backend == "plain loops 1"


def test_a_wrong_backend_from_outside_is_found_and_its_case_replayed(outside, network, frames, tmp_path):
    found = compare_backends(network, frames, ("reference", "outside:wrong"), case_folder=tmp_path / "cases")
    assert found.comparison.mismatches > 0
    assert found.comparison.first_divergence.layer == "a"
    again = replay(found.case)
    assert (again.first_reproduced, again.second_reproduced) == (True, True)
    assert again.now.first_divergence == replace(found.comparison.first_divergence, sample=0)


def test_what_a_backend_cannot_execute_is_refused_with_its_reasons(outside, frames):
    kernel = np.full((2, 1, 1, 2), 4)
    conv = IntegerLayer(name="c", kind="conv", weight=kernel, bias=None, i_decay=4096, v_decay=0, vth_mant=3,
                        input_shape=(1, 1, 5))  # fmt: skip
    network = IntegerNetwork(input_shape=(1, 1, 5), layers=(conv,))
    shaped = frames.reshape(7, 9, 1, 1, 5)
    with pytest.raises(UserError, match=r"^outside:plain_loops: cannot execute this network: \(1\) c: only "):
        compare_backends(network, shaped, ("outside:plain_loops", "reference"))


@dataclass(frozen=True)
class _OutputOnly:
    """A backend that keeps no layers: the output alone is compared."""

    name: str = "output only"

    def version(self):
        return self.name

    def check(self, network) -> list[Fault]:
        return []

    def simulate(self, network, frames, *, keep_layers=False, timeout_s=None, progress=None):
        trace = BACKENDS["reference"].simulate(network, frames)
        spikes = trace.spikes.copy()
        spikes[4, 2, 1] ^= 1
        return replace(trace, spikes=spikes)

    def doctor(self) -> Diagnosis:
        return Diagnosis(state="ok", detail="")


def test_without_the_spikes_of_layers_the_output_is_compared(network, frames):
    comparison = compare_backends(network, frames, ("reference", _OutputOnly())).comparison
    assert comparison.layers == ("b",)
    assert comparison.mismatches == 1
    first = comparison.first_divergence
    assert (first.sample, first.layer, first.step, first.neuron) == (4, "b", 2, (1,))


@pytest.mark.parametrize("name", ["loihi", "nowhere_at_all:make", "outside:number", "outside:absent"])
def test_what_is_no_backend_is_refused(outside, name):
    with pytest.raises(UserError):
        backend_of(name)


def test_the_command_takes_a_backend_from_outside(outside, network, frames, tmp_path, spikeport):
    write_netx(network, tmp_path / "n.net")
    write_frames(tmp_path / "f.npz", frames, None)
    words = ("simulate", "n.net", "--input", "f.npz", "-q", "--backend")
    code, out, _ = spikeport(*words, "reference,outside:plain_loops")
    assert code == 0
    assert "reference against outside:plain_loops: 0 mismatches in" in out
    code, out, _ = spikeport(*words, "outside:plain_loops")
    assert code == 0
    assert "plain loops 1: 7 samples of 9 steps" in out
    code, _, err = spikeport(*words, "reference,outside:wrong")
    assert code == 1
    assert "spikes differ" in err
    assert spikeport(*words, "loihi")[0] == 2


def test_the_reference_answers_as_worked_out_by_hand():
    assert BACKENDS["reference"].doctor().state == "ok"


def test_values_of_a_sigma_delta_network_are_among_the_known_answers(monkeypatch):
    """Other values at the same places, of which the spikes say nothing, are a wrong answer."""
    from spikeport.export.backends.reference import backend

    network, frames, expected = next(each for each in backend.known_answers() if each[0].sends_values)
    assert [layer.neuron for layer in network.layers] == ["delta", "sigma-delta", "sigma"]
    monkeypatch.setattr(backend, "known_answers", lambda: [(network, frames, 2 * expected)])
    found = BACKENDS["reference"].doctor()
    assert (found.state, found.detail) == ("wrong", "known-answer network 'delta'")


@pytest.mark.lava
@pytest.mark.xdist_group("lava")
def test_lava_answers_as_worked_out_by_hand():
    assert BACKENDS["lava"].doctor().state == "ok"


def test_lava_checks_that_a_net_file_can_hold_the_network(network):
    assert BACKENDS["lava"].check(network) == []
    odd = replace(network.layers[0], name="a\0b")
    (fault,) = BACKENDS["lava"].check(replace(network, layers=(odd, network.layers[1])))
    assert "cannot be kept in an HDF5 file" in str(fault)
