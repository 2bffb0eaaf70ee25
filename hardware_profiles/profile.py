"""Hardware profiles: one TOML file per device, validated strictly.

A number that a file omits or grades `unknown` is None, never 0. A new device needs one TOML file in `devices/` and one
line in `PROFILES`.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from spikeport.errors import UserError
from spikeport.hardware_profiles.constants import Constant, EnergyConstant, Part
from spikeport.hardware_profiles.gpu import Gpu
from spikeport.hardware_profiles.published import Published
from spikeport.hardware_profiles.schema import (
    Accounting,
    Device,
    LatencyModel,
    Limits,
    Memory,
    Overhead,
    Static,
)
from spikeport.paths import expanded
from spikeport.pydantic_errors import explain, tuples
from spikeport.regular_files import read_small

# Ids of the profiles in `devices/`.
PROFILES = (
    "loihi1",
    "loihi1-sanafe",
    "loihi2",
    "truenorth",
    "truenorth-all-in",
    "odin",
    "spinnaker2",
    "speck",
    "akida1000",
    "cmos45-fp32",
    "cmos45-fp16",
    "cmos45-int8",
    "cmos45-int32",
    "cmos45-lemaire",
    "v100",
    "a100",
    "h100",
    "h200",
    "t4",
    "orin-nano",
    "orin-nano-super",
    "xavier-nx",
    "jetson-agx-orin",
    "jetson-tx1",
    "quadro-k4000",
)

# Operations whose energy a [memory] section already includes.
MEMORY_CONTAINS = (
    *("neuron_active", "neuron_inactive", "neuron_event"),
    *("weight_read_byte", "state_read_byte", "state_write_byte"),
)


class _ProfileFile(Part):
    format: Literal["snn-energy-profile/1"] = Field(alias="schema")
    device: Device
    accounting: Accounting
    energy: tuple[EnergyConstant, ...] = ()
    static: Static = Static()
    overhead: Overhead = Overhead()
    latency: LatencyModel = LatencyModel(model="unknown")
    limits: Limits = Limits()
    memory: Memory | None = None
    gpu: Gpu | None = None
    published: tuple[Published, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> _ProfileFile:
        repeated = [op for op, count in Counter(entry.op for entry in self.energy).items() if count > 1]
        if repeated:
            raise ValueError(f"energy of {repeated[0]} is given twice")
        if (self.device.kind == "gpu") != (self.gpu is not None):
            raise ValueError("a [gpu] section belongs to kind = 'gpu', and only there")
        if self.accounting.scope == "all_in":
            extra: list[str] = [entry.op for entry in self.energy if entry.op != "synop"]
            extra += ["static"] if self.static != Static() else []
            if extra:
                raise ValueError(f"scope 'all_in' already contains {', '.join(extra)}; adding it would count it twice")
            if str(self.device.operating_point) == "not stated":
                raise ValueError("scope 'all_in' holds at one operating point only: state device.operating_point")
        if self.memory is not None:
            self._check_memory()
        return self

    def _check_memory(self) -> None:
        if self.accounting.scope == "all_in":
            raise ValueError("scope 'all_in' already contains memory; adding [memory] would count it twice")
        known_ops = {entry.op for entry in self.energy if entry.value is not None}
        missing = [op for op in ("add", "mul") if op not in known_ops]
        if missing:
            raise ValueError(f"[memory] needs the energy of {' and '.join(missing)}")
        twice = [entry.op for entry in self.energy if entry.op in MEMORY_CONTAINS]
        if twice:
            raise ValueError(
                f"[memory] computes the energy of neurons from their work: {', '.join(twice)} would count it twice"
            )


@dataclass(frozen=True, kw_only=True)
class HardwareProfile:
    """Constants of a device.

    Attributes:
        file: name of the TOML file.
        sha256: checksum of the TOML file.
        device: what the device is.
        accounting: how counts become operations.
        energy: energy per operation, pJ.
        static: static power.
        overhead: fixed energy and power of a step, an inference and the host.
        latency: duration of a step.
        limits: capacities and number formats.
        memory: energy of memory accesses; None if the profile does not model them.
        gpu: power and peak throughput of a GPU; None for other devices.
        published: published measurements, for validation.
    """

    file: str
    sha256: str
    device: Device
    accounting: Accounting
    energy: tuple[EnergyConstant, ...]
    static: Static
    overhead: Overhead
    latency: LatencyModel
    limits: Limits
    memory: Memory | None
    gpu: Gpu | None
    published: tuple[Published, ...]

    def constant(self, *ops: str) -> EnergyConstant | None:
        """Energy of the first operation in `ops` whose energy is known, in pJ; None if none is known."""
        known = {entry.op: entry for entry in self.energy if entry.value is not None}
        return next((known[op] for op in ops if op in known), None)

    def energy_per_operation(self, *ops: str) -> EnergyConstant:
        """As `constant`, but raises LookupError if no energy is known."""
        found = self.constant(*ops)
        if found is None:
            raise LookupError(f"{self.device.id} has no energy per operation for {' or '.join(ops)}")
        return found

    @property
    def unknown_terms(self) -> tuple[str, ...]:
        """Names of the terms of the total energy without a known number."""
        if self.device.kind == "gpu" or self.accounting.scope == "all_in":
            return ()
        neuron = (
            ("neuron_event",) if self.accounting.neuron_update == "on_event" else ("neuron_active", "neuron_inactive")
        )
        missing = [] if self.constant("synop", "synop_dense", "synop_conv") else ["synop"]
        missing += [op for op in neuron if not self.constant(op) and self.memory is None]
        missing += [] if self.constant("spike_local", "message_out") else ["routing"]
        missing += [] if known(self.static.per_chip_mw) or known(self.static.per_core_mw) else ["static"]
        missing += ["latency"] if self.latency.model in ("unknown", "throughput") else []
        return tuple(missing)


def known(constant: Constant | None) -> Constant | None:
    """`constant` if its value is known, else None.

    Args:
        constant: a constant of a profile; None if the profile has no such constant.
    """
    return constant if constant is not None and constant.value is not None else None


def list_profiles() -> tuple[str, ...]:
    """Ids of the profiles that are part of Spikeport."""
    return PROFILES


def load_profile(id_or_path: str | os.PathLike[str]) -> HardwareProfile:
    """Reads a hardware profile.

    Args:
        id_or_path: id of a profile of Spikeport, or path of a .toml file.

    Raises:
        UserError: there is no such profile, or the file is not valid. The message names the key.
    """
    name = os.fspath(id_or_path)
    if name in PROFILES:
        path = Path(__file__).parent / "devices" / f"{name}.toml"
    elif name.endswith(".toml") or os.sep in name:
        path = Path(expanded(name))
    else:
        raise UserError(
            f"hardware profile {name!r} is unknown",
            hint=f"choose one of {', '.join(PROFILES)}, or name a .toml file of your own",
        )
    try:
        content = read_small(path)
        values = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise UserError(
            "cannot read this hardware profile",
            where=name,
            cause=error.strerror or "",
            hint=f"name an existing file, or one of {', '.join(PROFILES)}",
        ) from error
    except UserError:
        raise
    except (ValueError, RecursionError) as error:  # TOML, UTF-8, digits or nesting
        raise UserError("this is not a TOML file", where=name, cause=str(error), hint="see loihi1.toml") from error
    try:
        parsed = _ProfileFile.model_validate(tuples(values))
    except ValidationError as error:
        raise UserError(
            explain(error, values), where=name, hint="correct the file; loihi1.toml is an example"
        ) from None
    sections = {key: getattr(parsed, key) for key in _ProfileFile.model_fields if key != "format"}
    return HardwareProfile(file=path.name, sha256=hashlib.sha256(content).hexdigest(), **sections)
