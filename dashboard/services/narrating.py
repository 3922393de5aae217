"""The narrative of a stored case, told again with the names that stand now.

`core.narrative.narrate` is pure, so a rename shows at once and nothing stored goes stale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.narrative import narrate
from core.types import Cue, Region
from db.records import CaseRecord, CueRecord


def renarrate(case: CaseRecord, cues: Sequence[CueRecord]) -> str:
    """The narrative of an explained case; "" for one that is not explained yet.

    Args:
        cues: of the case, by rank, with the names that stand.
    """
    if case.explanation is None:
        return ""
    return narrate(
        probabilities=case.probabilities,
        prediction=case.prediction,
        explained=str(case.explanation.get("explained", case.prediction)),
        logit=case.logit,
        bias=case.bias,
        cues=[_cue(cue) for cue in cues],
        reconstruction=float(case.explanation["reconstruction"]),
    )


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
