"""The plan of a queue: which case comes when, and why. Pure functions over arrays.

Each strategy ranks the cases by a score of its own, [0, 1]; zero means "not for this reason".
Places are then dealt out: each place goes to the strategy that is furthest behind its share of
the places so far (a weighted round robin, as in Stride scheduling, Waldspurger 1995), which puts
its best case there that has no place yet. So every strategy is met from the start, in the stated
proportion, and each case has one reason: the strategy that put it there. Where the open cases are
planned anew while people review, the places dealt so far go on counting. `control` deals cases by
chance. A strategy that has run out of cases leaves its places to the others; what nobody wants
comes last, by chance. The whole is a function of the inputs and the seed.

Cases that may teach a model come first and held-out ones after them, each part planned by itself:
a verdict on a held-out case cannot be used without spoiling the test.

Legend: I cases, C classes, N concepts, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONTROL, REST = "control", "rest"
REASONS: dict[str, str] = {
    "uncertain": "the model is unsure",
    "explanation": "the explanation is doubtful",
    "experts": "experts disagree",
    "shortcut": "suspected shortcut",
    "teach": "would teach the next run most",
    "diverse": "unlike the cases before it",
    CONTROL: "random control",
    REST: "the rest, in random order",
}
PIVOTS = 256  # cases that the coverage of a large queue starts from
SAME = 1e-5  # squared distance of unit vectors below which two cases are alike (float32)
FEATURES = 64  # dimensions to which codes are reduced for distances


@dataclass(frozen=True)
class Place:
    """Where a case stands, and why."""

    order: int  # 0 comes first
    strategy: str  # key of REASONS
    score: float  # of that strategy, [0, 1]


def uncertainty(probability_IC: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 - (best - second best probability): 1 on the border of two classes, 0 when sure."""
    if probability_IC.shape[1] < 2:
        return np.zeros(len(probability_IC))
    top_I2 = np.partition(probability_IC, -2, axis=1)[:, -2:]
    return np.clip(1.0 - (top_I2[:, 1] - top_I2[:, 0]), 0.0, 1.0)


def suspicion(
    leading_I: NDArray[np.int64], wrong_I: NDArray[np.bool_], known_I: NDArray[np.bool_], n: int
) -> NDArray[np.float64]:
    """How far each concept's decisions go wrong more often than usual, [0, 1].

    Args:
        leading_I: the concept that carries most of each decision; -1 for none.
        wrong_I, known_I: whether the decision is wrong, and whether that is known.

    Of the labelled cases that a concept leads, the lower end of the Wilson interval (95 %) of the
    share of wrong ones, as far as it lies above the share of all labelled cases.
    """
    use = known_I & (leading_I >= 0)
    led_N = np.bincount(leading_I[use], minlength=n).astype(np.float64)
    wrong_N = np.bincount(leading_I[use & wrong_I], minlength=n).astype(np.float64)
    usual = float(wrong_I[known_I].mean()) if known_I.any() else 0.0
    if usual >= 1.0:
        return np.zeros(n)
    return np.clip((_wilson_low(wrong_N, led_N) - usual) / (1.0 - usual), 0.0, 1.0)


def judged_spurious(spurious_N: NDArray[Any], judged_N: NDArray[Any]) -> NDArray[np.float64]:
    """Lower end of the Wilson interval of the share of verdicts that call a concept spurious."""
    return _wilson_low(spurious_N, judged_N)


def coverage(feature_IF: NDArray[np.float32], *, seed: int, pivots: int = PIVOTS) -> NDArray[Any]:
    """Score of each case by how much it adds to those before it, (0, 1]: farthest points first.

    The greedy 2-approximation of the k-centre problem (Gonzalez 1985), from the case nearest to
    the mean on, for the first `pivots` cases; the others follow by their distance to the nearest
    pivot. Cases at no distance from one before score 0.
    """
    count = len(feature_IF)
    if count == 0:
        return np.zeros(0)
    unit_IF = _unit(_reduced(feature_IF, seed))
    centre_F = unit_IF.mean(axis=0)
    first = int(np.argmin(((unit_IF - centre_F) ** 2).sum(axis=1)))
    nearest_I = np.full(count, np.inf, dtype=np.float32)
    chosen: list[int] = []
    for _ in range(min(pivots, count)):
        pick = int(np.argmax(nearest_I)) if chosen else first
        if chosen and nearest_I[pick] <= SAME:
            break
        chosen.append(pick)
        # Both have length one or zero, so the squared distance needs one product only.
        nearest_I = np.minimum(nearest_I, np.clip(2.0 - 2.0 * (unit_IF @ unit_IF[pick]), 0.0, None))
        nearest_I[chosen] = -1.0
    # Squared distances of unit vectors are at most 4.
    score_I = np.where(nearest_I > SAME, np.clip(nearest_I / 4.0, 0.0, 0.5), 0.0)
    score_I[chosen] = 1.0 - 0.49 * np.arange(len(chosen)) / max(len(chosen), 1)
    return np.asarray(score_I, dtype=np.float64)


def plan(
    scores: Mapping[str, NDArray[np.float64]],
    weights: Mapping[str, float],
    *,
    control_share: float,
    held_out_I: NDArray[np.bool_],
    seed: int,
    served: Mapping[str, int] | None = None,
) -> list[Place]:
    """A place for each case; orders are a permutation of 0..I-1.

    Args:
        scores: per strategy [I], [0, 1]; 0 where a case is not for it.
        weights: per strategy, >= 0, relative to each other.
        control_share: of the places, [0, 1]; the rest is shared by the strategies.
        held_out_I: cases that come after all others.
        served: strategy -> places that it filled before these: shares hold over both together, so
            that a queue that is planned anew often does not begin with the largest share each time.
    """
    count = len(held_out_I)
    rng = np.random.default_rng(seed)
    chance_I = rng.permutation(count)
    shares = _shares(weights, control_share)
    places: list[Place | None] = [None] * count
    taken = 0
    for part in (False, True):
        rows = [int(row) for row in chance_I if bool(held_out_I[row]) is part]
        before = {} if part or served is None else served
        for row, strategy, score in _deal(rows, scores, shares, before):
            places[row] = Place(taken, strategy, score)
            taken += 1
    return [place for place in places if place is not None]


