"""Convolutional teachers: a small CNN, a VGG and ResNets, for images of 8 to 224 pixels and more."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spikeport.errors import UserError
from spikeport.pipeline.models.pointwise import Pointwise
from spikeport.pipeline.models.resnet_spec import LARGE_SIDE, RESNETS, ResNetSpec, check_side
from spikeport.pipeline.models.teachers.base import WHERE, Preparation, Teacher, TeacherNetwork, TeacherOutput
from spikeport.pipeline.models.weight_memory import check_weights_fit
from spikeport.pipeline.run.sections.networks import Teacher as TeacherRecipe
from spikeport.values import ImageShape

BLOCKS = 3  # of the small CNN; each halves the image
SMALL_CNN_CHANNELS = 16  # of its first block
VGG11 = ((64,), (128,), (256, 256), (512, 512), (512, 512))  # convolutions; a pool behind each stage
LEAST_POOLED = 4  # a VGG's pool needs this many pixels, else it is omitted
MEAN = (0.5, 0.5, 0.5)
PROBE_CLASSES = 2  # of a network that is built to see whether it can be


class CnnTeacher(Teacher):
    """Three modules in a row, after `prepare`.

    Args:
        features: images to maps.
        pool: maps to embedding.
        head: embedding to logits, the classifier.
        prepare: resizes and normalizes images, None leaves them as they are.
        stages: of each stage, the number of modules of `features` up to its end, the last all of them; `features` is
            then a row of modules. Empty: its stages are not known.
    """

    # As torchvision and timm name a ResNet's parts.
    prefixes = (("fc.", "head."), ("", "features."))

    def __init__(
        self,
        features: nn.Module,
        pool: nn.Module,
        head: nn.Module,
        prepare: nn.Module | None = None,
        stages: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.prepare = prepare or nn.Identity()
        self.features, self.pool, self.head = features, pool, head
        self.stages = tuple(stages)

    def forward_features(self, images: Tensor) -> TeacherOutput:
        maps, stages = self.prepare(images), []
        for end, module in enumerate(self.features.children() if self.stages else [self.features], start=1):
            maps = module(maps)
            if end in self.stages:
                stages.append(maps)
        embedding = self.pool(maps)
        return TeacherOutput(self.head(embedding), maps, embedding, tuple(stages) or None)

    def classifier(self) -> nn.Module:
        return self.head

    def behind(self, stage: int) -> nn.Module | None:
        if not self.stages:
            return None
        return nn.Sequential(*list(self.features.children())[self.stages[stage] :], self.pool, self.head)


class CnnNetwork(TeacherNetwork):
    """An entry of the table that is built from `teacher.width` and `teacher.size`."""

    def check(self, recipe: TeacherRecipe, input_shape: ImageShape | None) -> None:
        if input_shape is None:
            return
        with torch.device("meta"):
            teacher = self.build(recipe, input_shape, PROBE_CLASSES)
        check_weights_fit(teacher, "teacher", "lower teacher.width or teacher.size")


class SmallCnn(CnnNetwork):
    """Three blocks of conv, batch norm, ReLU and max pool, then one dense layer over all places."""

    summary = "three convolutions and one dense layer"

    def build(self, recipe: TeacherRecipe, input_shape: ImageShape, classes: int) -> CnnTeacher:
        channels, height, width = input_shape
        if min(height, width) < 2**BLOCKS:
            raise UserError(
                f"images of {height} x {width} are too small for the teacher",
                where=WHERE,
                hint=f"set data.height and data.width to at least {2**BLOCKS}",
            )
        layers: list[nn.Module] = []
        stages = []
        for index in range(BLOCKS):
            wider = _times(SMALL_CNN_CHANNELS, recipe) << index
            layers += [*_conv(channels, wider), nn.MaxPool2d(2)]
            stages.append(len(layers))
            channels, height, width = wider, height // 2, width // 2
        head = nn.Linear(channels * height * width, classes)
        return CnnTeacher(nn.Sequential(*layers), nn.Flatten(), head, _prepare(recipe, input_shape), stages)


class Vgg11(CnnNetwork):
    """Eight convolutions with batch norm, five max pools (fewer for small images), and one dense layer on the mean."""

    summary = "eight convolutions"

    def build(self, recipe: TeacherRecipe, input_shape: ImageShape, classes: int) -> CnnTeacher:
        channels, height, width = input_shape
        check_side(height, width, WHERE)
        layers: list[nn.Module] = []
        stages = []
        for stage in VGG11:
            for planned in stage:
                wider = _times(planned, recipe)
                layers += _conv(channels, wider)
                channels = wider
            if min(height, width) >= LEAST_POOLED:
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            stages.append(len(layers))
        head = nn.Linear(channels, classes)
        return CnnTeacher(nn.Sequential(*layers), mean_over_places(), head, _prepare(recipe, input_shape), stages)


class ResNet(CnnNetwork):
    """A ResNet with the part names of torchvision and timm.

    Args:
        name: of the specification in `RESNETS`.
        summary: one line for the table of teachers.
    """

    def __init__(self, name: str, summary: str) -> None:
        self.name, self.summary = name, summary

    def build(self, recipe: TeacherRecipe, input_shape: ImageShape, classes: int) -> CnnTeacher:
        _, height, width = input_shape
        check_side(height, width, WHERE)
        spec = RESNETS[self.name].scaled(recipe.width)
        features = ResNetFeatures(spec, input_shape[0], large=max(height, width) > LARGE_SIDE)
        channels, pool = spec.stages[-1][0], mean_over_places()
        if spec.dense:
            pool += nn.Sequential(nn.Linear(channels, spec.dense), nn.ReLU())
            channels = spec.dense
        stages = range(len(features) - len(spec.stages) + 1, len(features) + 1)
        return CnnTeacher(features, pool, nn.Linear(channels, classes), _prepare(recipe, input_shape), stages)


class ResNetFeatures(nn.Sequential):
    """Images to the maps of the last stage: the stem, and a module for each stage.

    Args:
        spec: stem and stages.
        channels: of the images.
        large: a 7 x 7 stem with stride 2 and a max pool, instead of a 3 x 3 stem.
    """

    def __init__(self, spec: ResNetSpec, channels: int, *, large: bool) -> None:
        super().__init__()
        kernel, stride = (7, 2) if large else (3, 1)
        self.conv1 = nn.Conv2d(channels, spec.stem, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(spec.stem), nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if large else nn.Identity()
        channels = spec.stem
        for stage, (wider, blocks, stride) in enumerate(spec.stages, start=1):
            first = _Residual(channels, wider, stride)
            rest = [_Residual(wider, wider, 1) for _ in range(blocks - 1)]
            self.add_module(f"layer{stage}", nn.Sequential(first, *rest))
            channels = wider


class _Residual(nn.Module):
    def __init__(self, channels: int, wider: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, wider, 3, stride=stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(wider, wider, 3, padding=1, bias=False)
        self.bn1, self.bn2, self.relu = nn.BatchNorm2d(wider), nn.BatchNorm2d(wider), nn.ReLU()
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels != wider:
            self.downsample = nn.Sequential(Pointwise(channels, wider, stride), nn.BatchNorm2d(wider))

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.relu(self.bn1(self.conv1(maps)))
        return self.relu(self.bn2(self.conv2(inner)) + self.downsample(maps))


def mean_over_places() -> nn.Sequential:
    """Averages maps `[B, C, H, W]` to `[B, C]`."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _conv(channels: int, wider: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, wider, 3, padding=1, bias=False), nn.BatchNorm2d(wider), nn.ReLU()]


def _times(channels: int, recipe: TeacherRecipe) -> int:
    return max(1, round(channels * recipe.width))


def _prepare(recipe: TeacherRecipe, input_shape: ImageShape) -> Preparation:
    return Preparation(input_shape[1:], recipe.mean or MEAN, recipe.std)
