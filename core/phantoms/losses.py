"""Training objectives of the demo encoder.

Legend: B images, P patches, D embedding, C cues, T region terms (cues, then general terms),
K classes, Q captions. All embeddings are unit vectors unless said otherwise.

total = weighted sum of: label, caption, dense, lesion_label, mean_label, pixels. The two losses
that read the class off the dense tokens weigh little: much of it would flood every token with
the class, and a model that falls for a planted shortcut could not be shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from core.phantoms.spec import CUE_NAMES, GENERAL_MEMBERS

PRESENT_AT = 0.5
"""Coverage from which a patch shows a cue for certain; half of it is an even chance."""
LESION = CUE_NAMES.index("lesion")


@dataclass(frozen=True)
class LossWeights:
    """Weight of every objective in the sum."""

    label: float = 1.0
    caption: float = 1.0
    dense: float = 6.0
    lesion_label: float = 0.05
    mean_label: float = 0.05
    pixels: float = 0.3


def region_targets(cover_BPC: Tensor) -> Tensor:
    """Soft targets [B, P, T] in 0..1 for all cues and general terms from coverage in 0..1."""
    unions = [
        cover_BPC[..., [CUE_NAMES.index(name) for name in members]].sum(-1).clamp(max=1.0)
        for members in GENERAL_MEMBERS.values()
    ]
    all_BPT = torch.cat((cover_BPC, torch.stack(unions, dim=-1)), dim=-1)
    return (all_BPT / PRESENT_AT).clamp(max=1.0)


def dense_loss(logits_BPT: Tensor, target_BPT: Tensor, weight_T: Tensor) -> Tensor:
    """Sigmoid loss of every patch against every region phrase; rare phrases weigh more.

    Positives count double: IoU, which the map is judged by, asks for recall beyond calibration.
    """
    double = logits_BPT.new_tensor(2.0)
    loss_BPT = F.binary_cross_entropy_with_logits(
        logits_BPT, target_BPT, pos_weight=double, reduction="none"
    )
    return (loss_BPT.mean((0, 1)) * weight_T).sum()


def rarity_weights(target_BPT: Tensor) -> Tensor:
    """Weights [T] with mean 1, inverse to the root of a term's frequency."""
    rate_T = target_BPT.mean((0, 1)).clamp(min=1e-3)
    weight_T = rate_T.rsqrt()
    return weight_T / weight_T.sum()


def caption_loss(logits_BQ: Tensor, truth_BQ: Tensor) -> Tensor:
    """Sigmoid loss of every image against every caption.

    Captions coincide and imply each other, so a caption is a positive of **every** image that
    it is true of, not only of its own: there are no false negatives.
    """
    loss_BQ = F.binary_cross_entropy_with_logits(logits_BQ, truth_BQ, reduction="none")
    positive = (loss_BQ * truth_BQ).sum() / truth_BQ.sum().clamp(min=1.0)
    negative = (loss_BQ * (1 - truth_BQ)).sum() / (1 - truth_BQ).sum().clamp(min=1.0)
    return 0.5 * (positive + negative)


def lesion_label_loss(logits_BPK: Tensor, cover_BPC: Tensor, labels_B: Tensor) -> Tensor:
    """Class of the lesion read off every single lesion token, averaged over lesion tokens."""
    inside_BP = (cover_BPC[..., LESION] > PRESENT_AT).float()
    target_BP = labels_B[:, None].expand_as(inside_BP)
    loss_BP = F.cross_entropy(logits_BPK.flatten(0, 1), target_BP.flatten(), reduction="none")
    return (loss_BP * inside_BP.flatten()).sum() / inside_BP.sum().clamp(min=1.0)


def pixel_targets(x_BCSS: Tensor, grid: int, cells: int = 4) -> Tensor:
    """Coarse colours of every patch [B, P, cells * cells * 3]: what a token must not forget."""
    small = F.adaptive_avg_pool2d(x_BCSS, grid * cells)
    patches = F.unfold(small, cells, stride=cells)
    return patches.transpose(1, 2)