def wanted(keys: Sequence[str], *, share: float, people: int, seed: int) -> list[int]:
    """How many people are to judge each case: `people` for a share of them, drawn by seed and key.

    A case keeps its draw whatever else is in the queue, also under a later model version, and a
    larger share only adds cases.
    """
    return [people if _draw(f"{seed}/{key}") < share else 1 for key in keys]


def in_words(strategy: str, detail: str = "") -> str:
    """A reason as stored and shown.

    >>> in_words("uncertain", "52 % sure"), in_words("control")
    ('uncertain: the model is unsure, 52 % sure', 'control: random control')
    """
    return f"{strategy}: {REASONS[strategy]}" + (f", {detail}" if detail else "")


def _deal(
    rows: Sequence[int],
    scores: Mapping[str, NDArray[np.float64]],
    shares: Mapping[str, float],
    served: Mapping[str, int],
) -> list[tuple[int, str, float]]:
    """(row, strategy, score) in the order of the queue. `rows` come in the order of chance."""
    waiting = {name: _ranked(rows, scores, name) for name, share in shares.items() if share > 0}
    heads = dict.fromkeys(waiting, 0)
    behind = _behind(waiting, shares, served)
    controls = ceil(shares.get(CONTROL, 0.0) * len(rows))  # what is left over is no control
    dealt: list[tuple[int, str, float]] = []
    gone: set[int] = set()
    while waiting:
        total = sum(shares[name] for name in waiting)
        for name in waiting:
            behind[name] += shares[name] / total
        name = max(waiting, key=lambda each: behind[each])
        row = _next_free(waiting[name], heads, name, gone)
        if row is None or (name == CONTROL and controls <= 0):
            del waiting[name]
            continue
        controls -= name == CONTROL
        behind[name] -= 1.0
        gone.add(row)
        dealt.append((row, name, float(scores[name][row]) if name in scores else 0.0))
    return dealt + [(row, REST, 0.0) for row in rows if row not in gone]


def _behind(
    waiting: Mapping[str, Sequence[int]], shares: Mapping[str, float], served: Mapping[str, int]
) -> dict[str, float]:
    """How many places each strategy is behind its share of those that were filled before.

    Of the strategies that have cases, among themselves; a place at most either way, so that one
    that had no case for long does not take the queue over when it has some.
    """
    live = [name for name, rows in waiting.items() if rows]
    filled = sum(served.get(name, 0) for name in live)
    total = sum(shares[name] for name in live) or 1.0
    behind = dict.fromkeys(waiting, 0.0)
    for name in live:
        due = shares[name] / total * filled - served.get(name, 0)
        behind[name] = min(max(due, -1.0), 1.0)
    return behind


def _next_free(
    order: Sequence[int], heads: dict[str, int], name: str, gone: set[int]
) -> int | None:
    while heads[name] < len(order) and order[heads[name]] in gone:
        heads[name] += 1
    return order[heads[name]] if heads[name] < len(order) else None


def _ranked(
    rows: Sequence[int], scores: Mapping[str, NDArray[np.float64]], name: str
) -> Sequence[int]:
    """Rows by falling score, ties by chance; all rows by chance for the control."""
    if name == CONTROL:
        return rows
    own_I = scores[name][list(rows)] if rows else np.zeros(0)
    best = np.argsort(-own_I, kind="stable")
    return [rows[int(at)] for at in best if own_I[at] > 0]


def _shares(weights: Mapping[str, float], control_share: float) -> dict[str, float]:
    total = sum(weights.values())
    if total <= 0:
        return {CONTROL: 1.0}
    rest = 1.0 - control_share
    shares = {name: rest * weight / total for name, weight in weights.items()}
    return {**shares, CONTROL: control_share}


def _wilson_low(hits_N: NDArray[Any], of_N: NDArray[Any]) -> NDArray[np.float64]:
    """Lower end of the 95 % Wilson interval of a share; 0 where there is nothing to share."""
    z = 1.959964
    n = np.maximum(of_N, 1.0)
    share = hits_N / n
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = (share + z * z / (2 * n) - half) / (1 + z * z / n)
    return np.where((of_N > 0) & (hits_N > 0), np.clip(low, 0.0, 1.0), 0.0)


def _reduced(feature_IF: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """At most FEATURES dimensions; random projections keep distances (Johnson, Lindenstrauss)."""
    if feature_IF.shape[1] <= FEATURES:
        return np.asarray(feature_IF, dtype=np.float32)
    rng = np.random.default_rng(seed)
    draw_FK = rng.standard_normal((feature_IF.shape[1], FEATURES), dtype=np.float32)
    return np.asarray(feature_IF @ draw_FK, dtype=np.float32)


def _unit(feature_IF: NDArray[np.float32]) -> NDArray[np.float32]:
    length_I1 = np.sqrt((feature_IF**2).sum(axis=1, keepdims=True))
    return np.asarray(feature_IF / np.where(length_I1 > 0, length_I1, 1.0), dtype=np.float32)


def _draw(key: str) -> float:
    """A number in [0, 1) that depends on the key alone."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little") / 2.0**64
