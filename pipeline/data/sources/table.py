"""The table of data sets that come with Spikeport; see `sources/base.py` for how to add one."""

from __future__ import annotations

from spikeport.pipeline.data.sources import (
    asldvs,
    cepdvs,
    cifar10dvs,
    class_folders,
    digits,
    dvsgesture,
    heidelberg,
    ncaltech101,
    ncars,
    nmnist,
    pokerdvs,
)

SOURCES = {
    source.name: source
    for source in (
        digits.SOURCE,
        class_folders.SOURCE,
        nmnist.SOURCE,
        ncaltech101.SOURCE,
        cifar10dvs.SOURCE,
        cepdvs.SOURCE,
        dvsgesture.SOURCE,
        ncars.SOURCE,
        asldvs.SOURCE,
        pokerdvs.SOURCE,
        heidelberg.SHD_SOURCE,
        heidelberg.SSC_SOURCE,
    )
}
