"""Methods that cover parts of the image and look, by captum: occlusion and kernel SHAP.

Legend: Y, X pixels; G, V grid; R regions.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from core.attribution.gradients import baseline_score
from core.attribution.model import AttributionModel
from core.attribution.registry import IntGrid, Job, Settings, Values
from core.errors import ConfigError
from core.types import BoolArray


@torch.no_grad()
def occlusion(job: Job) -> Values:
    """Logit minus the logit with a square filled by the baseline, averaged over the squares that
    cover a patch (Zeiler and Fergus 2014). The square steps by one patch.
    """
    from captum.attr import Occlusion

    model, class_index, settings = job.model, job.class_index, job.settings
    rows, columns = model.grid
    _, height, width = job.pixels_CYX.shape
    side = min(settings.occlusion_cells, rows, columns)
    values_1CYX = Occlusion(lambda pixels: model.score(pixels, class_index)).attribute(
        job.pixels_CYX[None],
        sliding_window_shapes=(3, side * (height // rows), side * (width // columns)),
        strides=(3, height // rows, width // columns),
        baselines=model.baseline(job.pixels_CYX, settings.baseline)[None],
        perturbations_per_eval=settings.batch,
    )
    # Every channel and pixel of a patch carries the same figure.
    area = 3 * (height // rows) * (width // columns)
    return Values(model.cells(values_1CYX[0]) / area)


@torch.no_grad()
def kernel_shap(job: Job) -> Values:
    """Shapley values of regions by weighted regression (Lundberg and Lee 2017), shared out evenly
    among a region's patches. They sum to score minus baseline.
    """
    from captum.attr import KernelShap

    model, class_index, settings = job.model, job.class_index, job.settings
    regions_GV = torch.from_numpy(regions_of(model, settings))
    count = int(regions_GV.max()) + 1
    mask_YX = model.spread(regions_GV).to(job.pixels_CYX.device)
    devices = [job.pixels_CYX.device] if job.pixels_CYX.is_cuda else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(job.seed)
        value_1R = KernelShap(lambda pixels: model.score(pixels, class_index)).attribute(
            job.pixels_CYX[None],
            baselines=model.baseline(job.pixels_CYX, settings.baseline)[None],
            feature_mask=mask_YX.expand(1, 3, -1, -1),
            n_samples=settings.samples,
            perturbations_per_eval=settings.batch,
            return_input_shape=False,
        )
    size_R = torch.bincount(regions_GV.flatten(), minlength=count)
    share_R: Tensor = value_1R[0].cpu() / size_R
    return Values(share_R[regions_GV], baseline_score(job))


def cue_regions(masks_GV: Sequence[BoolArray]) -> IntGrid:
    """Regions for `Settings.regions_GV` from the regions of cues: one Shapley value per cue.

    Where regions overlap, the earlier one has the patch (cues are ranked); what is in none is a
    region of its own. A region that is wholly covered by earlier ones gets no number.

    Args:
        masks_GV: `Cue.region_GV` of each cue, at least one.
    """
    owner_GV = np.full(masks_GV[0].shape, len(masks_GV), dtype=np.int64)
    for number, mask_GV in reversed(list(enumerate(masks_GV))):
        owner_GV[mask_GV] = number
    numbered: IntGrid = np.unique(owner_GV, return_inverse=True)[1].reshape(owner_GV.shape)
    return numbered


def regions_of(model: AttributionModel, settings: Settings) -> IntGrid:
    """Region of every patch, int64 [G, V], numbered 0..R-1: one's own, or a grid of blocks.

    Raises:
        ConfigError: own regions do not fit the grid, or a number is left out.
    """
    rows, columns = model.grid
    if settings.regions_GV is not None:
        own_GV = np.asarray(settings.regions_GV, dtype=np.int64)
        numbers = np.unique(own_GV)
        if own_GV.shape != model.grid or (numbers != np.arange(len(numbers))).any():
            raise ConfigError(f"regions must be a {rows} x {columns} grid of 0, 1, .. R-1")
        return own_GV
    down, across = min(settings.blocks[0], rows), min(settings.blocks[1], columns)
    row_G = np.arange(rows) * down // rows
    column_V = np.arange(columns) * across // columns
    blocks_GV: IntGrid = row_G[:, None] * across + column_V
    return blocks_GV
