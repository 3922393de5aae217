"""What would the head say if concepts were weaker or stronger: enough to reckon it in the browser.

The head is linear, so logits move by weight times change of activation, and everything needed is
in what the store keeps of a case and in the version's weights. No image, tokens or codes are read.

A slider moves a number that the head sees, not the picture: in another picture other concepts
might move along. The screen says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from core.errors import BundleError
from dashboard.viewmodels import LeverView, WhatIfView
from db.records import CaseRecord, CueRecord, VersionRecord

if TYPE_CHECKING:
    from core.artifacts import ModelBundle
    from core.heads import LinearHead

LEVERS = 128
"""Concepts that can be moved; beyond them each one's share of the decision is tiny."""
TINY = 1e-12


class BundleSource(Protocol):
    """What is needed of Engines."""

    def bundle(self, folder: str) -> ModelBundle:
        """The model version in a folder."""


class WhatIfService:
    """Reads heads through the engines, which keep each loaded version."""

    def __init__(self, engines: BundleSource) -> None:
        self._engines = engines

    def of(
        self,
        case: CaseRecord,
        version: VersionRecord,
        cues: Sequence[CueRecord],
        names: Mapping[int, str],
        ids: Mapping[int, str],
    ) -> WhatIfView | None:
        """Logits and levers of an explained case; None where the version's files are gone.

        Args:
            cues: of the case.
            names: to show, by concept number; a concept without one is "concept N".
            ids: concept ids by number; concepts without one are left out.
        """
        try:
            head = self._engines.bundle(version.folder).head
        except BundleError:
            return None
        return what_if(head, case, cues, names, ids)


def what_if(
    head: LinearHead,
    case: CaseRecord,
    cues: Sequence[CueRecord],
    names: Mapping[int, str],
    ids: Mapping[int, str],
) -> WhatIfView:
    """The same from a head: levers are the cues, then the tree's concepts by |contribution|."""
    activation = activations(head, case, {cue.number: cue.activation for cue in cues})
    shown = [number for number in activation if number in ids and number < head.n][:LEVERS]
    return WhatIfView(
        classes=head.classes,
        logits=logits(case, head.classes, head.temperature),
        temperature=head.temperature,
        levers=tuple(
            LeverView(
                concept_id=ids[number],
                concept=number,
                name=names.get(number, f"concept {number}"),
                activation=activation[number],
                top=_top(head, number, activation[number]),
                weights=tuple(float(w) for w in head.weight_CN[:, number]),
            )
            for number in shown
        ),
    )


def activations(head: LinearHead, case: CaseRecord, cues: Mapping[int, float]) -> dict[int, float]:
    """Pooled activation of the cues and of every concept in the stored tree, largest part first.

    The tree holds every concept that is there, each with its contribution weight x activation. One
    without weight for the explained class may still add to others, but how much of it there is was
    not kept: it is given as 0.
    """
    explanation = case.explanation or {}
    explained = head.classes.index(explanation.get("explained") or case.prediction)
    found = dict(cues)
    for number, contribution in _by_size(_contributions(explanation.get("tree", []))):
        if 0 <= number < head.n and number not in found:
            weight = float(head.weight_CN[explained, number])
            found[number] = contribution / weight if abs(weight) > TINY else 0.0
    return found


def logits(case: CaseRecord, classes: Sequence[str], temperature: float) -> tuple[float, ...]:
    """Logits in the order of `classes`, from the stored logit and probabilities.

    p = softmax(l / T), so l_c = l_predicted + T (log p_c - log p_predicted).
    """
    known = dict(case.probabilities)
    sure = max(known[case.prediction], TINY)
    return tuple(
        case.logit + temperature * (math.log(max(known[name], TINY)) - math.log(sure))
        for name in classes
    )


def _top(head: LinearHead, number: int, activation: float) -> float:
    """The slider's end: the highest activation in training; unknown, twice what is there now."""
    highest = 0.0 if head.upper_N is None else float(head.upper_N[number])
    return max(highest, activation) if highest > 0 else max(2 * activation, 1.0)


def _contributions(nodes: Iterable[Mapping[str, Any]]) -> dict[int, float]:
    """Own contribution of every node of a stored tree, each concept once."""
    found: dict[int, float] = {}
    for node in nodes:
        found.setdefault(int(node["concept"]), float(node["contribution"]))
        for number, value in _contributions(node.get("children", [])).items():
            found.setdefault(number, value)
    return found


def _by_size(values: Mapping[int, float]) -> list[tuple[int, float]]:
    return sorted(values.items(), key=lambda item: (-abs(item[1]), item[0]))
