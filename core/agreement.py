"""Whether the figures of a cue tell one story: its share in the sum, its causal test, its region.

Five doubts, each about one cue and one class. With c the contribution, e the effect of taking the
concept out of the tokens (core.causal), r the effect of filling its region in the image and
s the effects of filling like regions elsewhere (core.region_effects), all in logit units:

    redundant        |e| < FAINT |c|: others carry the same evidence
    opposite         c e < 0, and not redundant
    rank             the concept is among the LEADING contributions, but its effect ranks behind
                     at least LEADING + SLIP others
    region-silent    r says no more than a random region: |r| <= max |s|, or |r| < FAINT |e|
    region-opposite  r is no random region's, yet r e < 0

The two of the region are raised only where |e| is large, >= LARGE of the cues' largest effect: a
region holds all that lies there, so filling that of a minor cue says little about this cue.
The map shows where the concept fires, so a doubt is a warning not to take the map for the reason.
Maps of deep frozen ViTs were measured to be slightly unfaithful (-.031), hence all this.
Thresholds were set on fresh phantoms with the demo version; docs/decisions/0017 has the rates.

`trust` says in one number how far the same figures agree: how much of what one of them claims the
other confirms. docs/decisions/0027 has how well it foretells the truth on phantoms.

Legend: K cues.
"""

from collections.abc import Sequence
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from core.types import Doubt

FAINT = 0.1
"""An effect under this share of its counterpart counts as none."""
LARGE = 0.5
"""Share of the largest effect from which a silent region is odd."""
LEADING, SLIP = 3, 5
"""How far a leading contribution may fall behind in the order of effects."""
FAIR, GOOD = 0.5, 0.75
"""From which trust on it is called fair, and good."""
TrustWord = Literal["low", "fair", "good"]


def doubts(contribution_K: Sequence[float], effect_K: Sequence[float]) -> list[tuple[Doubt, ...]]:
    """The doubts of all tested concepts of one case that need no image, in their order.

    Args:
        contribution_K, effect_K: logit units, of the same class.
    """
    slipped = _slipped(contribution_K, effect_K)
    found: list[tuple[Doubt, ...]] = []
    for k, (contribution, effect) in enumerate(zip(contribution_K, effect_K, strict=True)):
        own = sum_doubt(contribution, effect)
        ranked: tuple[Doubt, ...] = ("rank",) if k in slipped else ()
        found.append((own,) if own is not None else ranked)
    return found


def sum_doubt(contribution: float, effect: float) -> Doubt | None:
    """Whether the causal test contradicts the sum; None where the contribution is zero."""
    if contribution == 0:
        return None
    if abs(effect) < FAINT * abs(contribution):
        return "redundant"
    return "opposite" if contribution * effect < 0 else None


def region_doubt(
    effect: float, region_effect: float, control_effects: Sequence[float], largest: float
) -> Doubt | None:
    """Whether the image contradicts the causal test on the codes.

    Args:
        effect: of taking the concept out of the tokens.
        region_effect, control_effects: of filling its region, and like regions elsewhere.
        largest: the largest |effect| among the case's cues, >= 0.
    """
    if effect == 0 or abs(effect) < LARGE * largest:
        return None
    control = max((abs(value) for value in control_effects), default=0.0)
    if abs(region_effect) <= control or abs(region_effect) < FAINT * abs(effect):
        return "region-silent"
    return "region-opposite" if region_effect * effect < 0 else None


def rank_agreement(contribution_K: Sequence[float], effect_K: Sequence[float]) -> float | None:
    """Spearman correlation of |contribution| and |effect|, [-1, 1]; None with fewer than 3 cues.

    Also None where all contributions, or all effects, are of one size.
    """
    if len(contribution_K) < 3:
        return None
    a_K, b_K = _ranks(contribution_K), _ranks(effect_K)
    size = float(np.sqrt((a_K**2).sum() * (b_K**2).sum()))
    return None if size == 0 else float((a_K * b_K).sum()) / size


