"""Which concepts stand for which known attributes, and which mix several up.

Half of the images chooses concepts and thresholds, the other half scores them. Chance is measured,
not assumed: the attributes are dealt out to the images anew many times (one permutation serves all
attributes, and moves whole images, so neighbouring patches stay together), and a match counts
where it lies further from chance than the furthest of all pairs in 95 % of these draws (the
single-step maxT of Westfall and Young 1993: the chance of any false match is at most .05, however
many concepts there are). That guards the association on the scoring half; IoU and purity are plain
figures.

Legend: M places (images or patches), I images, N concepts, T attributes, R permutations.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from core.attribute_columns import Attribute, Level
from core.concept_scores import Ranks, auc, best_iou, iou_at
from core.errors import ConfigError

__all__ = [
    "Attribute",
    "AttributeConfig",
    "AttributeMatch",
    "AttributeReport",
    "ConceptFit",
    "Entanglement",
    "match_attributes",
]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_MOST_PIECES = 6
_PILOT = 40  # draws that give each pair's mean and deviation


@dataclass(frozen=True)
class AttributeConfig:
    """How matches are judged."""

    permutations: int = 199  # R; the smallest p is 1 / (R + 1)
    alpha: float = 0.05  # chance of any false match among all pairs, (0, 1)
    strong: float = 0.75  # AUC from which a concept serves an attribute, (.5, 1]
    piece_gain: float = 0.02  # least gain in IoU for a further concept of a spread attribute
    seed: int = 0  # of the halves and the permutations

    def __post_init__(self) -> None:
        if self.permutations < 1 or not 0.0 < self.alpha < 1.0 or not 0.5 < self.strong <= 1.0:
            raise ConfigError("permutations is at least 1, alpha lies in (0, 1), strong in (.5, 1]")


@dataclass(frozen=True)
class AttributeMatch:
    """The concept that shows an attribute best. Figures are of the scoring half."""

    attribute: str
    positives: int  # places with the attribute, both halves
    concept: int | None  # None where no concept fires on the choosing half
    auc: float | None  # of the concept's activation, [0, 1]; None where undefined
    chance_auc: float | None  # 1 - alpha quantile of the best concept's AUC under permutation
    p_value: float | None  # corrected for all pairs, two-sided
    significant: bool
    threshold: float | None  # activation above which a place is marked
    iou: float
    purity: float  # share of the marked places that have the attribute
    recall: float  # share of the places with the attribute that are marked
    pieces: tuple[int, ...] = ()  # concepts whose union shows it best, strongest first
    pieces_iou: float = 0.0

    @property
    def spread(self) -> bool:
        """Whether the attribute lies in several concepts."""
        return len(self.pieces) > 1


@dataclass(frozen=True)
class ConceptFit:
    """The attribute that a concept stands for most purely; only significant fits are listed."""

    concept: int
    attribute: str
    auc: float
    iou: float
    purity: float


@dataclass(frozen=True)
class Entanglement:
    """A concept that serves two attributes.

    `apart` are the AUCs for the first attribute where the second is absent, and the reverse. Where
    one is low, the concept is about the other attribute, and the two merely come together.
    """

    concept: int
    attributes: tuple[str, str]
    auc: tuple[float, float]
    apart: tuple[float | None, float | None]
    correlation: float  # phi of the two attributes, [-1, 1]
    entangled: bool  # serves each without the other's help


@dataclass(frozen=True)
class AttributeReport:
    """Concepts against attributes."""

    level: Level
    places: int
    matches: tuple[AttributeMatch, ...]  # in the order of the attributes
    concepts: tuple[ConceptFit, ...]  # purest first
    entanglements: tuple[Entanglement, ...]
    permutations: int
    alpha: float

    def as_json(self) -> dict[str, Any]:
        """JSON-ready, with finite numbers or null."""
        raw = asdict(self)
        for match, row in zip(self.matches, raw["matches"], strict=True):
            row["spread"] = match.spread
        return raw


def match_attributes(
    activations_MN: sparse.csr_array | sparse.csr_matrix,
    attributes: Sequence[Attribute],
    patches: int | None = None,
    config: AttributeConfig | None = None,
) -> AttributeReport:
    """Match concepts to known attributes.

    Args:
        activations_MN: >= 0; pooled codes [I, N] for columns, codes of all patches [I*P, N], image
            after image, for masks.
        attributes: at least one, with M answers each. A place with a missing answer is left out
            for all attributes that are matched in one call.
        patches: P for patch-level attributes, None for image-level ones.
        config: permutations and thresholds.

    Raises:
        ConfigError: no attribute, sizes that do not fit, or under 8 images with all answers.
    """
    config = config or AttributeConfig()
    if not attributes:
        raise ConfigError("there is no attribute to match")
    known_M = _known(attributes, activations_MN.shape[0], patches)
    codes_MN = sparse.csr_array(activations_MN)[np.flatnonzero(known_M)]
    truth_MT = np.column_stack([a.truth_M for a in attributes])[known_M]
    halves = _Halves.cut(codes_MN, truth_MT, patches or 1, config.seed)
    pairs = _Pairs.of(halves, patches or 1, config)
    matches = tuple(
        _match(t, a.name, int(truth_MT[:, t].sum()), halves, pairs, config)
        for t, a in enumerate(attributes)
    )
    names = [a.name for a in attributes]
    return AttributeReport(
        "image" if patches is None else "patch",
        int(known_M.sum()),
        matches,
        _fits(names, pairs, config.alpha),
        _entanglements(names, halves, pairs, config),
        config.permutations,
        config.alpha,
    )


@dataclass(frozen=True, eq=False)
class _Halves:
    """Codes and truth of the choosing and of the scoring half."""

    choose_MN: sparse.csr_array
    choose_MT: Bools
    score_MN: sparse.csr_array
    score_MT: Bools

    @staticmethod
    def cut(codes_MN: sparse.csr_array, truth_MT: Bools, patches: int, seed: int) -> "_Halves":
        images = len(truth_MT) // patches
        if images < 8:
            raise ConfigError(f"{images} images with answers are too few to match anything")
        first_I = np.zeros(images, np.bool_)
        first_I[np.random.default_rng(seed).permutation(images)[: images // 2]] = True
        first = np.flatnonzero(np.repeat(first_I, patches))
        second = np.flatnonzero(np.repeat(~first_I, patches))
        return _Halves(codes_MN[first], truth_MT[first], codes_MN[second], truth_MT[second])


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Figures of every concept and attribute."""

    choose_iou_NT: Floats
    threshold_NT: Floats  # of the choosing half, as the line above; the rest is of the other half
    auc_NT: Floats
    iou_NT: Floats
    purity_NT: Floats
    recall_NT: Floats
    p_NT: Floats  # NaN where undefined
    chance_T: Floats  # 1 - alpha quantile of the largest AUC over concepts

    @staticmethod
    def of(halves: _Halves, patches: int, config: AttributeConfig) -> "_Pairs":
        choose_iou_NT, threshold_NT = best_iou(halves.choose_MN, halves.choose_MT)
        marked_NT, both_NT = _marked(halves.score_MN, halves.score_MT, threshold_NT)
        positive_T = halves.score_MT.sum(axis=0)
        auc_NT = auc(halves.score_MN, halves.score_MT)
        p_NT, chance_T = _chance(halves, auc_NT, patches, config)
        return _Pairs(
            choose_iou_NT, threshold_NT, auc_NT,
            iou_at(halves.score_MN, halves.score_MT, threshold_NT),
            both_NT / np.maximum(marked_NT, 1), both_NT / np.maximum(positive_T, 1),
            p_NT, chance_T,
        )  # fmt: skip


