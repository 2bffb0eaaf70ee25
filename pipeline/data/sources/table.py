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
from spikeport.pipeline.run.sections.data import Data

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


def may_have_images(data: Data) -> bool:
    """Whether a recipe's data set has static images; True for one from outside the package, which nobody knows yet.

    Args:
        data: `[data]` of the recipe.
    """
    source = SOURCES.get(data.source)
    return bool(data.images) or source is None or (source.images and source.channels is None)
