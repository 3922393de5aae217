"""Region counterfactuals: what would be there without the rejected thing, and with it elsewhere.

filled  the marked region is taken out of the case and the case read again: by pixels where the
        caller offers that (`FitData.filled_tokens_of`: core.filling and the encoder), else its
        tokens are replaced by the mean of the tokens around it;
pasted  the codes of the marked region are laid over other cases, of every label alike.

Neither changes the label, so a head that learns from originals and copies finds the rejected
thing with every label. Copies of a case stay with it in every fold. Pixel fills show what the thing
did to all tokens of its case; pasting, and fills of tokens, only what it does inside its region.

Where detectors could be learnt, regions found in unmarked cases are filled as well, up to a budget.

Shape legend: I cases; J copies; P patches; N concepts; D embedding; M marks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation
from scipy.sparse import csr_array

from core.cue_detector import RejectedCue
from core.cue_marks import MarkedRegion
from core.errors import ConfigError, TooFewVerdicts
from core.heads import Float64Array
from core.strategies.data import CodesOf, FitData, Outcome
from core.strategies.fitting import Copies, Plan, even_weights, fit_plan
from core.strategies.protocol import Report, silent
from core.types import BoolArray, FloatArray

PASTES = 2
"""Pasted copies of every case."""
BUDGET = 300
"""Most regions that are filled."""
_EIGHT = np.ones((3, 3), dtype=np.bool_)


@dataclass(frozen=True)
class Counterfactual:
    """Trains on cases with the rejected regions filled, and with them pasted elsewhere."""

    name: str = "counterfactual"
    title: str = "Fill and paste what was marked"
    line: str = (
        "Takes what was marked out of its cases and lays it over others, and learns that neither "
        "changes the label."
    )
    paper: str = (
        "Counterfactual augmentation: Plumb et al. 2022, SPIRE (2106.02112); Chang et al. 2021 "
        "(2106.06127)"
    )

    def why_not(self, data: FitData) -> str | None:
        """See Strategy.why_not."""
        if data.tokens_of is None or data.codes_of is None:
            return "the dense tokens of the cases, or the concepts to read them, are not at hand"
        if not rejected_marks(data):
            return "no cue has been marked as spurious yet"
        return None

    def fit(self, data: FitData, report: Report = silent) -> Outcome:
        """See Strategy.fit."""
        weight_I = even_weights(data)
        copies, details = make_copies(data, data.cues or (), weight_I, report)
        report(0.8, "fitting the head on originals and copies")
        head = fit_plan(data, Plan(weight_I, copies=copies))
        return Outcome(self.name, head, weight_I, cues=data.cues or (), details=details)


def rejected_marks(data: FitData) -> list[MarkedRegion]:
    """Marks "spurious" with a region."""
    return [m for m in data.marks if m.verdict == "spurious" and m.region_P.any()]


def make_copies(
    data: FitData, cues: Sequence[RejectedCue], weight_I: Float64Array, report: Report = silent
) -> tuple[Copies, dict[str, int]]:
    """Filled and pasted copies of the cases to fit on, and how many of each there are.

    Every copy weighs what its case weighs, divided by the copies of that kind that the case has.

    Raises:
        ConfigError: tokens or codes are not at hand.
        TooFewVerdicts: no region is rejected.
    """
    if data.tokens_of is None or data.codes_of is None:
        raise ConfigError("copies need the dense tokens of the cases and their codes")
    marks = rejected_marks(data)
    if not marks:
        raise TooFewVerdicts("no cue has been marked as spurious yet")
    report(0.3, "filling the marked regions")
    filled = _filled(data, cues, data.codes_of, report)
    report(0.6, "pasting the marked regions into other cases")
    pasted = _pasted(data, marks, data.codes_of)
    codes, of_J, weight_J = [], [], []
    for kind in (filled, pasted):
        count_I = np.bincount([of for of, _ in kind], minlength=len(weight_I))
        codes += [code_N for _, code_N in kind]
        of_J += [of for of, _ in kind]
        weight_J += [float(weight_I[of]) / int(count_I[of]) for of, _ in kind]
    stacked = csr_array(np.stack(codes).astype(np.float64))
    copies = Copies(stacked, np.array(of_J, np.int64), np.array(weight_J))
    return copies, {"filled": len(filled), "pasted": len(pasted)}


def fill_tokens(
    tokens_PD: FloatArray, region_P: BoolArray, grid: tuple[int, int] | None
) -> FloatArray:
    """Tokens with a region's replaced by the mean of the tokens around it (of all others, without
    a grid); a region that covers everything leaves the mean of all."""
    rest_P = ~region_P
    if grid is not None:
        ring_P = binary_dilation(region_P.reshape(grid), structure=_EIGHT).ravel() & rest_P
        rest_P = ring_P if ring_P.any() else rest_P
    if not rest_P.any():
        rest_P = np.ones_like(region_P)
    filled_PD = tokens_PD.copy()
    filled_PD[region_P] = tokens_PD[rest_P].mean(axis=0)
    return filled_PD


def _filled(
    data: FitData, cues: Sequence[RejectedCue], codes_of: CodesOf, report: Report
) -> list[tuple[int, FloatArray]]:
    """(case, codes) of cases with all that was rejected in them filled."""
    index = {row: i for i, row in enumerate(data.rows) if not data.held_I[i]}
    regions: dict[int, BoolArray] = {}
    for mark in rejected_marks(data):
        if mark.row in index:
            known = regions.get(mark.row, np.zeros_like(mark.region_P))
            regions[mark.row] = known | mark.region_P
    for row in _drawn(data, index, set(regions)) if cues else ():
        found_P = _found(data, cues, row)
        if found_P.any() and len(regions) < BUDGET:
            regions[row] = found_P
    copies = []
    for number, (row, region_P) in enumerate(sorted(regions.items())):
        report(0.3 + 0.3 * number / len(regions), "filling the marked regions")
        copies.append((index[row], codes_of(_without(data, row, region_P))))
    return copies


def _drawn(data: FitData, index: dict[int, int], known: set[int]) -> list[int]:
    rest = np.array(sorted(set(index) - known), dtype=np.int64)
    return [int(row) for row in np.random.default_rng(data.seed).permutation(rest)]


def _found(data: FitData, cues: Sequence[RejectedCue], row: int) -> BoolArray:
    """Patches that score as marked ones do, in cases where a cue shows; bool [P]."""
    assert data.tokens_of is not None
    tokens_PD = np.asarray(data.tokens_of(row))
    found_P = np.zeros(len(tokens_PD), dtype=np.bool_)
    for cue in cues:
        if cue.case_score(tokens_PD) > cue.threshold:
            found_P |= cue.token_scores(tokens_PD) > cue.threshold
    return found_P


def _without(data: FitData, row: int, region_P: BoolArray) -> FloatArray:
    """Tokens of a case with a region filled, by pixels where that is offered."""
    if data.filled_tokens_of is not None:
        return np.asarray(data.filled_tokens_of(row, region_P), dtype=np.float32)
    assert data.tokens_of is not None
    return fill_tokens(np.asarray(data.tokens_of(row)), region_P, data.grid)


def _pasted(
    data: FitData, marks: Sequence[MarkedRegion], codes_of: CodesOf
) -> list[tuple[int, FloatArray]]:
    """(case, codes) of every case with a marked region of another case laid over it, PASTES times.

    With maximum pooling the codes are the larger of both. With mean pooling the region takes the
    place of as many patches of the case.
    """
    assert data.tokens_of is not None
    pieces = []
    for mark in marks:
        tokens_PD = np.asarray(data.tokens_of(mark.row))
        pieces.append((codes_of(tokens_PD[mark.region_P]), float(mark.region_P.mean())))
    rng = np.random.default_rng((data.seed, 1))
    chance_M = np.array([mark.weight for mark in marks])
    codes_IN, copies = csr_array(data.pooled_IN), []
    for i in np.flatnonzero(~data.held_I):
        own_N = codes_IN[[i]].toarray()[0]
        for k in rng.choice(len(marks), PASTES, p=chance_M / chance_M.sum()):
            piece_N, share = pieces[k]
            if data.pooling == "max":
                copies.append((int(i), np.maximum(own_N, piece_N)))
            else:
                copies.append((int(i), (1 - share) * own_N + share * piece_N))
    return copies
