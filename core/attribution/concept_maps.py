"""Insight's own map: every concept's contribution, spread over the patches on which it fires.

Legend: P patches; N concepts; G, V grid.
"""

import torch
from torch import Tensor

from core.attribution.model import AttributionModel
from core.attribution.registry import Job, Values
from core.heads import pool


def contribution_map(model: AttributionModel, tokens_PD: Tensor, class_index: int) -> Tensor:
    """Contribution of every patch to a logit, float32 [P]; plus the bias they sum to the logit.

    m_p = sum_n w_cn z_n a_pn / sum_q a_qn with z_n the pooled activation. With mean pooling that
    is the exact share w_cn a_pn / P; with maximum pooling, where strictly the one strongest patch
    decides, a concept's contribution is shared among all patches that show it.
    """
    acts_PN = model.activations(tokens_PD[None].to(model.sae.decoder_ND.device))[0]
    weight_N = torch.from_numpy(model.head.weight_CN[class_index]).to(acts_PN.device)
    contribution_N = weight_N * pool(acts_PN, model.head.pooling)
    mass_N = acts_PN.sum(0)
    return acts_PN @ torch.where(mass_N > 0, contribution_N / mass_N.clamp_min(1e-12), 0.0)


@torch.no_grad()
def concept_map(job: Job) -> Values:
    """See `contribution_map`."""
    tokens_PD = job.model.encoder.dense(job.pixels_CYX[None])[0]
    map_P = contribution_map(job.model, tokens_PD, job.class_index)
    bias = float(job.model.head.bias_C[job.class_index])
    return Values(map_P.view(job.model.grid), bias)
