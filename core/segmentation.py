"""Open-vocabulary segmentation whose every logit is a sum over concepts.

For a patch with codes z, decoder rows d_i, bias b and the unit text t_c of a class

    logit_c(p) = [sum_i z_pi <d_i, t_c> + <b, t_c>] / |x^_p|,   x^_p = sum_i z_pi d_i + b,

the cosine of the reconstructed token with the text (Insight, arXiv 2601.13798). It is linear before
any softmax, so a patch's label can be explained like a decision: contributions plus the bias part
sum to the logit. With an image mean m given, x^ - m stands for x^ and t_c - mean(t) for t_c (the
modality gap, as in core.naming); the sum stays exact with b - m for b.

Shape legend: P patches (row-major over the grid G x V); N concepts; D embedding; C classes;
H, W pixels; M samples (patches of many images).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from core.errors import ConfigError
from core.heads import Float64Array
from core.naming import unit
from core.types import BoolArray, FloatArray
from core.zero_shot import ClassTexts

BACKGROUND = -1
"""Label of a pixel that belongs to no class."""
# Codes of patches: a dense array or tensor [P, N], or a scipy sparse matrix (Codes.csr()).
PatchCodes = Any


@dataclass(frozen=True, eq=False)
class PatchLogits:
    """Logits of every patch and class.

    logit_PC float64, cosines in [-1, 1] up to rounding; bias_PC the part that no concept gives;
    length_P > 0, |x^_p| (1 where the reconstruction is zero).
    """

    names: tuple[str, ...]
    logit_PC: Float64Array
    bias_PC: Float64Array
    length_P: Float64Array


class TextSegmenter:
    """Segments with any texts by one dictionary. Holds N x C weights; safe across threads.

    Args:
        decoder_ND, bias_D: decoder of the dictionary.
        texts: the classes to tell apart.
        image_mean_D: mean token; with it, texts are centred too (modality gap). None for neither.

    Raises:
        ConfigError: dimensions that do not fit.
    """

    def __init__(
        self,
        decoder_ND: NDArray[Any],
        bias_D: NDArray[Any],
        texts: ClassTexts,
        image_mean_D: NDArray[Any] | None = None,
    ) -> None:
        if decoder_ND.shape[1] != texts.text_CD.shape[1]:
            raise ConfigError(
                f"texts of dimension {texts.text_CD.shape[1]} for concepts of {decoder_ND.shape[1]}"
            )
        self.names = texts.names
        self._decoder_ND = np.asarray(decoder_ND, np.float64)
        self._origin_D = np.asarray(bias_D, np.float64)
        text_CD = texts.text_CD
        if image_mean_D is not None:
            self._origin_D = self._origin_D - np.asarray(image_mean_D, np.float64)
            text_CD = np.asarray(unit(text_CD - text_CD.mean(0)), np.float64)
        self._weight_NC = self._decoder_ND @ text_CD.T
        self._bias_C = text_CD @ self._origin_D

    def logits(self, acts_PN: PatchCodes) -> PatchLogits:
        """Logits of patches from their inference activations [P, N], dense or sparse."""
        codes_PN = _csr(acts_PN)
        decoded_PD = codes_PN @ self._decoder_ND + self._origin_D
        length_P = np.linalg.norm(decoded_PD, axis=1)
        length_P = np.where(length_P > 1e-12, length_P, 1.0)
        total_PC = codes_PN @ self._weight_NC + self._bias_C
        return PatchLogits(
            self.names, total_PC / length_P[:, None], self._bias_C / length_P[:, None], length_P
        )

    def contributions(self, acts_PN: PatchCodes, class_index: int) -> Any:
        """Share of each concept in the logit of each patch, scipy CSR float64 [P, N].

        Row sums plus `PatchLogits.bias_PC[:, class_index]` are the logits.
        """
        codes_PN = _csr(acts_PN)
        length_P = self.logits(codes_PN).length_P
        share_PN = codes_PN.multiply(self._weight_NC[:, class_index][None, :])
        return sparse.csr_array(share_PN.multiply(1.0 / length_P[:, None]))


@dataclass(frozen=True, eq=False)
class Segmentation:
    """One label per pixel.

    labels_HW int16, index into names or BACKGROUND; score_HW float32, the largest logit there.
    """

    names: tuple[str, ...]
    labels_HW: NDArray[np.int16]
    score_HW: FloatArray

    def mask(self, class_index: int) -> BoolArray:
        """Pixels of one class, bool [H, W]."""
        return np.asarray(self.labels_HW == class_index)


def upsample(value_PC: NDArray[Any], grid: tuple[int, int], size_HW: tuple[int, int]) -> FloatArray:
    """Values of patches [P, C] bilinearly enlarged to float32 [C, H, W].

    Patch values sit at patch centres (align_corners False); at the rim the nearest one holds.
    Raises ConfigError where P is not G * V.
    """
    rows, columns = grid
    if value_PC.shape[0] != rows * columns:
        raise ConfigError(f"{value_PC.shape[0]} patches do not fit a grid of {grid}")
    stacked = torch.from_numpy(np.ascontiguousarray(value_PC.T, dtype=np.float32))
    large: Tensor = F.interpolate(
        stacked.view(1, -1, rows, columns), size_HW, mode="bilinear", align_corners=False
    )
    return np.asarray(large[0].numpy())


def segment(
    logits: PatchLogits,
    grid: tuple[int, int],
    size_HW: tuple[int, int],
    *,
    threshold: float | None = None,
    background: Collection[str] = (),
) -> Segmentation:
    """The class of largest logit at each pixel, after bilinear enlargement.

    Args:
        threshold: a pixel whose largest logit is below it is background; None: none is.
        background: classes that stand for background ("skin", "wall", ...): they compete with the
            others, and where they win the pixel is BACKGROUND.

    Raises:
        ConfigError: a background class that is not there, or a wrong grid.
    """
    unknown = sorted(set(background) - set(logits.names))
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is not one of the classes")
    labels_HW = np.zeros(size_HW, np.int16)
    best_HW = upsample(logits.logit_PC[:, :1], grid, size_HW)[0].copy()
    for k in range(1, len(logits.names)):  # class by class: a large picture has many pixels
        score_HW = upsample(logits.logit_PC[:, k : k + 1], grid, size_HW)[0]
        labels_HW[score_HW > best_HW] = k
        np.maximum(best_HW, score_HW, out=best_HW)
    aside = [k for k, name in enumerate(logits.names) if name in set(background)]
    labels_HW[np.isin(labels_HW, aside)] = BACKGROUND
    if threshold is not None:
        labels_HW[best_HW < threshold] = BACKGROUND
    return Segmentation(logits.names, labels_HW, best_HW)


def independent_masks(
    logits: PatchLogits,
    grid: tuple[int, int],
    size_HW: tuple[int, int],
    threshold_C: NDArray[Any],
) -> BoolArray:
    """Masks bool [C, H, W] of classes that may overlap: logit >= the class's own threshold."""
    score_CHW = upsample(logits.logit_PC, grid, size_HW)
    cut_C = np.asarray(threshold_C, np.float32)
    return np.asarray(score_CHW >= cut_C[:, None, None])


def best_threshold(score_M: NDArray[Any], truth_M: NDArray[np.bool_]) -> tuple[float, float]:
    """The threshold t for which {score >= t} has the largest IoU with the truth, and that IoU.

    All distinct scores are tried, by one sort: with s_1 >= s_2 >= ... the IoU of the first r is
    hits_r / (r + positives - hits_r). (inf, 0) where nothing is true.
    """
    truth = np.asarray(truth_M, bool).ravel()
    score = np.asarray(score_M, np.float64).ravel()
    if not truth.any():
        return float("inf"), 0.0
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    hits = np.cumsum(truth[order])
    iou = hits / (np.arange(1, len(hits) + 1) + truth.sum() - hits)
    last = np.append(ranked[1:] != ranked[:-1], True)  # equal scores fall on the same side
    best = int(np.argmax(np.where(last, iou, -1.0)))
    return float(ranked[best]), float(iou[best])


def _csr(acts_PN: PatchCodes) -> Any:
    if isinstance(acts_PN, Tensor):
        acts_PN = acts_PN.detach().cpu().numpy()
    return sparse.csr_array(acts_PN).astype(np.float64)
