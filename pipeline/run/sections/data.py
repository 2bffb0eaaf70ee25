"""The recipe's section [data]: where recordings and images come from, how they are binned and split."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from spikeport.pipeline.run.sections.fields import (
    RECORDING,
    STEPS,
    Count,
    ExpandedPath,
    FractionBelowOne,
    FrameTime,
    Offset,
    Section,
    Seed,
    Side,
    SideOrZero,
)
from spikeport.values import Shape

Orientation = Literal[
    "as-stored", "dvs128", "mirror-x", "mirror-y", "rotate-90", "rotate-180", "rotate-270", "transpose"
]


class Data(Section):
    """Where recordings and images come from, how they are binned, and how they are split."""

    source: str = Field(default="digits", description='a named data set, or "package.module:factory" for an own one')
    root: ExpandedPath = Field(
        default="", description="folder that contains `events` and `images`, or the folders of a named set"
    )
    events: ExpandedPath = Field(
        default="",
        description="class-folders: folder of <class>/<id>.<ext>; named sets: their folder, if not the usual one",
    )
    images: ExpandedPath = Field(
        default="",
        description="class-folders: folder of images by class, or of idx files; named sets: as `events`",
    )
    test_events: ExpandedPath = Field(
        default="", description='class-folders: folder of the test recordings, as `events`; with split = "official"'
    )
    recordings: Literal["events", "frames"] = Field(
        default="events",
        description="class-folders: what a recording is: events, or ready frames (an array, or a folder of pictures)",
    )
    drop_small_classes: Count = Field(
        default=0, description="class-folders: classes with fewer recordings than this are left out; 0: none is"
    )
    pairing: Literal["id", "class"] = Field(
        default="id", description="which image a recording was made from: known by its id, or only its class"
    )
    pairs: ExpandedPath = Field(
        default="", description="cifar10dvs: CSV file below root with the image of each recording"
    )
    image_id_offset: Offset = Field(default=0, description="the image of recording <id> has the id <id> + this offset")
    orientation: Orientation = Field(
        default="as-stored", description="class-folders: how the sensor was mounted; see docs/reference/data.md"
    )
    columns: str = Field(
        default="", description='class-folders: order of the columns of arrays [N, 4] without names, for example "txyp"'
    )
    time_unit: Literal["us", "ms", "ns", "s"] = Field(
        default="us", description="class-folders: unit of the times in files that state none"
    )
    sort: bool = Field(
        default=False, description="class-folders, shd, ssc: sort events by time where a recording is out of order"
    )
    sensor: tuple[Side, Side] | tuple[()] = Field(
        default=(), description="class-folders: [width, height] of the upright sensor, if its events are scaled"
    )
    crop: tuple[SideOrZero, SideOrZero, Side, Side] | tuple[()] = Field(
        default=(), description="class-folders: [x, y, width, height] of the part of the sensor that is used"
    )
    height: Side = Field(default=34, description="rows of a frame; not read with `channels`")
    width: Side = Field(default=34, description="columns of a frame; not read with `channels`")
    channels: Side | None = Field(
        default=None,
        description="shd, ssc, own factories: channels of a one-dimensional input, in place of height and width",
    )
    steps: Annotated[int, Field(ge=1, le=STEPS)] = Field(default=10, description="time steps: frames of a recording")
    step_us: FrameTime = Field(default=30_000, description="duration of one time step in microseconds")
    window: Literal["first", "last", "centre", "whole"] = Field(
        default="first",
        description="part of a longer recording that the steps cover; whole: all of it, in steps of its own duration",
    )
    counts: Annotated[int, Field(ge=0, le=255)] = Field(
        default=0,
        description="frames count events of a pixel, up to this number (graded input, Loihi 2); 0: they are 0 and 1",
    )
    train_windows: Annotated[int, Field(ge=1, le=256)] = Field(
        default=1,
        description="windows of each training recording, evenly placed; others have one, as `window` says",
    )
    validation: Count = Field(
        default=100, description="recordings that select the epoch; 0: the weights of the last epoch are used"
    )
    test: Count = Field(default=200, description="test recordings; 0: all that train and validation leave")
    train: Count = Field(default=0, description="training recordings; 0: all that validation and test leave")
    folds: Count = Field(default=0, description="K of a K-fold test, in which `test` is not used; 0: off")
    fold: Count = Field(default=0, description="which of the folds is the test part, from 0")
    split: Literal["random", "official", "first"] = Field(
        default="random",
        description="random by class; the published test part; or in order of keys, training before test",
    )
    splits: ExpandedPath = Field(
        default="", description="CSV file below root: recording, and part (train, validation, test, unused) or group"
    )
    group: str = Field(
        default="",
        description="regular expression for the person or scene in a recording's <class>/<id>; no group is trained on "
        "and held out",
    )
    test_share: FractionBelowOne = Field(
        default=0.0, description='split = "first": share of each class that is the test part, instead of `test`'
    )
    without_recordings: bool = Field(
        default=False, description="train on no recording: all that are not validation are the test part"
    )
    split_seed: Seed = Field(default=0, description="seed of the random split and of `static_limit`")
    static_limit: Count = Field(default=0, description="largest number of static images; 0: all")

    @property
    def frame_shape(self) -> Shape:
        """Shape of a frame: `(2, height, width)`, or `(channels,)` of a one-dimensional input."""
        return (2, self.height, self.width) if self.channels is None else (self.channels,)

    @property
    def frame_size(self) -> tuple[int, int]:
        """Height and width of the places of events; a one-dimensional input is one row of channels."""
        return (self.height, self.width) if self.channels is None else (1, self.channels)

    @model_validator(mode="after")
    def _frames_are_bounded(self) -> Data:
        if (values := math.prod(self.frame_shape) * self.steps) > RECORDING:
            raise ValueError(f"height x width x steps make {values:,} values of one recording, over {RECORDING:,}")
        return self

    @model_validator(mode="after")
    def _counts_are_more_than_spikes(self) -> Data:
        if self.counts == 1:
            raise ValueError("counts = 1 is frames of 0 and 1: leave it out, or set it to 2 or more")
        return self

    @model_validator(mode="after")
    def _windows_are_cut_of_recordings(self) -> Data:
        if self.train_windows > 1 and self.window == "whole":
            raise ValueError('window = "whole" uses all of each recording: leave train_windows out, or cut windows')
        if self.train_windows > 1 and self.without_recordings:
            raise ValueError("train_windows cuts training recordings, and without_recordings trains on none")
        return self

    @model_validator(mode="after")
    def _channels_have_no_plane(self) -> Data:
        usual = type(self).model_fields
        if self.channels is not None:
            for name in ("height", "width"):
                if getattr(self, name) != usual[name].default:
                    raise ValueError(f"channels are one-dimensional: leave {name} out")
        return self

    @model_validator(mode="after")
    def _fold_is_in_range(self) -> Data:
        if self.folds == 1:
            raise ValueError("folds must be 0 (off) or at least 2")
        if self.fold >= max(self.folds, 1):
            raise ValueError(f"fold must be below folds, which is {self.folds}")
        return self

    @model_validator(mode="after")
    def _file_options_are_for_class_folders(self) -> Data:
        if self.columns and sorted(self.columns) != sorted("txyp"):
            raise ValueError(
                f'columns must name t, x, y and p in the order of the file, as in "txyp", not {self.columns!r}'
            )
        if self.source != "class-folders":
            for name, default in (
                ("orientation", "as-stored"), ("columns", ""), ("time_unit", "us"), ("sensor", ()), ("crop", ()),
                ("test_events", ""), ("recordings", "events"), ("drop_small_classes", 0),
            ):  # fmt: skip
                if getattr(self, name) != default:
                    raise ValueError(f"{name} is for source class-folders; {self.source} reads its files as they are")
            if self.sort and self.channels is None:
                raise ValueError(f"sort is for source class-folders; {self.source} reads its files as they are")
        return self

    @model_validator(mode="after")
    def _ready_frames_have_no_times(self) -> Data:
        if self.recordings == "frames":
            for name, default in (
                ("orientation", "as-stored"), ("columns", ""), ("time_unit", "us"), ("sort", False),
                ("window", "first"), ("train_windows", 1),
            ):  # fmt: skip
                if getattr(self, name) != default:
                    raise ValueError(f'{name} is for events: leave it out, or set recordings = "events"')
        return self

    @model_validator(mode="after")
    def _crop_is_on_the_sensor(self) -> Data:
        if not self.crop:
            return self
        if not self.sensor:
            raise ValueError("crop needs sensor = [width, height]")
        x, y, width, height = self.crop
        if x + width > self.sensor[0] or y + height > self.sensor[1]:
            raise ValueError(
                f"crop ends at x {x + width}, y {y + height}, outside the sensor of {self.sensor[0]} x {self.sensor[1]}"
            )
        return self

    @model_validator(mode="after")
    def _frames_are_no_larger_than_the_sensor(self) -> Data:
        seen = self.crop[2:] if self.crop else self.sensor
        if seen and (self.width > seen[0] or self.height > seen[1]):
            raise ValueError(
                f"frames of width {self.width} and height {self.height} are larger than the {seen[0]} x {seen[1]} "
                "pixels that are used of the sensor"
            )
        return self

    @model_validator(mode="after")
    def _parts_are_stated_once(self) -> Data:
        if self.splits and self.group:
            raise ValueError("splits has the groups in a column; leave group out")
        for name in ("splits", "group"):
            if getattr(self, name) and (self.split != "random" or self.without_recordings):
                raise ValueError(f'{name} needs split = "random" and recordings to train on')
            if getattr(self, name) and self.train:
                raise ValueError(f"with {name}, train is all that validation and test leave: leave train out")
        if self.test_events and self.split != "official":
            raise ValueError('test_events is the test part: set split = "official"')
        if self.splits and self.drop_small_classes:
            raise ValueError("splits has a line for each recording: remove small classes from it and from the folder")
        if self.splits and self.folds:
            raise ValueError("splits states the parts; leave folds out, or give only group")
        try:
            re.compile(self.group)
        except re.error as error:
            raise ValueError(f"group is no regular expression: {error}") from None
        return self

    @model_validator(mode="after")
    def _split_has_its_sizes(self) -> Data:
        if self.folds and self.split != "random":
            raise ValueError(f'folds are of all recordings: split must be "random", not "{self.split}"')
        if self.test_share and self.split != "first":
            raise ValueError('test_share needs split = "first"')
        return self
