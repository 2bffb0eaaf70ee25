"""The recipe: one TOML file that says everything a run does, as validated frozen values."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from spikeport.errors import UserError
from spikeport.hardware_profiles.schema import ActiveRule
from spikeport.paths import expanded
from spikeport.pipeline.run.bounds import (
    KERNEL,
    RECORDING,
    AnySeed,
    Batch,
    BatchOrNone,
    CellsOrNone,
    Channels,
    Count,
    FrameTime,
    Kernel,
    Layers,
    Offset,
    Pixels,
    Places,
    PlacesOrNone,
    Seconds,
    Seed,
    Side,
    SideOrNone,
    Times,
    TimesOrNone,
    Width,
)


def _odd(number: int) -> int:
    if number % 2 == 0:
        raise ValueError("it must be odd, so that its middle is a pixel")
    return number


def _finite(options: dict[str, Any]) -> dict[str, Any]:
    for key, value in options.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{key} must be a finite number")
    return options


def _a_file_name(name: str) -> str:
    """A run's folder is named so: one component of a path, which leads nowhere else."""
    if name in ("", ".", "..") or not name.isprintable() or len(name.encode()) > 200 or set("/\\") & set(name):
        raise ValueError("it must be the name of a folder, of at most 200 bytes without slashes")
    return name


def _expanded(path: str) -> str:
    try:
        return expanded(path)
    except UserError as error:
        raise ValueError(f"{error.message}; {error.hint}") from None


def _network(word: str) -> str:
    kind, colon, rest = word.partition(":")
    return f"{kind}:{_expanded(rest)}" if colon and kind in ("onnx", "run") else word


