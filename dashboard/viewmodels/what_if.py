"""What would the model say if a concept were weaker or stronger: enough to reckon it locally."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LeverView:
    """A concept whose activation can be moved."""

    concept_id: str
    concept: int
    name: str
    activation: float  # pooled, as it stands
    top: float  # how strong it gets in this project; the slider's end
    weights: tuple[float, ...]  # to each class's logit, in the order of WhatIfView.classes


@dataclass(frozen=True)
class WhatIfView:
    """The linear head of one case: logits move by weight times change of activation."""

    classes: tuple[str, ...]
    logits: tuple[float, ...]  # as they stand
    temperature: float  # of the calibrated softmax: p = softmax(logits / temperature)
    levers: tuple[LeverView, ...]