def trust(contribution: float, effect: float, region_effect: float | None = None) -> float:
    """Confidence in what is said of one cue, [0, 1]: how far its tests confirm each other.

    With c the contribution and e the effect of removing the concept it is
    min(|c|, |e|) / max(|c|, |e|), and 0 where they have opposite signs: 1 says that the concept
    matters just as the sum says, 0 that others carry its evidence or that it works the other way.
    Where the region was filled (effect r) that is lowered by as much as the place speaks against
    the cue, times 1 - min(1, -r / e) where r and e have opposite signs. A region that says
    nothing lowers nothing: on phantoms such cues were right as often as others.
    A cue without any effect claims nothing that could be relied on: 0.
    """
    largest = max(abs(contribution), abs(effect))
    if largest == 0 or contribution * effect <= 0:
        return 0.0
    confirmed = min(abs(contribution), abs(effect)) / largest
    if region_effect is None:
        return confirmed
    return confirmed * (1 - min(1.0, max(0.0, -region_effect / effect)))


def trust_of_all(
    contribution_K: Sequence[float], effect_K: Sequence[float], reconstruction: float
) -> float:
    """Confidence in the whole explanation, [0, 1].

    reconstruction (clipped to [0, 1]) times the cues' trust, each weighed by what is at stake,
    max(|c|, |e|). Without a region test that is the Ruzicka similarity of contributions and
    effects, sum min / sum max, so one large contradiction counts more than many small ones.
    Reconstruction is the share of what the encoder sees that concepts explain: a reason outside it
    cannot be among the cues.
    """
    pairs = list(zip(contribution_K, effect_K, strict=True))
    stake = sum(max(abs(c), abs(e)) for c, e in pairs)
    if stake == 0:
        return 0.0
    agreed = sum(trust(c, e) * max(abs(c), abs(e)) for c, e in pairs) / stake
    return agreed * min(max(reconstruction, 0.0), 1.0)


def trust_in_words(value: float) -> TrustWord:
    """A trust as a word, from FAIR and GOOD on."""
    if value >= GOOD:
        return "good"
    return "fair" if value >= FAIR else "low"


def in_words(doubt: Doubt) -> str:
    """A doubt as a warning for the reviewer."""
    match doubt:
        case "redundant":
            return (
                "removing this concept hardly changes the decision, although it counts in the "
                "sum: other concepts carry the same evidence"
            )
        case "opposite":
            return (
                "removing this concept moves the decision the other way than its contribution "
                "says: do not trust its map alone"
            )
        case "rank":
            return (
                "this concept is among the largest parts of the sum, but removing it matters far "
                "less than removing others"
            )
        case "region-silent":
            return (
                "filling in this region changes the decision no more than filling in another "
                "place would: the model does not take this evidence from the marked place alone"
            )
        case "region-opposite":
            return (
                "filling in this region moves the decision the other way than removing the "
                "concept does: do not take the marked place for the reason"
            )
        case _:
            assert_never(doubt)


def _ranks(value_K: Sequence[float]) -> NDArray[np.float64]:
    """Ranks of the sizes less their mean; equal sizes share the mean of their ranks."""
    size_K = np.abs(np.asarray(value_K, dtype=np.float64))
    _, place_K, count = np.unique(size_K, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2
    return np.asarray(rank[place_K] - (len(size_K) + 1) / 2, dtype=np.float64)


def _slipped(contribution_K: Sequence[float], effect_K: Sequence[float]) -> set[int]:
    """Leading contributions that LEADING + SLIP or more effects outrank."""
    leading = np.argsort(-np.abs(np.asarray(contribution_K)), kind="stable")[:LEADING]
    size_K = np.abs(np.asarray(effect_K))
    return {int(k) for k in leading if int((size_K > size_K[k]).sum()) >= LEADING + SLIP}
