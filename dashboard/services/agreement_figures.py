"""From people's words to the figures of agreement. Pure: no store, no screen.

A word is what one person said of one item: of a cue (correct, spurious) or of a case (its class).
"Unsure" is an abstention, as it is for runs (decision 0008), unless it is asked for as a word of
its own. Shared items are those on which two people or more spoke.

Legend: I shared items; R reviewers; K words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.consensus import Consensus, dawid_skene, majority
from core.raters import MISSING, RESAMPLES, Coefficient, cohen, counts, fleiss, krippendorff
from dashboard.viewmodels.agreement import (
    AgreementView,
    CoefficientView,
    ConceptAgreementView,
    ConsensusView,
    DisputeRow,
    PairView,
    RaterView,
    Subject,
)

THIN = 30  # cases; below, simulated intervals held the truth in 89 to 95 of 100 draws
MAX_PAIRS = 60
MAX_CONCEPTS = 100
DRAWS = 500  # bootstrap draws per pair and per concept
CUE_WORDS = ("correct", "spurious")
UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Said:
    """What one person said of one item."""

    item: str
    case: str
    group: str  # concept id, or the predicted class
    reviewer: str
    word: str | None  # None: abstained


@dataclass(frozen=True)
class Table:
    """The words of the shared items."""

    subject: Subject
    words: tuple[str, ...]
    items: tuple[str, ...]
    cases: tuple[str, ...]  # of each item
    groups: tuple[str, ...]  # of each item
    reviewers: tuple[str, ...]  # by name
    word_IR: NDArray[np.int64]
    abstained_IR: NDArray[np.bool_]

    @property
    def count_IK(self) -> NDArray[np.int64]:
        """How many people said each word."""
        return counts(self.word_IR, max(1, len(self.words)))

    @property
    def disputed_I(self) -> NDArray[np.bool_]:
        """Items on which two different words were said."""
        return np.asarray((self.count_IK > 0).sum(axis=1) >= 2)

    def consensus(self, decided: Mapping[str, str] | None = None) -> Consensus | None:
        """Dawid and Skene's estimate, decided items held; None where there is no choice."""
        if len(self.words) < 2 or not self.items:
            return None
        number = {word: k for k, word in enumerate(self.words)}
        known = [number.get((decided or {}).get(item, ""), MISSING) for item in self.items]
        return dawid_skene(self.word_IR, len(self.words), known_I=np.array(known, dtype=np.int64))


def table(said: Iterable[Said], subject: Subject, words: Sequence[str]) -> Table:
    """The shared items of a stream of words, in the order in which the items come.

    Words outside `words` count as abstentions.
    """
    by_item: dict[str, list[Said]] = defaultdict(list)
    for each in said:
        by_item[each.item].append(each)
    shared = {item: given for item, given in by_item.items() if len(given) >= 2}
    people = sorted({each.reviewer for given in shared.values() for each in given})
    column = {name: r for r, name in enumerate(people)}
    number = {word: k for k, word in enumerate(words)}
    word_IR = np.full((len(shared), len(people)), MISSING, dtype=np.int64)
    abstained_IR = np.zeros(word_IR.shape, dtype=np.bool_)
    for i, given in enumerate(shared.values()):
        for each in given:
            k = number.get(each.word or "", MISSING)
            word_IR[i, column[each.reviewer]] = k
            abstained_IR[i, column[each.reviewer]] = k == MISSING
    first = [given[0] for given in shared.values()]
    return Table(
        subject, tuple(words), tuple(shared), tuple(each.case for each in first),
        tuple(each.group for each in first), tuple(people), word_IR, abstained_IR,
    )  # fmt: skip


def figures(
    found: Table, decided: Mapping[str, str], names: Mapping[str, str], *, limit: int = MAX_CONCEPTS
) -> AgreementView:
    """All figures of a table.

    Args:
        decided: adjudicated items and the word that was decided.
        names: names of the groups (concepts); one that is missing is called by its key.
        limit: concepts to give figures for, most disputed first.
    """
    case_I = _cluster(found)
    disputed_I = found.disputed_I
    open_I = disputed_I & np.array([item not in decided for item in found.items], dtype=np.bool_)
    consensus = found.consensus(decided)
    return AgreementView(
        subject=found.subject,
        words=found.words,
        items=len(found.items),
        cases=len(set(found.cases)),
        reviewers=len(found.reviewers),
        disputed=int(disputed_I.sum()),
        open=int(open_I.sum()),
        overall=(
            _view("Krippendorff's alpha", krippendorff(found.count_IK, cluster_I=case_I)),
            _view("Fleiss' kappa", fleiss(found.count_IK, cluster_I=case_I)),
        ),
        pairs=_pairs(found, case_I),
        concepts=_concepts(found, case_I, disputed_I, open_I, names, limit),
        raters=_raters(found, consensus),
        consensus=_consensus(found, consensus, decided),
    )