def _known(attributes: Sequence[Attribute], places: int, patches: int | None) -> Bools:
    """Places of images that have all answers."""
    for attribute in attributes:
        if not len(attribute.truth_M) == len(attribute.known_M) == places:
            raise ConfigError(f"{attribute.name!r} does not have one answer for each of {places}")
    known_M = np.all([a.known_M for a in attributes], axis=0)
    if patches is None:
        return np.asarray(known_M)
    if patches < 1 or places % patches:
        raise ConfigError(f"{places} patches are not a whole number of images of {patches}")
    return np.repeat(known_M.reshape(-1, patches).all(axis=1), patches)


def _marked(
    codes_MN: sparse.csr_array, truth_MT: Bools, threshold_NT: Floats
) -> tuple[Floats, Floats]:
    """Places above the threshold, and those of them with the attribute, [N, T] each."""
    marked_NT = np.zeros(threshold_NT.shape)
    both_NT = np.zeros(threshold_NT.shape)
    by_concept = sparse.csc_array(codes_MN)
    for concept, (start, stop) in enumerate(
        zip(by_concept.indptr[:-1], by_concept.indptr[1:], strict=True)
    ):
        above_ZT = by_concept.data[start:stop, None] > threshold_NT[concept]
        marked_NT[concept] = above_ZT.sum(axis=0)
        both_NT[concept] = (above_ZT & truth_MT[by_concept.indices[start:stop]]).sum(axis=0)
    return marked_NT, both_NT


