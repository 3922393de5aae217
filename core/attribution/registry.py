"""Attribution methods by name: what there is, how to run one, how to add one's own.

Legend: H, W image pixels; G, V patch grid; Y, X input pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.attribution.model import AttributionModel, Baseline
from core.errors import ConfigError
from core.types import FloatArray

IntGrid = NDArray[np.int64]
Sums = Literal["logit", "difference", "no"]
"""What a map adds up to: the logit without its bias, the logit minus the baseline's, or nothing."""


@dataclass(frozen=True, eq=False)
class Settings:
    """Settings of all methods; the defaults are meant for a few seconds on a CPU.

    Raises ConfigError where one is out of range.
    """

    baseline: Baseline = "image-mean"  # of integrated gradients, occlusion, kernel SHAP
    steps: int = 32  # of integrated gradients, >= 1
    occlusion_cells: int = 2  # side of the occluding square in patches, >= 1
    samples: int = 256  # coalitions of kernel SHAP, >= 2
    blocks: tuple[int, int] = (6, 6)  # kernel SHAP: rows and columns of regions, >= 1
    regions_GV: IntGrid | None = field(default=None, repr=False)  # own regions, 0..R-1, all used
    batch: int = 16  # images per forward pass, >= 1

    def __post_init__(self) -> None:
        smallest = min(self.steps, self.occlusion_cells, self.batch, *self.blocks, self.samples - 1)
        if smallest < 1:
            raise ConfigError("steps, cells, blocks, batch (>= 1) or samples (>= 2) out of range")


@dataclass(frozen=True)
class Job:
    """One picture and class to attribute, as a method gets it."""

    model: AttributionModel = field(repr=False)
    pixels_CYX: Tensor = field(repr=False)  # prepared image, float32, no gradient
    class_index: int
    settings: Settings
    seed: int  # the only source of randomness; the caller's generators are left alone


@dataclass(frozen=True, eq=False)
class Values:
    """What a method returns."""

    values_GV: Tensor
    baseline: float | None = None  # what the map's sum comes on top of, where that is defined


Method = Callable[[Job], Values]


@dataclass(frozen=True)
class MethodInfo:
    """What a method is, for a menu and for a table."""

    name: str  # "grad-cam"
    title: str  # "Grad-CAM"
    summary: str  # one plain sentence: what a value means
    source: str  # paper, and what differs
    sums: Sums
    vit_only: bool = False  # needs the blocks of a plain open_clip ViT
    random: bool = False  # depends on the seed


@dataclass(frozen=True, eq=False)
class AttributionMap:
    """Where in the image a method sees evidence for (> 0) and against (< 0) a class."""

    method: str
    class_index: int
    values_GV: FloatArray = field(repr=False)  # float32, signed, units of the method
    score: float  # logit of the class
    baseline: float | None  # what the sum comes on top of: bias, or the baseline picture's logit
    seed: int

    @property
    def total(self) -> float:
        """Sum of the map."""
        return float(self.values_GV.sum(dtype=np.float64))

    @property
    def gap(self) -> float | None:
        """Logit minus baseline minus the map's sum: what the map leaves unexplained, if any.

        For integrated gradients it is what concepts add by switching on along the way, which
        gradients cannot see; for the concept map and kernel SHAP it is rounding. None where a
        method's map is not meant to sum to anything.
        """
        return None if self.baseline is None else self.score - self.baseline - self.total


class Registry:
    """Methods by name, in the order they were added."""

    def __init__(self) -> None:
        self._methods: dict[str, tuple[MethodInfo, Method]] = {}

    def register(self, info: MethodInfo, method: Method) -> None:
        """Add a method.

        Raises:
            ConfigError: the name is taken, or empty.
        """
        if not info.name:
            raise ConfigError("an attribution method needs a name")
        if info.name in self._methods:
            raise ConfigError(f"there is an attribution method {info.name!r} already")
        self._methods[info.name] = (info, method)

    def methods(self) -> tuple[MethodInfo, ...]:
        """All methods, in the order they were added."""
        return tuple(info for info, _ in self._methods.values())

    def attribute(
        self,
        method: str,
        model: AttributionModel,
        image: NDArray[np.uint8],
        class_index: int,
        *,
        seed: int = 0,
        settings: Settings | None = None,
    ) -> AttributionMap:
        """Attribute one logit of one image to places.

        Args:
            method: a name of `methods()`.
            image: RGB uint8 [H, W, 3], any size: squashed whole to the encoder's input, so cell
                (g, v) of the map covers that share of the image.
            class_index: 0..C-1.
            seed: of methods that sample; the same seed gives the same map.

        Raises:
            ConfigError: the method or class is unknown, or the method does not fit the encoder.
        """
        if method not in self._methods:
            known = ", ".join(self._methods)
            raise ConfigError(f"attribution method {method!r} is unknown: choose from {known}")
        if not 0 <= class_index < len(model.head.classes):
            raise ConfigError(f"there is no class number {class_index}")
        pixels_CYX = model.encoder.prepare([image])[0]
        job = Job(model, pixels_CYX, class_index, settings or Settings(), seed)
        with torch.no_grad():
            score = float(model.score(pixels_CYX[None], class_index)[0])
        found = self._methods[method][1](job)
        values_GV = found.values_GV.detach().cpu().numpy().astype(np.float32)
        if values_GV.shape != model.grid or not np.isfinite(values_GV).all():
            raise ConfigError(f"attribution method {method!r} gave no finite map of {model.grid}")
        return AttributionMap(method, class_index, values_GV, score, found.baseline, seed)
