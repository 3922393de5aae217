"""A head without labels: the weight of a concept is how well its direction fits a class's text.

With codes z, decoder rows d_i and bias b, tokens are reconstructed as x^ = sum_i z_i d_i + b. The
similarity of a reconstruction with a class text t_c is linear in the codes,

    <x^, t_c> = sum_i z_i <d_i, t_c> + <b, t_c>,

so zero-shot classification is a LinearHead with weights <d_i, t_c>, and every concept's share of a
decision is known (as for segmentation in Insight, arXiv 2601.13798; there per patch). With mean
pooling it is exact: the logit is the mean over patches of <x^_p, t_c>, as both the mean and the
product are linear. With max pooling the concepts' largest activations stand for the image; the sum
is exact as well, but of a vector that no single patch need have.

Shape legend: C classes; D embedding; N concepts; T prompts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.heads import Float64Array, LinearHead, Pooling
from core.naming import EncodeTexts, as_array, unit

TEMPLATES: tuple[str, ...] = ("{}", "a photo of {}", "an image of {}")
"""Prompts a word is put into where none are given."""


@dataclass(frozen=True, eq=False)
class ClassTexts:
    """One direction in the image's space for every class.

    names    C names
    text_CD  float64, unit rows
    """

    names: tuple[str, ...]
    text_CD: Float64Array

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.names) or not self.names:
            raise ConfigError("classes need names that differ")
        if self.text_CD.ndim != 2 or len(self.text_CD) != len(self.names):
            raise ConfigError(f"texts {self.text_CD.shape} do not fit {len(self.names)} classes")


def class_texts(prompts: Mapping[str, Sequence[str]], encode_texts: EncodeTexts) -> ClassTexts:
    """Embed each class as the mean of its prompts' unit embeddings (prompt ensemble, CLIP).

    Args:
        prompts: for each class the texts that stand for it, such as synonyms put into templates.
        encode_texts: texts -> embeddings [T, D] in the image's space (core.encoder.Encoder).

    Raises:
        ConfigError: no class, or a class without a prompt.
    """
    if not prompts or not all(prompts.values()):
        raise ConfigError("every class needs at least one prompt")
    texts = [text for group in prompts.values() for text in group]
    unit_TD = unit(as_array(encode_texts(texts)))
    stops = np.cumsum([len(group) for group in prompts.values()])
    parts = np.split(unit_TD, stops[:-1])
    text_CD = np.stack([part.mean(0) for part in parts])
    return ClassTexts(tuple(prompts), np.asarray(unit(text_CD), np.float64))


def prompts_of(
    words: Mapping[str, Sequence[str]], templates: Sequence[str] = TEMPLATES
) -> dict[str, tuple[str, ...]]:
    """Every phrase of every class put into every template.

    Args:
        words: for each class its further phrases (synonyms); the name itself is always used.
        templates: each holds "{}".

    Raises:
        ConfigError: a template without "{}".
    """
    if not templates or any("{}" not in template for template in templates):
        raise ConfigError('every prompt template holds "{}"')
    return {
        name: tuple(t.replace("{}", phrase) for phrase in (name, *more) for t in templates)
        for name, more in words.items()
    }


def zero_shot_head(
    decoder_ND: NDArray[Any],
    bias_D: NDArray[Any],
    texts: ClassTexts,
    *,
    pooling: Pooling = "mean",
    scale: float = 1.0,
    centred: bool = True,
    image_mean_D: NDArray[Any] | None = None,
) -> LinearHead:
    """A head from text alone: weight_ci = scale <d_i, t_c>, bias_c = scale <b - m, t_c>.

    Args:
        decoder_ND, bias_D: decoder of the dictionary.
        texts: at least two classes.
        pooling: of the codes that the head will be given.
        scale: > 0, the model's logit scale; where labelled cases exist, fit the temperature on
            them instead (core.calibration).
        centred: subtract the classes' mean text. That moves all logits of an image alike, hence
            changes no probability, and makes a contribution say how far a concept speaks for this
            class rather than for the average class.
        image_mean_D: m, the mean token, subtracted from the reconstruction (modality gap);
            this does move the classes against each other. None subtracts nothing.

    Raises:
        ConfigError: fewer than two classes, dimensions that do not fit, or scale <= 0.
    """
    if len(texts.names) < 2:
        raise ConfigError("a head needs at least two classes")
    if not scale > 0:
        raise ConfigError(f"the logit scale must be positive, got {scale}")
    text_CD = texts.text_CD - texts.text_CD.mean(0) if centred else texts.text_CD
    if decoder_ND.shape[1] != text_CD.shape[1]:
        raise ConfigError(
            f"texts of dimension {text_CD.shape[1]} for concepts of {decoder_ND.shape[1]}"
        )
    origin_D = np.asarray(bias_D, np.float64)
    if image_mean_D is not None:
        origin_D = origin_D - np.asarray(image_mean_D, np.float64)
    weight_CN = scale * text_CD @ np.asarray(decoder_ND, np.float64).T
    bias_C = scale * text_CD @ origin_D
    return LinearHead(
        weight_CN.astype(np.float32), bias_C.astype(np.float32), texts.names, pooling=pooling
    )