def _chance(
    halves: _Halves, auc_NT: Floats, patches: int, config: AttributeConfig
) -> tuple[Floats, Floats]:
    """Corrected p-values [N, T] and the AUC [T] that the best concept reaches by chance.

    Pairs are put on one scale by mean and deviation of a few draws of their own: over patches, a
    lesion in the middle of every image is found by chance with an AUC far above one half.
    """
    ranks = Ranks.of(halves.score_MN)
    draws = _dealt(ranks, halves.score_MT, patches, np.random.default_rng([config.seed, 1]))
    pilot_RNT = np.stack([next(draws) for _ in range(_PILOT)])
    centre_NT = pilot_RNT.mean(axis=0)
    scale_NT = np.maximum(pilot_RNT.std(axis=0, ddof=1), _deviation(halves))
    seen_NT = np.abs(auc_NT - centre_NT) / scale_NT
    beaten_NT = np.ones(auc_NT.shape)
    best_RT = np.empty((config.permutations, auc_NT.shape[1]))
    for draw in range(config.permutations):
        drawn_NT = next(draws)
        best_RT[draw] = np.nan_to_num(drawn_NT, nan=0.5).max(axis=0, initial=0.5)
        furthest = np.nan_to_num(np.abs(drawn_NT - centre_NT) / scale_NT).max(initial=0.0)
        beaten_NT += furthest >= seen_NT
    p_NT = np.where(np.isnan(auc_NT), np.nan, beaten_NT / (config.permutations + 1))
    return p_NT, np.quantile(best_RT, 1 - config.alpha, axis=0)


def _dealt(
    ranks: Ranks, truth_MT: Bools, patches: int, rng: np.random.Generator
) -> Iterator[Floats]:
    """AUCs [N, T] with the images' truths dealt out anew, without end."""
    images_ITP = truth_MT.reshape(-1, patches * truth_MT.shape[1])
    while True:
        dealt = images_ITP[rng.permutation(len(images_ITP))]
        yield ranks.auc(dealt.reshape(truth_MT.shape))


def _deviation(halves: _Halves) -> Floats:
    """Standard deviation of the AUC by chance, were places independent; zeros tied, [N, T].

    sd^2 = (M + 1) / (12 m n) * (1 - (z^3 - z) / (M^3 - M)) for m and n places with and without
    the attribute and z zeros. A lower bound, so that a concept that fires once counts for little.
    """
    places = len(halves.score_MT)
    positive_T = halves.score_MT.sum(axis=0).astype(np.float64)
    pairs_T = np.maximum(positive_T * (places - positive_T), 1.0)
    zeros_N = places - (halves.score_MN > 0).sum(axis=0).astype(np.float64)
    tied_N = 1 - (zeros_N**3 - zeros_N) / max(float(places) ** 3 - places, 1.0)
    variance_NT = np.maximum(tied_N, 1e-9)[:, None] * (places + 1) / (12 * pairs_T)
    return np.asarray(np.sqrt(variance_NT))


def _match(
    t: int, name: str, positives: int, halves: _Halves, pairs: _Pairs, config: AttributeConfig
) -> AttributeMatch:
    concept = int(pairs.choose_iou_NT[:, t].argmax())
    chance = float(pairs.chance_T[t])
    if pairs.choose_iou_NT[concept, t] <= 0:
        return AttributeMatch(
            name, positives, None, None, chance, None, False, None, 0.0, 0.0, 0.0
        )  # fmt: skip
    pieces, pieces_iou = _pieces(t, halves, pairs, config.piece_gain)
    score, p = float(pairs.auc_NT[concept, t]), float(pairs.p_NT[concept, t])
    defined = math.isfinite(score)
    return AttributeMatch(
        name, positives, concept, score if defined else None, chance, p if defined else None,
        defined and p <= config.alpha and score > 0.5, float(pairs.threshold_NT[concept, t]),
        float(pairs.iou_NT[concept, t]), float(pairs.purity_NT[concept, t]),
        float(pairs.recall_NT[concept, t]), pieces, pieces_iou,
    )  # fmt: skip


