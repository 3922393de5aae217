"""The arithmetic of the hierarchy benchmark, on cases small enough to count by hand."""

import math

import numpy as np
import pytest
from scipy import sparse

from benchmarks.hierarchy import (
    absorption,
    ancestors,
    cycles,
    edge_precision,
    kind_accuracy,
    level_edges,
    paper_edges,
    random_f1,
    score,
    term_pairs,
    terms_by_iou,
    terms_by_mass,
)
from benchmarks.phantom_concepts import TARGETS, match_codes
from core.types import Relation

TERM_OF = {0: "lesion", 1: "globules", 2: "globules", 3: "ruler", 4: "lesion border"}


def truth(*columns: tuple[str, list[int]], rows: int) -> np.ndarray:
    marked = np.zeros((rows, len(TARGETS)), dtype=bool)
    for term, places in columns:
        marked[places, TARGETS.index(term)] = True
    return marked


def test_true_pairs_are_all_ancestors_with_their_kind() -> None:
    true = ancestors()
    assert len(true) == 31
    assert true["typical network", "lesion structure"] == "is-a"
    assert true["typical network", "lesion"] == "part-of"
    assert true["ruler", "artefact"] == "is-a"
    assert not any("image" in pair for pair in true)


def test_pairs_follow_paths_through_unmatched_concepts_and_synonyms() -> None:
    # 1 -> 9 -> 0 through an unmatched concept; 3 -> 8, and 8 is a synonym of 0; 2 -> 1 is one term.
    pairs = term_pairs([(1, 9), (9, 0), (3, 8), (2, 1)], [(0, 8)], TERM_OF)
    assert pairs == {("globules", "lesion"), ("ruler", "lesion")}


def test_score_by_hand() -> None:
    # Expressible: globules -> lesion and lesion border -> lesion. One is found, one is wrong.
    found = score({("globules", "lesion"), ("ruler", "lesion")}, TERM_OF)
    assert (found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5)
    assert (found.pairs, found.expressible) == (2, 2)
    nothing = score(set(), TERM_OF)
    assert (nothing.precision, nothing.recall, nothing.f1) == (0.0, 0.0, 0.0)


def test_edges_of_one_term_or_without_a_term_are_not_judged() -> None:
    assert edge_precision([(1, 0), (3, 0), (2, 1), (7, 0)], TERM_OF) == 0.5
    assert math.isnan(edge_precision([(2, 1)], TERM_OF))


def test_a_fragment_is_the_rarest_term_that_holds_its_activation() -> None:
    # Concept 0 fires on lesion patches, 3 of 4 parts of it on globules; 1 half on a ruler.
    codes_MN = sparse.csr_array(np.array([[3, 0, 0], [1, 0, 0], [0, 2, 0], [0, 2, 0.0]]))
    marked = truth(("lesion", [0, 1]), ("globules", [0]), ("ruler", [2]), rows=4)
    assert terms_by_mass(codes_MN, marked) == {0: "globules"}
    assert terms_by_mass(codes_MN, marked, 0.5) == {0: "globules", 1: "ruler"}
    assert terms_by_mass(codes_MN, marked, 0.8) == {0: "lesion"}


def test_kinds_are_judged_on_true_edges_only() -> None:
    edges = [
        Relation(1, 0, "part-of", 0.9, 50),
        Relation(4, 0, "is-a", 0.9, 50),
        Relation(3, 0, "is-a", 0.9, 50),
    ]
    assert kind_accuracy(edges, TERM_OF) == (0.5, 1.0)
    assert all(math.isnan(x) for x in kind_accuracy(edges[2:], TERM_OF))


def test_absorption_by_hand() -> None:
    # Patches 0-3 show globules in a lesion, 4-7 lesion alone. The concept of lesion is silent on
    # one of three patches where that of globules fires, and on one of the other five.
    marked = truth(("lesion", list(range(8))), ("globules", [0, 1, 2, 3]), rows=8)
    lesion = [0, 2, 2, 2, 2, 2, 2, 0]
    globules = [1, 1, 1, 0, 0, 0, 0, 0]
    codes_MN = sparse.csr_array(np.array([lesion, globules], dtype=float).T)
    matches = match_codes(codes_MN, marked, codes_MN, marked)
    assert terms_by_iou(matches) == {0: "lesion", 1: "globules"}
    assert absorption(matches, codes_MN, marked) == pytest.approx((1 / 3, 1 / 5))


def test_controls() -> None:
    assert cycles([(0, 1), (1, 2), (2, 0), (3, 2)]) == 1
    assert cycles([(0, 1), (1, 2)]) == 0
    # Concept 1 fires only beside 0, 2 and 3 always together.
    codes_MN = sparse.csr_array(np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1.0]]))
    assert paper_edges(codes_MN, 1) == [(1, 0)]
    decoder = np.array([[1, 0], [0, 1], [3, 1], [0, 2.0]])
    assert level_edges(decoder, np.array([0, 0, 1, 2])) == [(2, 0), (3, 1)]
    assert 0.0 < random_f1(3, TERM_OF, 0) < 0.5
    assert random_f1(3, TERM_OF, 0) == random_f1(3, TERM_OF, 0)
