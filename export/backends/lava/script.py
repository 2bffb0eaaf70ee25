"""Writes a script that runs a `.net` file in Lava without Spikeport."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

from spikeport.errors import UserError
from spikeport.export.backends.lava.schedule import one_by_one, schedule
from spikeport.export.network.integer_network import IntegerNetwork

SCRIPT_NAME = "run_in_lava.py"
_MARK = "Written by `spikeport export --script`."
_HERE = Path(__file__).parent


def lava_script(network: IntegerNetwork, net_name: str) -> str:
    """The text of a script that runs a network in Lava.

    Args:
        network: the network that the `.net` file holds.
        net_name: name of the `.net` file, which lies beside the script.

    Raises:
        UserError: the network begins with input neurons, which lava-dl drives through a data loader.
    """
    first, values = network.layers[0], network.sends_values
    if first.kind == "input" and not values:
        raise UserError("a script cannot drive input neurons", where=first.name,
                        cause="frames are their bias, which lava-dl sets through a data loader",
                        hint="run `spikeport simulate NET --backend lava`, or leave --script out")  # fmt: skip
    shims = (_HERE / "inside" / "shims.py").read_text(encoding="utf-8")
    template = Template((_HERE / f"{SCRIPT_NAME}.template").read_text(encoding="utf-8"))
    shared = values or all(layer.weight_rec is None and layer.max_delay == 0 for layer in network.layers)
    planned = schedule(network, 1) if values else one_by_one(network, 1, "")
    emptied = planned.emptied if values or not shared else ()
    return template.substitute(
        NET=re.sub(r"[^\w .-]", "_", net_name),  # in a comment
        NET_NAME=repr(net_name),
        SHAPE_TEXT=", ".join(map(str, network.input_shape)),
        INPUT_SHAPE=repr(tuple(network.input_shape)),
        LOWEST=network.input_lowest,
        LIMIT=network.input_limit,
        OUTPUT="values" if values else "spikes",
        SENT="messages" if values else "spikes",
        OUTPUT_TYPE="int32" if values else "uint8",
        BLANK=planned.period - planned.interval,
        INPUT_LAYER=repr((int(first.weight[0]), int(first.bias_map.flat[0])) if first.kind == "input" else None),
        MESSAGE_BITS=network.input_message_bits,
        READOUT=network.readout.kind,
        OVER_TIME=network.readout.over_time,
        SHARED=shared,
        EMPTIED=repr(emptied),
        SHIMS=shims[shims.index("def apply()") :].rstrip(),
    )


def is_script(file: Path) -> bool:
    """Whether `file` is a script that `lava_script` made.

    Args:
        file: an existing file.
    """
    try:
        with open(file, encoding="utf-8") as opened:
            return _MARK in opened.read(4096)
    except (OSError, UnicodeDecodeError):
        return False