def _pieces(t: int, halves: _Halves, pairs: _Pairs, gain: float) -> tuple[tuple[int, ...], float]:
    """Concepts added to a union one by one, while the choosing half's IoU grows enough.

    Only concepts that mark the attribute more often than not come in question.
    """
    able = np.argsort(-pairs.choose_iou_NT[:, t], kind="stable")[:30]
    choose, score = halves.choose_MN.tocsc(), halves.score_MN.tocsc()
    union_M = np.zeros(len(halves.choose_MT), np.bool_)
    found_M = np.zeros(len(halves.score_MT), np.bool_)
    pieces: list[int] = []
    reached = 0.0
    while len(pieces) < _MOST_PIECES:
        grown = [
            (_iou(union_M | _above(choose, c, pairs.threshold_NT[c, t]), halves.choose_MT[:, t]), c)
            for c in able.tolist()
            if c not in pieces
        ]
        value, concept = max(grown, key=lambda pair: (pair[0], -pair[1]), default=(0.0, -1))
        if concept < 0 or value <= reached + (gain if pieces else 0.0):
            break
        pieces.append(concept)
        reached = value
        union_M |= _above(choose, concept, pairs.threshold_NT[concept, t])
        found_M |= _above(score, concept, pairs.threshold_NT[concept, t])
    return tuple(pieces), _iou(found_M, halves.score_MT[:, t])


def _above(by_concept: sparse.csc_array, concept: int, threshold: float) -> Bools:
    span = slice(by_concept.indptr[concept], by_concept.indptr[concept + 1])
    out_M = np.zeros(by_concept.shape[0], np.bool_)
    out_M[by_concept.indices[span][by_concept.data[span] > threshold]] = True
    return out_M


def _iou(marked_M: Bools, truth_M: Bools) -> float:
    either = int((marked_M | truth_M).sum())
    return float((marked_M & truth_M).sum() / either) if either else 0.0


def _fits(names: Sequence[str], pairs: _Pairs, alpha: float) -> tuple[ConceptFit, ...]:
    """The best attribute of each concept that has a significant one, purest first."""
    sure_NT = (pairs.p_NT <= alpha) & (pairs.auc_NT > 0.5)
    fits = []
    for concept in np.flatnonzero(sure_NT.any(axis=1)).tolist():
        t = int(np.where(sure_NT[concept], pairs.choose_iou_NT[concept], -1.0).argmax())
        fits.append(
            ConceptFit(
                concept, names[t], float(pairs.auc_NT[concept, t]),
                float(pairs.iou_NT[concept, t]), float(pairs.purity_NT[concept, t]),
            )
        )  # fmt: skip
    return tuple(sorted(fits, key=lambda fit: (-fit.purity, fit.concept)))


def _entanglements(
    names: Sequence[str], halves: _Halves, pairs: _Pairs, config: AttributeConfig
) -> tuple[Entanglement, ...]:
    serves_NT = (pairs.p_NT <= config.alpha) & (pairs.auc_NT >= config.strong)
    found = []
    for concept in np.flatnonzero(serves_NT.sum(axis=1) > 1).tolist():
        own_M1 = halves.score_MN[:, [concept]]
        for a, b in combinations(np.flatnonzero(serves_NT[concept]).tolist(), 2):
            one_M, other_M = halves.score_MT[:, a], halves.score_MT[:, b]
            apart = _auc_where(own_M1, one_M, ~other_M), _auc_where(own_M1, other_M, ~one_M)
            both = all(value is not None and value >= config.strong for value in apart)
            scores = float(pairs.auc_NT[concept, a]), float(pairs.auc_NT[concept, b])
            related = float(np.corrcoef(one_M, other_M)[0, 1])
            pair = (names[a], names[b])
            found.append(Entanglement(concept, pair, scores, apart, related, both))
    return tuple(found)


def _auc_where(own_M1: sparse.csr_array, truth_M: Bools, where_M: Bools) -> float | None:
    rows = np.flatnonzero(where_M)
    if not len(rows):
        return None
    value = float(auc(own_M1[rows], truth_M[rows, None])[0, 0])
    return value if math.isfinite(value) else None