def disputes(
    found: Table, decided: Mapping[str, str], names: Mapping[str, str]
) -> list[DisputeRow]:
    """The items on which people differ, the most even first, then as they came."""
    places = np.flatnonzero(found.disputed_I)
    if not len(places):
        return []
    count_IK = found.count_IK
    leading_I, share_I = majority(count_IK)
    consensus = found.consensus()
    chosen_I = leading_I if consensus is None else consensus.word_I
    sure_I = share_I if consensus is None else consensus.posterior_IK.max(axis=1)
    abstained_I = found.abstained_IR.sum(axis=1)
    rows = []
    for i in places[np.argsort(share_I[places], kind="stable")].tolist():
        item, group = found.items[i], found.groups[i]
        rows.append(
            DisputeRow(
                id=item,
                case_id=found.cases[i],
                group=group,
                about=names.get(group, group),
                said=_spoken(found.words, count_IK[i].tolist(), int(abstained_I[i])),
                majority=_word(found, leading_I[i]),
                consensus=_word(found, chosen_I[i]) if consensus else None,
                probability=float(sure_I[i]) if consensus else None,
                decided=decided.get(item),
            )
        )
    return rows


def _spoken(
    words: Sequence[str], count_K: Sequence[int], abstained: int
) -> tuple[tuple[str, int], ...]:
    """Who said what, most often first; abstentions beside an "unsure" that is a word."""
    said = [(word, n) for word, n in zip(words, count_K, strict=True) if n]
    if abstained:
        said.append((UNSURE, abstained))
    return tuple(sorted(said, key=lambda each: -each[1]))


def _view(name: str, found: Coefficient, of: str = "cases") -> CoefficientView:
    return CoefficientView(
        name, found.value, found.bootstrap, found.analytic, found.observed, found.items,
        found.clusters, _note(found, of),
    )  # fmt: skip


def _note(found: Coefficient, of: str) -> str:
    if found.items == 0:
        return "nobody shares an item with anybody else yet"
    if found.value is None:
        return "only one word was ever used, so chance alone would agree as well"
    if found.clusters < 2:
        return f"fewer than two {of}: no interval"
    if found.clusters < THIN:
        return f"fewer than {THIN} {of}: the intervals tend to be too narrow"
    return ""


