"""Gradient methods, by captum: Grad-CAM and integrated gradients.

Legend: B images; Y, X pixels; G, V grid (P patches); D embedding.
"""

import torch
from torch import Tensor, nn

from core.attribution.model import AttributionModel
from core.attribution.registry import Job, Values


class _ByLayer(nn.Module):
    """The score with the dense tokens as a layer [B, D, G, V], as Grad-CAM wants feature maps."""

    def __init__(self, model: AttributionModel, class_index: int) -> None:
        super().__init__()
        self.tokens = nn.Identity()
        self._parts = (model, class_index)

    def forward(self, pixels_BCYX: Tensor) -> Tensor:
        model, class_index = self._parts
        tokens_BPD = model.encoder.dense(pixels_BCYX)
        batch, _, dim = tokens_BPD.shape
        map_BDGV = self.tokens(tokens_BPD.transpose(1, 2).reshape(batch, dim, *model.grid))
        return model.score_tokens(map_BDGV.flatten(2).transpose(1, 2), class_index)


def grad_cam(job: Job) -> Values:
    """Grad-CAM on the dense tokens: sum_d mean_p(ds/dx_pd) x_pd (Selvaraju et al. 2017).

    The tokens are those of the last block behind norm and projection, which the dictionary reads.
    The published map is cut at zero; here the sign is kept.
    """
    from captum.attr import LayerGradCam

    chain = _ByLayer(job.model, job.class_index)
    pixels_1CYX = job.pixels_CYX[None].clone().requires_grad_(True)
    map_11GV = LayerGradCam(chain, chain.tokens).attribute(pixels_1CYX)
    return Values(map_11GV[0, 0])


def integrated_gradients(job: Job) -> Values:
    """Integrated gradients (Sundararajan et al. 2017) from the baseline picture, summed by patch.

    Without steps in the score the map sums to score minus baseline. JumpReLU has steps, which no
    gradient sees: `AttributionMap.gap` states what is missing.
    """
    from captum.attr import IntegratedGradients

    model, class_index, settings = job.model, job.class_index, job.settings
    base_CYX = model.baseline(job.pixels_CYX, settings.baseline)
    method = IntegratedGradients(lambda pixels: model.score(pixels, class_index))
    values_1CYX = method.attribute(
        job.pixels_CYX[None].clone().requires_grad_(True),
        baselines=base_CYX[None],
        n_steps=settings.steps,
        internal_batch_size=settings.batch,
    )
    return Values(model.cells(values_1CYX[0].detach()), baseline_score(job))


@torch.no_grad()
def baseline_score(job: Job) -> float:
    """Logit of the baseline picture."""
    base_CYX = job.model.baseline(job.pixels_CYX, job.settings.baseline)
    return float(job.model.score(base_CYX[None], job.class_index)[0])
