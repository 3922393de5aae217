"""The narrative of a stored case, told again with the names that stand now.

`core.narrative.narrate` is pure, so a rename shows at once and nothing stored goes stale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.narrative import narrate
from core.types import ClassSet, ConceptChange, Counterfactual, Cue, Region
from db.records import CaseRecord, CueRecord


def renarrate(
    case: CaseRecord, cues: Sequence[CueRecord], names: Mapping[int, str] | None = None
) -> str:
    """The narrative of an explained case; "" for one that is not explained yet.

    Args:
        cues: of the case, by rank, with the names that stand.
        names: that stand, by concept, for concepts that are no cues of the case.
    """
    if case.explanation is None:
        return ""
    stored = case.explanation
    shown = {**(names or {}), **{cue.number: cue.shown_name for cue in cues}}
    return narrate(
        probabilities=case.probabilities,
        prediction=case.prediction,
        explained=str(stored.get("explained", case.prediction)),
        logit=case.logit,
        bias=case.bias,
        cues=[_cue(cue) for cue in cues],
        reconstruction=float(stored["reconstruction"]),
        class_set=class_set(stored),
        counterfactual=counterfactual(stored, shown),
        rank_agreement=stored.get("rank_agreement"),
    )


def class_set(stored: Mapping[str, Any]) -> ClassSet | None:
    """The conformal set of a stored explanation; None where its version had no rule."""
    raw = stored.get("class_set")
    return None if raw is None else ClassSet(**{**raw, "classes": tuple(raw["classes"])})


def counterfactual(stored: Mapping[str, Any], names: Mapping[int, str]) -> Counterfactual | None:
    """What would flip a stored decision, with the names given; None where nothing is stored."""
    raw = stored.get("counterfactual")
    if raw is None:
        return None
    changes = tuple(
        ConceptChange(**{**change, "name": names.get(change["concept"], change["name"])})
        for change in raw["changes"]
    )
    return Counterfactual(**{**raw, "changes": changes})


def _cue(cue: CueRecord) -> Cue:
    """A stored cue as the engine's record, without its map, which no narrative needs."""
    empty = np.zeros((0, 0), dtype=np.float32)
    return Cue(
        concept=cue.number,
        name=cue.shown_name,
        named=cue.name is not None,
        level=cue.level,
        activation=cue.activation,
        contribution=cue.contribution,
        causal_effect=cue.causal_effect,
        map_GV=empty,
        region_GV=empty.astype(np.bool_),
        regions=tuple(Region(r.x0, r.y0, r.x1, r.y1, r.area) for r in cue.regions),
    )
