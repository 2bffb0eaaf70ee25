"""The recipe's sections [teacher] and [student]: the two networks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from spikeport.pipeline.run.sections.fields import (
    Batch,
    Channels,
    Degrees,
    EpochsOrZero,
    ExpandedPath,
    Fraction,
    FractionBelowOne,
    Kernel,
    Layers,
    NetworkName,
    NeuronsOrZero,
    NotNegative,
    Pixels,
    PositiveFloat,
    PositiveRedGreenBlue,
    RedGreenBlue,
    Section,
    SideOrZero,
    StepsOrZero,
    Width,
)


class Affine(Section):
    """Largest random affine transform of static images, in both directions; all 0: none."""

    degrees: Degrees = Field(default=0.0, description="rotation in degrees")
    scale: Fraction = Field(default=0.0, description="change of size; 0.1: from 1 / 1.1 to 1.1 times")
    shear: Fraction = Field(default=0.0, description="shift of columns, as a share of their distance from the middle")
    translate: Pixels = Field(default=0.0, description="shift in pixels, in both axes")


class Teacher(Section):
    """The network whose outputs the student learns from; see docs/reference/networks.md."""

    network: NetworkName = Field(
        default="cnn-small", description='a named network, "package.module:factory", "onnx:FILE" or "run:FOLDER"'
    )
    weights: ExpandedPath = Field(default="", description="safetensors file of initial weights")
    width: Width = Field(default=1.0, description="factor of the network's published numbers of channels")
    size: SideOrZero = Field(default=0, description="side of its input images in pixels; 0: that of the frames")
    mean: RedGreenBlue = Field(
        default=(), description="subtracted from its images' channels; (): see docs/reference/networks.md"
    )
    std: PositiveRedGreenBlue = Field(default=(), description="divides its images' channels after `mean`")
    epochs: EpochsOrZero = Field(default=3, description="training epochs; 0: `weights` are used as they are")
    batch: Batch = Field(default=128, description="images of one step of the optimizer")
    lr: PositiveFloat = Field(default=2e-3, description="learning rate")
    weight_decay: NotNegative = Field(default=1e-4, description="weight decay of the optimizer")
    ema_decay: FractionBelowOne = Field(
        default=0.0, description="decay of the exponential moving average of its weights; 0: off"
    )
    affine: Affine = Field(default=Affine(), description="random transform of its training images")


class Student(Section):
    """The spiking network, which ends in an output layer that fires; see docs/reference/networks.md."""

    network: str = Field(default="conv", description='a named network, or "package.module:factory" for an own one')
    channels: Channels = Field(default=(8, 16, 32), description="conv, conv-mlp: channels of each convolution block")
    kernel: Kernel = Field(default=3, description="side of the convolution kernels")
    downsample: Literal["stride", "avgpool"] = Field(default="stride", description="how a block halves the frame")
    hidden: NeuronsOrZero = Field(
        default=0, description="conv: neurons of a dense layer before the output; 0: no such layer"
    )
    layers: Layers = Field(default=(128,), description="mlp, conv-mlp: neurons of each dense layer")
    width: Width = Field(
        default=1.0, description="vgg-snn and residual networks: factor of the published numbers of channels"
    )
    norm_steps: StepsOrZero = Field(
        default=0,
        description="batch norm through time (BNTT), in float only: data.steps for one a time step; 0: one for all",
    )
    neuron: str = Field(
        default="leaky",
        description='"leaky", "synaptic", "recurrent" or "package.module:attribute"; see docs/reference/networks.md',
    )
    beta: Fraction = Field(default=0.75, description="membrane decay: factor per time step")
    alpha: Fraction | None = Field(default=None, description="synaptic: decay of the synaptic current per time step")
    v_threshold: PositiveFloat = Field(default=1.0, description="firing threshold")

    @model_validator(mode="after")
    def _alpha_belongs_to_a_synaptic_current(self) -> Student:
        if self.neuron == "synaptic":
            from spikeport.export.network.fixed_point import DECAY_ONE  # loads NumPy

            if self.alpha is None:
                raise ValueError("neuron = 'synaptic' needs alpha. Hint: set student.alpha, for example to 0.5")
            for name, factor in (("alpha", self.alpha), ("beta", self.beta)):
                if round(DECAY_ONE * (1 - factor)) == 0:
                    most = f"{DECAY_ONE - 1}/{DECAY_ONE}"
                    raise ValueError(f"with neuron = 'synaptic' {name} must be at most {most}, not {factor:g}")
            if round(DECAY_ONE * (1 - self.alpha)) == DECAY_ONE:
                raise ValueError(
                    f'alpha must be at least 1/{DECAY_ONE}, not {self.alpha:g}. Hint: use neuron = "leaky"'
                )
        elif self.alpha is not None and ":" not in self.neuron:
            raise ValueError(
                f"neuron = {self.neuron!r} has no synaptic current, and alpha is {self.alpha:g}. "
                'Hint: set neuron = "synaptic", or leave alpha out'
            )
        return self