Positive = Annotated[int, Field(ge=1)]
FileName = Annotated[str, AfterValidator(_a_file_name)]
AsPath = Annotated[str, AfterValidator(_expanded)]
Network = Annotated[str, AfterValidator(_network)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Options = Annotated[dict[str, Any], AfterValidator(_finite)]
Odd = Annotated[int, Field(ge=1), AfterValidator(_odd)]
RedGreenBlue = tuple[()] | tuple[float, float, float]


Orientation = Literal[
    "as-stored", "dvs128", "mirror-x", "mirror-y", "rotate-90", "rotate-180", "rotate-270", "transpose"
]

# Settings of [training] that say where it runs and what is written: a stopped training may go on with others.
PLACE = ("accelerator", "devices", "nodes", "threads", "tensorboard")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Data(_Section):
    """Where recordings and images come from, how they are binned, and how they are split."""

    source: str = "digits"
    root: AsPath = ""  # the folder that holds `events` and `images`; a named set's own folders lie in it
    events: AsPath = ""  # class-folders: events as <events>/<class>/<id>.<ext>; named sets: "" is their usual folder
    images: AsPath = ""  # class-folders: a folder of images by class, or of MNIST idx files; named sets: as `events`
    pairing: Literal["id", "class"] = "id"
    pairs: AsPath = ""  # cifar10dvs: a CSV file below root that says which image each recording was made from
    image_id_offset: Offset = 0  # image index of recording <id> is id + offset
    orientation: Orientation = "as-stored"  # class-folders: how the sensor stood; see docs/reference/data.md
    columns: str = ""  # class-folders: the columns of arrays [N, 4] without names, in order: "txyp"
    sort: bool = False  # class-folders: sort events by time where a file has them out of order
    height: Side = 34
    width: Side = 34
    steps: Annotated[int, Field(ge=1, le=1024)] = 10
    step_us: FrameTime = 30_000  # one frame's time
    validation: Count = 100  # 0: nothing is chosen on validation, the last epoch is kept
    test: Count = 200  # 0: all that train and validation leave
    train: Count = 0  # 0: all that validation and test leave
    folds: Count = 0  # 0: off; K: the test part is fold `fold` of K, `test` is not read
    fold: Count = 0
    split: Literal["random", "official", "first"] = "random"  # first: in order of keys, training before test
    test_share: Annotated[float, Field(ge=0, lt=1)] = 0.0  # first: this share of each class is test, not `test`
    without_recordings: bool = False  # no recording is trained on: all that are not validation are test
    split_seed: Seed = 0
    static_limit: Count = 0  # at most so many static images; 0: all

    @model_validator(mode="after")
    def _a_recording_is_held(self) -> Data:
        if (values := 2 * self.height * self.width * self.steps) > RECORDING:
            raise ValueError(f"height x width x steps make {values:,} values of one recording, over {RECORDING:,}")
        return self

    @model_validator(mode="after")
    def _fold_is_one_of_them(self) -> Data:
        if self.folds == 1:
            raise ValueError("folds must be 0 (off) or at least 2")
        if self.fold >= max(self.folds, 1):
            raise ValueError(f"fold must be below folds, which is {self.folds}")
        return self

    @model_validator(mode="after")
    def _columns_are_named_once(self) -> Data:
        if self.columns and sorted(self.columns) != sorted("txyp"):
            raise ValueError(
                f'columns must name t, x, y and p in the order of the file, as in "txyp", not {self.columns!r}'
            )
        if self.source != "class-folders":
            for name, as_it_is in (("orientation", "as-stored"), ("columns", ""), ("sort", False)):
                if getattr(self, name) != as_it_is:
                    raise ValueError(f"{name} is for source class-folders; {self.source} reads its files as they are")
        return self

    @model_validator(mode="after")
    def _split_has_its_sizes(self) -> Data:
        if self.folds and self.split != "random":
            raise ValueError(f'folds are of all recordings: split must be "random", not "{self.split}"')
        if self.test_share and self.split != "first":
            raise ValueError('test_share needs split = "first"')
        return self


class Affine(_Section):
    """Largest random affine transform of static images, in both directions; all 0: none."""

    degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    scale: Annotated[float, Field(ge=0, le=1)] = 0.0  # larger or smaller by this share
    shear: Annotated[float, Field(ge=0, le=1)] = 0.0  # columns moved by this share of their distance from the middle
    translate: Pixels = 0.0  # pixels


class Teacher(_Section):
    """The network whose answers the student learns from; see docs/reference/networks.md."""

    network: Network = "cnn-small"  # a name of the table, "package.module:factory", "onnx:FILE" or "run:FOLDER"
    weights: AsPath = ""  # a safetensors file to begin with
    width: Width = 1.0  # share of the network's own numbers of channels
    size: SideOrNone = 0  # side of the images that it sees; 0: as high and wide as the frames
    mean: RedGreenBlue = ()  # subtracted from its images' channels, which std then divides; docs/reference/networks.md
    std: tuple[()] | tuple[PositiveFloat, PositiveFloat, PositiveFloat] = ()
    epochs: TimesOrNone = 3
    batch: Batch = 128
    lr: PositiveFloat = 2e-3
    weight_decay: NotNegative = 1e-4
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0  # as in [training]
    affine: Affine = Affine()  # random transform of its training images


class Student(_Section):
    """The spiking network, which ends in an output layer that fires; see docs/reference/networks.md."""

    network: str = "conv"
    channels: Channels = (8, 16, 32)  # conv, conv-mlp: of each convolution block
    kernel: Kernel = 3
    downsample: Literal["stride", "avgpool"] = "stride"
    hidden: CellsOrNone = 0  # conv: neurons of a dense layer before the output; 0: none
    layers: Layers = (128,)  # mlp, conv-mlp: neurons of each dense layer
    width: Width = 1.0  # vgg-snn, ResNets: share of the published numbers of channels
    neuron: str = "leaky"  # "leaky", "synaptic", "recurrent" or "package.module:attribute", see docs/networks.md
    beta: Fraction = 0.75  # share of the membrane that a step leaves
    alpha: Fraction | None = None  # synaptic: share of the synaptic current that a step leaves
    v_threshold: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _alpha_belongs_to_a_synaptic_current(self) -> Student:
        if self.neuron == "synaptic":
            if self.alpha is None:
                raise ValueError("neuron = 'synaptic' needs alpha. Hint: set student.alpha, for example to 0.5")
            for name, factor in (("alpha", self.alpha), ("beta", self.beta)):
                if round(4096 * (1 - factor)) == 0:
                    raise ValueError(f"with neuron = 'synaptic' {name} must be at most 4095/4096, not {factor:g}")
            if round(4096 * (1 - self.alpha)) == 4096:
                raise ValueError(f'alpha must be at least 1/4096, not {self.alpha:g}. Hint: use neuron = "leaky"')
        elif self.alpha is not None and ":" not in self.neuron:
            raise ValueError(
                f"neuron = {self.neuron!r} has no synaptic current, and alpha is {self.alpha:g}. "
                'Hint: set neuron = "synaptic", or leave alpha out'
            )
        return self


class Training(_Section):
    """How the student is trained in float; from `optimizer` on, how every network is: docs/reference/training.md."""

    epochs: Times = 30
    batch: Batch = 20  # samples of one step of the optimizer, on all devices together
    lr: PositiveFloat = 2e-3
    weight_decay: NotNegative = 1e-2
    warmup_epochs: TimesOrNone = 1
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0  # decay of the moving average of the weights; 0: none
    optimizer: Literal["adamw", "sgd"] = "adamw"  # sgd: with momentum 0.9
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_start_factor: Fraction = 0.0  # share of lr from which it rises during the warm-up
    min_lr_factor: Fraction = 0.0  # share of lr to which the cosine falls
    gradient_clip_norm: NotNegative = 0.0  # largest norm of all gradients together; 0: any
    accumulate: Batch = 1  # parts that a batch is computed in, for less memory
    patience: TimesOrNone = 0  # stops so many epochs after the best; 0: never
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    tensorboard: bool = False  # event files too, in the run's folder `tensorboard`
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: Places = 1  # processes of each machine that train together, each on a GPU of its own if there are GPUs
    nodes: Places = 1  # machines
    threads: PlacesOrNone = 0  # of each process; 0: torch's own choice


class Augmentation(_Section):
    """What happens to the frames of every training batch, on every arm. 0 or false turns one off."""

    shift: SideOrNone = 2  # pixels, either way, both axes
    event_drop: Fraction = 0.1  # the largest share of events dropped from a sample; the share is drawn for each
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0  # degrees, either way
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.0  # 0.1: magnified by 0.9 to 1.1
    flip: bool = False  # half of the samples, left to right; only where a mirrored sample has the same label
    time_shift: Annotated[int, Field(ge=0, le=1024)] = 0  # steps, either way
    time_jitter: Fraction = 0.0  # share of events that move by one step
    noise: Fraction = 0.0  # added events, as a share of all pixels and steps
    mix: Fraction = 0.0  # share of samples that take a box in time and space from another of their class


class Schedule(_Section):
    """How a term's weight runs over training: shapes of `pipeline.distillation.schedules`, 1 throughout by default."""

    shape: Literal["constant", "cosine", "logistic", "step", "rise"] = "constant"
    start: NotNegative = 0.42
    end: NotNegative = 0.58

    @model_validator(mode="after")
    def _in_order(self) -> Schedule:
        if self.end < self.start:
            raise ValueError("end must not be before start")
        return self


class LossSpec(_Section):
    """One loss on one stream; `spikeport train` adds these to the method's own."""

    loss: str
    stream: Literal["event", "hybrid", "synthetic"] = "event"
    weight: NotNegative = 1.0
    schedule: Schedule = Schedule()
    options: Options = {}


class Distillation(_Section):
    """Which objective trains the student. Every run also trains the same student with `baseline`, for comparison."""

    method: str = "ckd"  # a preset of spikeport.pipeline.distillation.methods
    options: Options = {}  # the preset's own
    losses: tuple[LossSpec, ...] = ()  # added to the preset's
    train_baseline: bool = True  # train the student without distillation too
    static: Literal["value", "synthetic"] = "value"  # the hybrid stream starts as value images or as synthetic events
    replacement_power: PositiveFloat = 3.0
    replacement_unit: Literal["clip", "suffix", "never"] = "clip"  # whole samples, from a step on, or not at all
    shared_head: bool = False
    initialize: bool = False  # student weights from the teacher's where shapes allow


class Synthesis(_Section):
    """Synthetic events from static images, for methods with a synthetic stream: a translator trained on the training
    pairs, or a simulated event camera. The student is pretrained on them for `simulator_pretrain_epochs` with the
    simulator and for `pretrain_epochs` with the chosen kind, then trained on recordings.
    """

    kind: Literal["translator", "simulator"] = "translator"
    simulator_pretrain_epochs: TimesOrNone = 0
    simulator_weights: AsPath = ""  # a safetensors file in place of these epochs
    width: Annotated[int, Field(ge=1, le=1024)] = 16  # channels of the translator
    kernel: Annotated[Odd, Field(le=KERNEL)] = 5
    updates: Times = 1200  # steps that fit the translator
    batch: Batch = 16
    lr: PositiveFloat = 4e-3
    pretrain_epochs: TimesOrNone = 2
    pretrain_batch: Batch = 32  # small batches at a high rate learn most from each image
    pretrain_lr: PositiveFloat = 1e-2
    pretrain_recordings: BatchOrNone = 2  # real recordings among each batch of images
    finetune_epochs: TimesOrNone = 0  # over the recordings, in place of training.epochs; 0: none
    finetune_lr: PositiveFloat = 1e-3  # in place of training.lr
    images_per_recording: Annotated[float, Field(gt=0, le=8)] = 1.0  # synthetic images for each recording of a batch
    affine: Affine = Affine()  # random transform of the images
    cached_views: BatchOrNone = 0  # renderings of each image that are kept on disk; 0: a new one for each batch


class Quantization(_Section):
    """Fine-tuning in Loihi arithmetic."""

    epochs: TimesOrNone = 8
    lr: PositiveFloat = 5e-4
    method: Literal["baseline", "same"] = "baseline"  # TET on the events alone, or what trained the student


class Check(_Section):
    """What is compared with Lava."""

    lava: bool = True
    lava_samples: Count = 0  # drawn by class; 0: 20, or one of each class if they are more
    seed: Seed = 0  # of that draw
    lava_timeout_s: Seconds = 1800.0


class Profile(_Section):
    """Which devices the energy account covers."""

    hardware: tuple[str, ...] = ("loihi1", "loihi2", "cmos45-fp32")
    baseline_gpu: str = "a100"  # the GPU whose formula floor stands beside the measured CPU
    active_rule: Literal["", ActiveRule] = ""  # which neuron updates count as active; "": as each device's file says
    per_step: bool = False  # also counts every step apart, in steps.csv
    baseline_seconds: Seconds = 2.0  # how long each batch size is timed, all networks of the baseline together


class Recipe(_Section):
    """All of a run. Read with `load_recipe`."""

    name: FileName = "run"
    seed: AnySeed = 1
    data: Data = Data()
    teacher: Teacher = Teacher()
    student: Student = Student()
    training: Training = Training()
    augmentation: Augmentation = Augmentation()
    distillation: Distillation = Distillation()
    synthesis: Synthesis = Synthesis()
    quantization: Quantization = Quantization()
    check: Check = Check()
    profile: Profile = Profile()

    @model_validator(mode="after")
    def _shifts_leave_something(self) -> Recipe:
        side, shift = max(self.data.height, self.data.width), self.augmentation.shift
        if shift > side:
            raise ValueError(f"augmentation.shift = {shift} is more than the frames' side, {side}")
        return self

    @property
    def methods(self) -> tuple[str, ...]:
        """The objectives that a run trains a student with: its own, and `baseline` to compare with."""
        own = self.distillation.method
        alone = own == "baseline" or not self.distillation.train_baseline or self.data.without_recordings
        return (own,) if alone else (own, "baseline")

    def as_toml(self) -> str:
        """The resolved recipe as TOML text, every default written out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))
