"""The data sets, by the name that a recipe's `data.source` gives. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spikeport.pipeline.data.sources import cepdvs, cifar10dvs, class_folders, digits, dvsgesture, ncaltech101, nmnist
from spikeport.pipeline.data.sources.raw_dataset import RawDataset
from spikeport.pipeline.run.sections.data import Data
from spikeport.progress import NamedProgress


@dataclass(frozen=True, kw_only=True)
class Source:
    """How a source is loaded, and what `spikeport data list` says of it."""

    load: Callable[[Data, NamedProgress | None], RawDataset]
    about: str
    needs: str


SOURCES: dict[str, Source] = {
    "digits": Source(
        load=digits.load,
        about="1,797 handwritten digits of scikit-learn, seen by a simulated event camera making three saccades",
        needs="nothing: the digits come with scikit-learn",
    ),
    "class-folders": Source(
        load=class_folders.load,
        about="your recordings in class folders, with images by class folder or MNIST's idx files",
        needs="data.root, data.events, data.images; events as <root>/<events>/<class>/<id>.bin|npz|aedat4|...",
    ),
    "nmnist": Source(
        load=nmnist.load,
        about="N-MNIST and MNIST: digits seen in three saccades, 34 x 34, official test part",
        needs="data.root with NMNIST/Train|Test/<digit>/<id>.bin and MNIST/raw/*-ubyte.gz",
    ),
    "ncaltech101": Source(
        load=ncaltech101.load,
        about="N-Caltech101 and Caltech101: pictures of 101 classes seen in three saccades, brought to one size",
        needs="data.root with NCALTECH101/Caltech101/<class>/image_0001.bin and "
        "Caltech101/101_ObjectCategories/<class>/image_0001.jpg",
    ),
    "cifar10dvs": Source(
        load=cifar10dvs.load,
        about="CIFAR10-DVS and CIFAR-10: moved images, 128 x 128; paired by class, or by key with a file of pairs",
        needs="data.root with CIFAR10DVS/<class>/*.aedat4|aedat and CIFAR10/cifar-10-batches-bin/*.bin",
    ),
    "cepdvs": Source(
        load=cepdvs.load,
        about="CEP-DVS: pictures of 20 classes on a screen, with the pictures, paired by class and number",
        needs="data.root with CEP-DVS/events/<class>/<n>.mat and CEP-DVS/images/<class>/<n>.png",
    ),
    "dvsgesture": Source(
        load=dvsgesture.load,
        about="DVS Gesture: 11 gestures of 29 people, 128 x 128, official test part; no images: distillation off",
        needs="data.root with DVSGesture/ibmGestureTrain|ibmGestureTest/user<nn>_<light>/<class>.npy",
    ),
}
