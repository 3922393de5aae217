"""What each live curve of a run is called, and what it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dashboard.viewmodels.runs import CurveView
from db.run_records import RunPoint

_KNOWN: Final[dict[str, tuple[str, str, str]]] = {
    "train.loss": ("Loss, training", "nats", "what the training makes small: all terms together"),
    "train.answers": ("Wrong answers, training", "nats", "cross-entropy of the training cases"),
    "train.reasons": (
        "Wrong reasons, training", "", "how far rejected concepts still move the answer inside "
        "rejected regions; 0 is not at all",
    ),
    "train.accuracy": ("Accuracy, training", "share", "share of training cases answered rightly"),
    "validation.loss": (
        "Loss, validation", "nats", "the same loss on cases that are not trained on; it stops "
        "when this no longer falls",
    ),
    "validation.accuracy": (
        "Accuracy, validation", "share", "share answered rightly of cases that are not trained on",
    ),
    "dictionary.loss": (
        "Loss, concepts", "", "how much of the tokens the concepts leave unexplained",
    ),
}  # fmt: skip
_ORDER: Final = {key: place for place, key in enumerate(_KNOWN)}


def views(points: Mapping[str, Sequence[RunPoint]]) -> tuple[CurveView, ...]:
    """Curves in a fixed order, unknown ones last and under their own name."""
    found = []
    for series in sorted(points, key=lambda name: (_ORDER.get(name, len(_ORDER)), name)):
        label, unit, said = _KNOWN.get(series, (series.replace(".", ", "), "", series))
        pairs = tuple((point.step, point.value) for point in points[series])
        found.append(CurveView(series, label, unit, said, pairs))
    return tuple(found)
