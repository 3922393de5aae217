"""Concepts that people call spurious pay for every weight that uses them.

The odds o_n = P(spurious) / (1 - P) of a concept, above 1, are its price: by adaptive ridge (near
to counting the weights in use) or by L1. Concepts without evidence keep the plain ridge. What is
right for one class only is priced for that class only (adaptive ridge alone).

By itself this is the weakest strategy: the shortcut is spread over many concepts that nobody
marked (docs/decisions/0005), so the head moves to those. It needs no tokens, though, and helps
where a concept is the whole shortcut.

Shape legend: I cases; N concepts; C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from core.drawn import is_place
from core.heads import Float64Array, code_scales
from core.strategies.data import FitData, Outcome
from core.strategies.fitting import Plan, even_weights, fit_plan
from core.strategies.protocol import Report, silent

MOST = 1e4
"""Highest odds that count."""
L1_SHARE = 1e-2
"""Price of a weight under L1 at odds 1: this share of the cases, in nats per scaled unit."""


@dataclass(frozen=True)
class ConceptPenalty:
    """Prices the weights of rejected concepts."""

    name: str = "concept_penalty"
    title: str = "Price rejected concepts"
    line: str = (
        "Makes every weight on a rejected concept costly, the costlier the surer people are that "
        "it is spurious, and fits the head again."
    )
    paper: str = "Adaptive ridge: Frommlet and Nuel 2016 (PLoS ONE 11:e0148620)"
    kind: Literal["adaptive", "lasso"] = "adaptive"

    def why_not(self, data: FitData) -> str | None:
        """See Strategy.why_not."""
        if not (_rejected(concept_evidence(data)) or _rejected(data.concepts_of_class)):
            return "no concept is more likely spurious than correct"
        return None

    def fit(self, data: FitData, report: Report = silent) -> Outcome:
        """See Strategy.fit."""
        report(0.2, "fitting the head with a price on rejected concepts")
        price_CN = concept_price(data)
        weight_I = even_weights(data)
        if self.kind == "adaptive":
            plan = Plan(weight_I, price=price_CN)
        else:
            # The fit's units: lasso_N multiplies |scaled weight|, the loss sums over cases.
            cases = float((~data.held_I).sum())
            plan = Plan(weight_I, lasso_N=L1_SHARE * cases * price_CN.max(axis=0))
        head = fit_plan(data, plan)
        priced = [int(k) for k in np.flatnonzero(price_CN.max(axis=0))]
        left = weight_left(data, head.weight_CN, priced)
        details = {"priced_concepts": priced, "weight_left": left}
        return Outcome(self.name, head, weight_I, details=details)


LASSO = ConceptPenalty(
    name="concept_lasso",
    title="Drop rejected concepts",
    line="Drops weights on rejected concepts to exactly zero unless the cases pay for them (L1).",
    paper="L1: Tibshirani 1996 (JRSS B 58:267); weighted as in Zou 2006 (JASA 101:1418)",
    kind="lasso",
)


def concept_evidence(data: FitData) -> Mapping[int, float]:
    """P(spurious) of concepts: as given, else from the marks: (s + .5) / (s + k + 1), s and k being
    the weights of the cases in which it was called spurious or correct."""
    if data.concepts:
        return data.concepts
    spurious: dict[int, float] = {}
    total: dict[int, float] = {}
    for mark in data.marks:
        if is_place(mark.concept):
            continue  # no concept shows it, so no weight can be priced
        total[mark.concept] = total.get(mark.concept, 0.0) + mark.weight
        if mark.verdict == "spurious":
            spurious[mark.concept] = spurious.get(mark.concept, 0.0) + mark.weight
    return {k: (spurious.get(k, 0.0) + 0.5) / (total[k] + 1.0) for k in sorted(total)}


def concept_price(data: FitData) -> Float64Array:
    """Odds that a concept is spurious for a class, float64 [C, N] in [0, MOST]; 0 up to odds 1."""
    price_CN = np.zeros((len(data.classes), int(data.pooled_IN.shape[1])))
    for concept, p in concept_evidence(data).items():
        price_CN[:, concept] = np.maximum(price_CN[:, concept], _odds(p))
    for (concept, label), p in data.concepts_of_class.items():
        price_CN[label, concept] = max(price_CN[label, concept], _odds(p))
    return price_CN


def weight_left(data: FitData, weight_CN: np.ndarray, concepts: list[int]) -> float:
    """Share of the head's scaled weight that lies on some concepts, [0, 1]."""
    scale_N = code_scales(csr_array(data.pooled_IN).astype(np.float64), None)
    size_N = np.abs(weight_CN.astype(np.float64)).sum(axis=0) * scale_N
    return float(size_N[concepts].sum() / max(float(size_N.sum()), 1e-12))


def _odds(p: float) -> float:
    return float(min(p / max(1 - p, 1e-12), MOST)) if p > 0.5 else 0.0


def _rejected(evidence: Mapping[int, float] | Mapping[tuple[int, int], float]) -> bool:
    return any(p > 0.5 for p in evidence.values())
