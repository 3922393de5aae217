"""Which concept of a new dictionary is which of an old one, so that people's names outlive it.

A dictionary that is trained again has its concepts in another order and slightly elsewhere. Two
dictionaries of one encoder live in one space, so concepts are matched by the cosine of their
decoder directions: the one-to-one assignment of largest total cosine (Hungarian method; Kuhn 1955,
as scipy solves it) among pairs of at least `min_score`, and of these only pairs that are each
other's best by a margin. All else stays unmatched: a missing name is seen and given again, a wrong
one is believed. (Paulo and Belrose, arXiv 2501.16615, align dictionaries likewise and find that
those which differ in the seed alone share only a part of their concepts.)

Shape legend: O old concepts, N new concepts, D embedding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linear_sum_assignment

from core.errors import ConfigError
from core.naming import unit

Floats = NDArray[np.floating[Any]]
Rows = Callable[[int, int], Floats]
"""Similarities float64 [stop - start, N] of the old concepts start .. stop; changed in place."""
Missed = Literal["weak", "ambiguous", "taken"]
"""Why a concept has no match: nothing is similar enough ("weak"), two fit about as well
("ambiguous"), or what is similar belongs to others ("taken")."""
_ROWS = 1024  # rows of the similarity held at a time: 64 MB for 8192 columns


@dataclass(frozen=True)
class MatchConfig:
    """When two concepts count as one.

    Between two dictionaries (n = 128, k = 3) of the same 1200 phantoms that differ in the seed
    alone, 44 of 127 concepts match at these values, and for 98 % of these no other concept of the
    new dictionary has activations that correlate better; from .7 on 58 match, of which 83 % do.
    """

    min_score: float = 0.8  # least cosine, (0, 1]
    min_margin: float = 0.05  # least lead over the second best, seen from both sides, >= 0

    def __post_init__(self) -> None:
        if not 0.0 < self.min_score <= 1.0 or self.min_margin < 0.0:
            raise ConfigError("min_score lies in (0, 1] and min_margin is not negative")


@dataclass(frozen=True, eq=False)
class Directions:
    """The decoder directions of a dictionary, and where they live."""

    rows_ND: Floats = field(repr=False)  # one direction per concept, of any length > 0
    encoder_hash: str
    alive_N: NDArray[np.bool_] | None = None  # False for concepts that never fire; None: all do


@dataclass(frozen=True)
class ConceptMatch:
    """What became of one old concept."""

    old: int
    new: int | None  # None: no match
    score: float  # cosine to the match or, without one, to the best of the new ones; [-1, 1]
    margin: float  # lead of that pair over the next best, the smaller of both sides; may be < 0
    missed: Missed | None  # None where there is a match


def match_concepts(
    old: Directions,
    new: Directions,
    wanted: Sequence[int] | None = None,
    config: MatchConfig | None = None,
) -> tuple[ConceptMatch, ...]:
    """Match the concepts of two dictionaries of one encoder.

    Costs O * N * D operations; the similarity is never held as a whole, and the assignment is
    solved within each group of concepts that are similar enough to compete.

    Args:
        old, new: dictionaries; concepts that never fire take no part.
        wanted: old concepts to report on, each once; None: all. The others compete all the same.
        config: thresholds.

    Returns:
        One entry for each wanted concept, in that order.

    Raises:
        ConfigError: dictionaries of different encoders or dimensions, directions that are not
            finite, or a number in `wanted` that is no old concept.
    """
    old_OD, new_ND = _unit_directions(old), _unit_directions(new)
    _check(old, new, old_OD, new_ND)

    def rows(start: int, stop: int) -> Floats:
        return (old_OD[start:stop] @ new_ND.T).astype(np.float64)

    return _matched(rows, _alive(old), _alive(new), wanted, config or MatchConfig())


def match_similar(
    similarity_ON: Floats,
    alive_O: NDArray[np.bool_],
    alive_N: NDArray[np.bool_],
    wanted: Sequence[int] | None = None,
    config: MatchConfig | None = None,
) -> tuple[ConceptMatch, ...]:
    """The same where how alike two concepts are is known already, such as by their activations.

    Args:
        similarity_ON: in [-1, 1]; `ConceptMatch.score` is in its units.
        alive_O, alive_N: False for concepts that take no part.
        wanted, config: as for match_concepts.

    Raises:
        ConfigError: shapes do not fit, a value is not finite, or a number in `wanted` is no old
            concept.
    """
    if similarity_ON.shape != (len(alive_O), len(alive_N)) or not np.isfinite(similarity_ON).all():
        raise ConfigError("similarities are a finite table of old by new concepts")

    def rows(start: int, stop: int) -> Floats:
        return similarity_ON[start:stop].astype(np.float64)

    return _matched(rows, alive_O, alive_N, wanted, config or MatchConfig())


def _matched(
    rows: Rows, alive_O: NDArray[np.bool_], alive_N: NDArray[np.bool_],
    wanted: Sequence[int] | None, config: MatchConfig,
) -> tuple[ConceptMatch, ...]:  # fmt: skip
    report = list(range(len(alive_O)) if wanted is None else wanted)
    if any(not 0 <= number < len(alive_O) for number in report):
        raise ConfigError("no such concept in the old dictionary")
    near = _neighbours(rows, alive_O, alive_N, config.min_score)
    partner = _assign(near.pairs_ON)
    return tuple(_verdict(number, near, partner.get(number), config) for number in report)


def _unit_directions(of: Directions) -> NDArray[np.float32]:
    rows_ND = np.asarray(of.rows_ND, np.float64)
    if rows_ND.ndim != 2 or not np.isfinite(rows_ND).all():
        raise ConfigError("decoder directions are a finite table of concepts by dimensions")
    return np.asarray(unit(rows_ND), np.float32)


def _alive(of: Directions) -> NDArray[np.bool_]:
    return np.ones(len(of.rows_ND), bool) if of.alive_N is None else of.alive_N


def _check(old: Directions, new: Directions, old_OD: Floats, new_ND: Floats) -> None:
    if old.encoder_hash != new.encoder_hash:
        raise ConfigError("the two dictionaries were made with different encoders")
    if old_OD.shape[1] != new_ND.shape[1]:
        raise ConfigError(
            f"dictionaries of different dimensions: {old_OD.shape[1]} and {new_ND.shape[1]}"
        )
    if len(_alive(old)) != len(old_OD) or len(_alive(new)) != len(new_ND):
        raise ConfigError("alive_N has one entry per concept")


@dataclass(frozen=True, eq=False)
class _Neighbours:
    """Similarities that matter; dead concepts are similar to nothing (-1)."""

    pairs_ON: sparse.csr_array  # cosines of at least min_score
    best_O2: Floats  # largest and second largest cosine of each old concept
    best_N2: Floats  # the same of each new concept

    def margin(self, old: int, new: int, score: float) -> float:
        """Lead of the pair over the best other pair of either side."""
        rivals = []
        for best_2 in (self.best_O2[old], self.best_N2[new]):
            rivals.append(best_2[1] if score >= best_2[0] else best_2[0])
        return score - float(max(rivals))


def _neighbours(
    similar: Rows, old_O: NDArray[np.bool_], new_N: NDArray[np.bool_], least: float
) -> _Neighbours:
    best_O2, best_N2 = np.full((len(old_O), 2), -1.0), np.full((len(new_N), 2), -1.0)
    rows, columns, values = [], [], []
    for start in range(0, len(old_O), _ROWS):
        cosine_BN = similar(start, start + _ROWS)
        cosine_BN[~old_O[start : start + _ROWS]] = -1.0
        cosine_BN[:, ~new_N] = -1.0
        best_O2[start : start + _ROWS] = _two_best(cosine_BN)
        best_N2 = _two_best(np.hstack((best_N2, cosine_BN.T)))
        found = np.nonzero(cosine_BN >= least)
        rows.append(found[0] + start)
        columns.append(found[1])
        values.append(cosine_BN[found])
    index = (np.concatenate([*rows, []]).astype(int), np.concatenate([*columns, []]).astype(int))
    shape = (len(old_O), len(new_N))
    pairs_ON = sparse.csr_array((np.concatenate([*values, []]), index), shape=shape)
    return _Neighbours(pairs_ON, best_O2, best_N2)


def _two_best(values_RC: Floats) -> Floats:
    """Largest and second largest of each row [R, 2]; -1 where a row has fewer."""
    padded_RC = np.pad(values_RC, ((0, 0), (0, 2)), constant_values=-1.0)
    return np.asarray(-np.partition(-padded_RC, 1, axis=1)[:, :2])


def _assign(pairs_ON: sparse.csr_array) -> dict[int, int]:
    """Old concept -> new concept: the assignment of largest total over the pairs given.

    A pair that is not given is worth nothing, so groups without a pair between them are solved
    one by one: the result is that of the whole table.
    """
    olds, news = pairs_ON.shape
    empty = sparse.csr_array((olds, olds)), sparse.csr_array((news, news))
    graph = sparse.block_array([[empty[0], pairs_ON], [pairs_ON.T, empty[1]]], format="csr")
    _, group = sparse.csgraph.connected_components(graph, directed=False)
    entries = pairs_ON.tocoo()
    order = np.argsort(group[entries.row], kind="stable")
    edges = np.flatnonzero(np.diff(group[entries.row[order]])) + 1
    partner: dict[int, int] = {}
    for members in np.split(order, edges) if len(order) else []:
        partner |= _solve(entries.row[members], entries.col[members], entries.data[members])
    return partner


def _solve(rows: Any, columns: Any, values: Floats) -> dict[int, int]:
    """The best assignment within one group of pairs."""
    old, row = np.unique(rows, return_inverse=True)
    new, column = np.unique(columns, return_inverse=True)
    worth = np.zeros((len(old), len(new)))
    worth[row, column] = values
    pairs = zip(*linear_sum_assignment(worth, maximize=True), strict=True)
    return {int(old[r]): int(new[c]) for r, c in pairs if worth[r, c] > 0}


def _verdict(
    number: int, near: _Neighbours, partner: int | None, config: MatchConfig
) -> ConceptMatch:
    best, second = (float(value) for value in near.best_O2[number])
    if best < config.min_score:
        return ConceptMatch(number, None, best, best - second, "weak")
    if partner is None:
        return ConceptMatch(number, None, best, best - second, "taken")
    score = float(near.pairs_ON[number, partner])
    margin = near.margin(number, partner, score)
    if margin < config.min_margin:
        return ConceptMatch(number, None, score, margin, "ambiguous")
    return ConceptMatch(number, partner, score, margin, None)
