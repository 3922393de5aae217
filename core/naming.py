"""The model's own names for concepts: the nearest word of a vocabulary, or no name at all.

A concept's embedding is what the dictionary decodes for it, bias included (Discover-then-Name);
related concepts are mixed in by how strongly they fire beside it (Insight). Image and text
embeddings of one space still lie apart (the modality gap), so the mean of each side is
subtracted before the cosine. A name is given only with enough score *and* enough margin.

Shape legend: N concepts, D embedding, T terms, S phrases (names and synonyms), M patches.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from core.errors import ConfigError
from core.types import ConceptName, Relation, RunnerUp
from core.vocabulary import DIAGNOSIS, Vocabulary

Floats = NDArray[np.floating[Any]]
EncodeTexts = Callable[[Sequence[str]], Any]  # -> tensor or array [S, D]
_BATCH = 256  # texts per call of the text tower, concepts per table of scores
_MEAN_TERMS = 4  # with fewer terms their mean says nothing about the gap


@dataclass(frozen=True)
class NamingConfig:
    """How names are found and when none is given.

    Set on phantoms, where the truth is known; figures of fresh ones: `benchmarks naming`. With an
    encoder whose patches do not match texts (ViT-Ti on photographs) scores stay near 0.2 and nearly
    every concept goes without a name.
    """

    templates: tuple[str, ...] = ("{}", "a photo of {}", "a region with {}")
    top: int = 30  # strongest patches of a concept on which related concepts are weighed
    mix: float = 0.5  # share of related concepts taken in, 0 = none; the paper: 1
    tau: float = 0.75  # least P(related | concept) to be mixed in
    min_score: float = 0.3  # corrected cosine below which no name is given
    min_margin: float = 0.05  # lead over the next term that is neither more general nor more
    # specific, below which no name is given
    slack: float = 0.05  # how much worse a name may score so as not to repeat the parent's, or so
    # as to be the kind that stands out rather than the thing
    runners_up: int = 5
    gap: bool = True  # whether the mean image and the mean text are subtracted (modality gap)
    circular: bool = False  # whether a word under the root "diagnosis" may name a concept; if not,
    # a concept nearest to one goes without a name: "melanoma, because melanoma" explains nothing

    def __post_init__(self) -> None:
        if not self.templates or any("{}" not in t for t in self.templates):
            raise ConfigError('every prompt template holds "{}"')
        if min(self.mix, self.slack) < 0 or self.top < 1 or self.runners_up < 1:
            raise ConfigError("mix and slack are not negative; top and runners_up are at least 1")


@dataclass(frozen=True)
class TermEmbeddings:
    """Unit embeddings of all phrases and the term that each one stands for."""

    names: tuple[str, ...]  # T
    phrase_SD: Floats  # mean over templates, unit rows
    term_S: NDArray[np.int64]  # ascending, each term at least once

    def scores(self, concept_ND: Floats, mean_D: Floats) -> Floats:
        """Cosine [N, T] of unit concepts with the phrases less their mean [D].

        Each term scores as its best phrase.
        """
        cosine_NS = concept_ND @ unit(self.phrase_SD - mean_D).T
        first_T = np.searchsorted(self.term_S, np.arange(len(self.names)))
        return np.asarray(np.maximum.reduceat(cosine_NS, first_T, axis=1))

    def mean(self) -> Floats:
        """Mean text embedding [D], zero for a handful of terms."""
        if len(self.names) < _MEAN_TERMS:
            return np.zeros(self.phrase_SD.shape[1])
        return np.asarray(self.phrase_SD.mean(axis=0))


def unit(rows: Floats) -> Floats:
    """Rows scaled to length 1; a zero row stays zero."""
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(norms > 1e-12, norms, 1.0))


def kinds_by_name(
    relations: Iterable[Relation], names: Sequence[ConceptName], vocabulary: Vocabulary
) -> tuple[Relation, ...]:
    """Relations as *is-a* where the names say so, whatever the patches look like.

    That is where child and parent bear the same name, or where the vocabulary puts the child's
    name right under the parent's. Regions alone cannot tell: an irregular border covers as little
    of all lesion borders as globules cover of a lesion.
    """
    parent = {term.name: term.parent for term in vocabulary.terms}
    found = []
    for edge in relations:
        child_name, parent_name = names[edge.child].name, names[edge.parent].name
        known = child_name is not None and parent_name is not None
        kind_of = known and parent_name in (child_name, parent.get(child_name or ""))
        found.append(replace(edge, kind="is-a") if kind_of else edge)
    return tuple(found)


def embed_terms(
    vocabulary: Vocabulary, encode_texts: EncodeTexts, templates: Sequence[str]
) -> TermEmbeddings:
    """Embed every phrase of a vocabulary as the mean over prompt templates."""
    phrases = [phrase for term in vocabulary.terms for phrase in term.phrases]
    owner = [t for t, term in enumerate(vocabulary.terms) for _ in term.phrases]
    if not phrases:
        raise ConfigError("the vocabulary has no words")
    # A phrase is untrusted: it is put in, never formatted.
    prompts = [template.replace("{}", phrase) for phrase in phrases for template in templates]
    parts = [
        as_array(encode_texts(prompts[start : start + _BATCH]))
        for start in range(0, len(prompts), _BATCH)
    ]
    texts = unit(np.concatenate(parts)).reshape(len(phrases), len(templates), -1)
    return TermEmbeddings(vocabulary.names, unit(texts.mean(axis=1)), np.array(owner, np.int64))


def as_array(embeddings: Any) -> Floats:
    """A float64 array of a torch tensor or of anything that numpy reads."""
    detach = getattr(embeddings, "detach", None)
    raw = detach().cpu().float().numpy() if detach is not None else embeddings
    return np.asarray(raw, np.float64)


def mixing_weights(
    codes_MN: sparse.csr_array, conditional_NN: sparse.csr_array, config: NamingConfig
) -> sparse.csr_array:
    """How strongly each concept's neighbours fire where it fires most.

    Row i holds, on the diagonal, the mean activation of i on its `top` strongest patches, and for
    each other j with D^_ij > tau: mix * D^_ij * mean activation of j on those patches.

    Args:
        codes_MN: activations of all patches.
        conditional_NN: D^ of `core.relations.Cooccurrence`, with every activation counted.
        config: `top`, `mix` and `tau`.
    """
    concepts = codes_MN.shape[1]
    picked_NM = _top_patches(codes_MN, config.top)
    mean_NN = sparse.csr_array(picked_NM @ codes_MN.astype(np.float64))
    share_NN = conditional_NN.multiply(conditional_NN > config.tau).tolil()
    share_NN.setdiag(0.0)
    factor_NN = config.mix * share_NN.tocsr() + sparse.eye_array(concepts, format="csr")
    return sparse.csr_array(mean_NN.multiply(factor_NN))


def _top_patches(codes_MN: sparse.csr_array, top: int) -> sparse.csr_array:
    """Row i averages over the strongest patches of concept i; empty where it never fires."""
    by_concept = codes_MN.tocsc()
    rows, columns, values = [], [], []
    for concept in range(codes_MN.shape[1]):
        span = slice(by_concept.indptr[concept], by_concept.indptr[concept + 1])
        strongest = np.argsort(-by_concept.data[span], kind="stable")[:top]
        rows.append(np.full(len(strongest), concept))
        columns.append(by_concept.indices[span][strongest])
        values.append(np.full(len(strongest), 1.0 / max(len(strongest), 1)))
    index = (np.concatenate(rows), np.concatenate(columns))
    shape = (codes_MN.shape[1], codes_MN.shape[0])
    return sparse.csr_array((np.concatenate(values), index), shape=shape)


def concept_embeddings(
    decoder_ND: Floats,
    bias_D: Floats,
    image_mean_D: Floats,
    mixing_NN: sparse.csr_array | None = None,
) -> Floats:
    """Unit embeddings [N, D] of concepts, the image mean subtracted.

    decode(mixing row) = mixing @ decoder + bias; a plain one-hot where `mixing_NN` is None.
    """
    code_NN = sparse.eye_array(len(decoder_ND), format="csr") if mixing_NN is None else mixing_NN
    decoded_ND = np.asarray(code_NN @ decoder_ND.astype(np.float64)) + bias_D
    return unit(unit(decoded_ND) - image_mean_D)


def name_concepts(
    decoder_ND: Floats,
    bias_D: Floats,
    vocabulary: Vocabulary,
    encode_texts: EncodeTexts,
    *,
    image_mean_D: Floats,
    mixing_NN: sparse.csr_array | None = None,
    relations: Iterable[Relation] = (),
    alive_N: NDArray[np.bool_] | None = None,
    config: NamingConfig | None = None,
) -> tuple[ConceptName, ...]:
    """Name every concept, or abstain.

    Args:
        decoder_ND: unit decoder directions.
        bias_D: decoder bias.
        vocabulary: candidate names; a term scores as its best phrase.
        encode_texts: texts -> unit embeddings [S, D] in the image's space.
        image_mean_D: mean of the unit image tokens, subtracted from the concepts.
        mixing_NN: of `mixing_weights`; None uses each concept alone.
        relations: edges of the graph; a child avoids the names of its parents and, if it can, any
            term that the vocabulary puts above them.
        alive_N: False for concepts that never fire; those get no name.
        config: templates and thresholds.

    Returns:
        N names in order. `runners_up` are the next best terms or, where no name is given,
        the best ones: they serve as suggestions.
    """
    config = config or NamingConfig()
    terms = embed_terms(vocabulary, encode_texts, config.templates)
    share = 1.0 if config.gap else 0.0
    concept_ND = concept_embeddings(decoder_ND, bias_D, share * image_mean_D, mixing_NN)
    alive = np.ones(len(concept_ND), bool) if alive_N is None else alive_N
    parents: dict[int, list[int]] = {}
    for edge in relations:
        parents.setdefault(edge.child, []).append(edge.parent)
    kin = _Kin.of(vocabulary)
    named: dict[int, ConceptName] = {}
    order = _parents_first(len(concept_ND), parents)
    for start in range(0, len(order), _BATCH):  # a table of all scores may not fit in memory
        rows = order[start : start + _BATCH]
        scores_BT = terms.scores(concept_ND[rows], share * terms.mean())
        for concept, scores_T in zip(rows, scores_BT, strict=True):
            above = {kin.number[n] for p in parents.get(concept, ()) if (n := named[p].name)}
            named[concept] = _name(scores_T, kin, above, bool(alive[concept]), config)
    return tuple(named[concept] for concept in range(len(concept_ND)))


@dataclass(frozen=True)
class _Kin:
    """Terms by number and which of them are more general or more specific than which."""

    names: tuple[str, ...]
    number: dict[str, int]
    above: tuple[tuple[int, ...], ...]  # ancestors of each term, nearest first
    below: tuple[tuple[int, ...], ...]  # descendants of each term
    diagnoses: frozenset[int]  # terms under the root "diagnosis"

    @staticmethod
    def of(vocabulary: Vocabulary) -> "_Kin":
        number = {name: t for t, name in enumerate(vocabulary.names)}
        parent = [number.get(term.parent or "") for term in vocabulary.terms]
        above: list[tuple[int, ...]] = []
        below: list[list[int]] = [[] for _ in parent]
        for term in range(len(parent)):
            found, at = [], parent[term]
            while at is not None:
                found.append(at)
                below[at].append(term)
                at = parent[at]
            above.append(tuple(found))
        tops = [(term, *above[term])[-1] for term in range(len(parent))]
        under = [DIAGNOSIS in (tree.parent, tree.name.casefold()) for tree in vocabulary.terms]
        grouped = frozenset(term for term, top in enumerate(tops) if under[top])
        return _Kin(vocabulary.names, number, tuple(above), tuple(map(tuple, below)), grouped)


def _parents_first(count: int, parents: dict[int, list[int]]) -> list[int]:
    """All concepts, each after its parents; relations have no circles."""
    order: dict[int, None] = {}
    for start in range(count):
        stack = [start]
        while stack:
            waiting = [p for p in parents.get(stack[-1], ()) if p not in order]
            if waiting:
                stack.extend(waiting)
            else:
                order[stack.pop()] = None
    return list(order)


def _name(
    scores_T: Floats, kin: _Kin, above: set[int], alive: bool, config: NamingConfig
) -> ConceptName:
    """Name one concept whose parents in the graph have the names `above`."""
    ranking = [int(t) for t in np.argsort(-scores_T, kind="stable")]
    best = _pick(scores_T, ranking, kin, above, config.slack)
    ignored = above.union(*(kin.above[t] for t in above))
    name = best
    things = [term for term in kin.above[best] if term in above or term not in ignored]
    kinds = [term for term in ranking if term in kin.below[best] and term not in ignored]
    # The kind rather than the thing, if it stands out; between two close kinds the thing.
    for term in (*kinds, best, *things):
        close = scores_T[term] >= scores_T[best] - config.slack
        if close and _lead(scores_T, term, ranking, kin, ignored) >= config.min_margin:
            name = term
            break
    score, margin = float(scores_T[name]), _lead(scores_T, name, ranking, kin, ignored)
    sure = margin >= config.min_margin and score >= config.min_score
    given = alive and sure and (config.circular or name not in kin.diagnoses)
    others = [t for t in ranking if not (given and t == name)][: config.runners_up]
    listed = tuple(RunnerUp(kin.names[t], float(scores_T[t])) for t in others)
    return ConceptName(kin.names[name] if given else None, score, margin, listed)


def _pick(
    scores_T: Floats, ranking: Sequence[int], kin: _Kin, above: set[int], slack: float
) -> int:
    """The best term, but rather one that the parents do not have, if it is about as good.

    A word more general than a parent's own name would turn the tree upside down: rather the
    parent's name once more.
    """
    general = {up for t in above for up in kin.above[t]}
    good = [t for t in ranking if scores_T[t] >= scores_T[ranking[0]] - slack]
    fresh = [t for t in good if t not in above | general]
    repeated = [t for t in good if t in above]
    return (fresh or repeated or good)[0]


def _lead(
    scores_T: Floats, term: int, ranking: Sequence[int], kin: _Kin, ignored: set[int]
) -> float:
    """Lead, >= 0, over the best term that is neither kin nor ignored; all of it without rivals."""
    aside = {term, *kin.above[term], *kin.below[term], *ignored}
    second = next((float(scores_T[t]) for t in ranking if t not in aside), 0.0)
    return max(float(scores_T[term]) - second, 0.0)