def _numbered(keys: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct keys as they come, and the number of each; sorting strings would be slow."""
    number = {key: n for n, key in enumerate(dict.fromkeys(keys))}
    return list(number), np.array([number[key] for key in keys], dtype=np.int64)


def _cluster(found: Table) -> NDArray[np.int64]:
    """A number for the case of each item: cues of one case share a picture."""
    return _numbered(found.cases)[1]


def _pairs(found: Table, case_I: NDArray[np.int64]) -> tuple[PairView, ...]:
    """Everybody with everybody, most shared items first."""
    spoke_IR = found.word_IR != MISSING
    shared_RR = spoke_IR.T.astype(np.int64) @ spoke_IR.astype(np.int64)
    pairs = [(int(shared_RR[a, b]), a, b) for a, b in combinations(range(len(found.reviewers)), 2)]
    pairs = sorted((pair for pair in pairs if pair[0]), key=lambda pair: -pair[0])[:MAX_PAIRS]
    views = []
    for _, a, b in pairs:
        kappa = cohen(
            found.word_IR[:, a], found.word_IR[:, b], len(found.words), cluster_I=case_I,
            resamples=DRAWS,
        )  # fmt: skip
        views.append(
            PairView(found.reviewers[a], found.reviewers[b], _view("Cohen's kappa", kappa))
        )
    return tuple(views)


def _concepts(
    found: Table, case_I: NDArray[np.int64], disputed_I: NDArray[np.bool_],
    open_I: NDArray[np.bool_], names: Mapping[str, str], limit: int,
) -> tuple[ConceptAgreementView, ...]:  # fmt: skip
    if not found.items:
        return ()
    keys, place_I = _numbered(found.groups)
    disputed = np.bincount(place_I, disputed_I, len(keys)).astype(int)
    undecided = np.bincount(place_I, open_I, len(keys)).astype(int)
    size = np.bincount(place_I, minlength=len(keys))
    order = sorted(range(len(keys)), key=lambda g: (-undecided[g], -disputed[g], -size[g]))[:limit]
    count_IK = found.count_IK
    # One sort for all, so that many concepts do not mean many scans.
    members = np.split(np.argsort(place_I, kind="stable"), np.cumsum(size)[:-1])
    views = []
    for g in order:
        rows = members[g]
        alpha = krippendorff(count_IK[rows], cluster_I=case_I[rows], resamples=DRAWS)
        key = keys[g]
        views.append(
            ConceptAgreementView(
                key, names.get(key, key), int(size[g]), int(disputed[g]), int(undecided[g]),
                _view("Krippendorff's alpha", alpha),
            )
        )  # fmt: skip
    return tuple(views)


def _raters(found: Table, consensus: Consensus | None) -> tuple[RaterView, ...]:
    leading_I = majority(found.count_IK)[0] if found.items else np.zeros(0, dtype=np.int64)
    views = []
    for r, name in enumerate(found.reviewers):
        said_I = found.word_IR[:, r]
        clear = (said_I != MISSING) & (leading_I != MISSING)
        alike = float((said_I[clear] == leading_I[clear]).mean()) if clear.any() else None
        views.append(
            RaterView(
                name, int((said_I != MISSING).sum()), int(found.abstained_IR[:, r].sum()), alike,
                _right(found, consensus, r),
            )
        )  # fmt: skip
    return tuple(views)


def _right(found: Table, consensus: Consensus | None, r: int) -> tuple[tuple[str, float, int], ...]:
    """How often the person says each word where it is true, and on how many such items."""
    if consensus is None:
        return ()
    on_K = consensus.posterior_IK[found.word_IR[:, r] != MISSING].sum(axis=0)
    return tuple(
        (word, float(consensus.confusion_RKK[r, k, k]), round(float(on_K[k])))
        for k, word in enumerate(found.words)
    )


def _consensus(
    found: Table, consensus: Consensus | None, decided: Mapping[str, str]
) -> ConsensusView | None:
    if consensus is None:
        return None
    leading_I, chosen_I = majority(found.count_IK)[0], consensus.word_I
    both = (leading_I != MISSING) & (chosen_I != MISSING)
    spoken = found.count_IK.sum(axis=1) > 0
    ties = spoken & (leading_I == MISSING)
    return ConsensusView(
        words=found.words,
        majority=_per_word(leading_I, len(found.words)),
        ties=int(ties.sum()),
        consensus=_per_word(chosen_I, len(found.words)),
        even=int((chosen_I == MISSING).sum()),
        settled=int((ties & (chosen_I != MISSING)).sum()),
        differ=int((both & (leading_I != chosen_I)).sum()),
        anchored=sum(decided.get(item) in found.words for item in found.items),
        converged=consensus.converged,
    )


def _per_word(word_I: NDArray[Any], words: int) -> tuple[int, ...]:
    return tuple(int((word_I == k).sum()) for k in range(words))


def _word(found: Table, k: int) -> str | None:
    return None if k == MISSING else found.words[int(k)]


def kappa_with(
    said: Sequence[str | None], reference: Sequence[str], cases: Sequence[str]
) -> CoefficientView:
    """Cohen's kappa of one person with a reference, drawn over cases; None: left out."""
    words = sorted({*reference, *(word for word in said if word is not None)})
    number = {word: k for k, word in enumerate(words)}
    said_I = np.array([MISSING if w is None else number[w] for w in said], dtype=np.int64)
    right_I = np.array([number[word] for word in reference], dtype=np.int64)
    found = cohen(
        said_I, right_I, max(1, len(words)), cluster_I=_numbered(cases)[1], resamples=RESAMPLES
    )
    return _view("Cohen's kappa", found)
