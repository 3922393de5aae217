from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from core.errors import ConfigError
from core.naming import (
    NamingConfig,
    concept_embeddings,
    embed_terms,
    kinds_by_name,
    mixing_weights,
    name_concepts,
    unit,
)
from core.relations import cooccurrence
from core.types import ConceptName, Relation
from core.vocabulary import Term, Vocabulary

WORDS = ("red", "green", "blue", "striped", "dotted", "hairy")
PLAIN = NamingConfig(templates=("{}",), min_score=0.3, min_margin=0.05, slack=0.1, runners_up=2)


class TextTower:
    """Knows an axis for each word; a template adds a little of its own; a gap lies apart."""

    def __init__(self, gap: float = 0.0) -> None:
        self.gap = gap
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        self.asked += texts
        rows = np.zeros((len(texts), len(WORDS) + 1))
        for row, text in zip(rows, texts, strict=True):
            for axis, word in enumerate(WORDS):
                row[axis] = word in text or (word == "hairy" and "strands" in text)
            row[-1] = self.gap
        return unit(rows)


def vocabulary(*names: str) -> Vocabulary:
    return Vocabulary(tuple(Term(name) for name in names))


def axis(*which: int, size: int = 7) -> NDArray[np.float64]:
    rows = np.zeros((len(which), size))
    rows[range(len(which)), which] = 1.0
    return rows


def name(
    decoder_ND: NDArray[np.float64],
    words: Vocabulary | None = None,
    *,
    mean_D: NDArray[np.float64] | None = None,
    mixing_NN: sparse.csr_array | None = None,
    relations: Sequence[Relation] = (),
    alive_N: NDArray[np.bool_] | None = None,
    config: NamingConfig = PLAIN,
) -> tuple[ConceptName, ...]:
    size = decoder_ND.shape[1]
    mean = np.zeros(size) if mean_D is None else mean_D
    return name_concepts(
        decoder_ND, np.zeros(size), words or vocabulary(*WORDS), TextTower(),
        image_mean_D=mean, mixing_NN=mixing_NN, relations=relations, alive_N=alive_N,
        config=config,
    )  # fmt: skip


def test_each_direction_gets_its_word_with_margin_and_runners_up() -> None:
    first, second = name(axis(0, 3))
    assert (first.name, second.name) == ("red", "striped")
    # Texts are axes with their mean 1/6 subtracted: cosines sqrt(5/6) and -sqrt(1/30).
    assert first.score == pytest.approx(np.sqrt(5 / 6))
    assert first.margin == pytest.approx(np.sqrt(5 / 6) + np.sqrt(1 / 30))
    assert len(first.runners_up) == 2
    assert "red" not in {r.name for r in first.runners_up}


def test_between_two_words_it_abstains_and_suggests_both() -> None:
    (found,) = name(unit(axis(0) + axis(1)))
    assert found.name is None
    assert found.margin == pytest.approx(0.0)
    assert {r.name for r in found.runners_up} == {"red", "green"}
    assert found.display(7) == "concept 7"


def test_far_from_every_word_it_abstains() -> None:
    (found,) = name(axis(6))
    assert found.name is None
    assert found.score < 0.3


def test_concepts_that_never_fire_get_no_name() -> None:
    first, second = name(axis(0, 1), alive_N=np.array([False, True]))
    assert (first.name, second.name) == (None, "green")


def test_a_synonym_scores_for_its_term() -> None:
    words = Vocabulary((Term("hair", ("strands",)), *(Term(w) for w in WORDS[:4])))
    (found,) = name(axis(5), words)
    assert found.name == "hair"


def test_unknown_words_cannot_win_by_being_equal() -> None:
    # A tower that does not know two words gives both the same embedding: no margin, no name.
    (found,) = name(axis(6) + 0.1, vocabulary("frobnicate", "xyzzy", *WORDS[:2]))
    assert found.name is None


def test_the_modality_gap_is_taken_out() -> None:
    gap = np.zeros(7)
    gap[6] = 1.0
    image_ND = unit(0.3 * axis(0, 1) + gap)
    blind = concept_embeddings(image_ND, np.zeros(7), np.zeros(7))
    corrected = concept_embeddings(image_ND, np.zeros(7), image_ND.mean(axis=0))
    assert blind[0] @ blind[1] > 0.9
    assert corrected[0] @ corrected[1] == pytest.approx(-1.0)


def test_a_child_avoids_its_parents_name() -> None:
    decoder_ND = np.vstack((axis(0), unit(axis(0) + 0.9 * axis(1))))
    related = [Relation(1, 0, "is-a", 0.9, 50)]
    assert [n.name for n in name(decoder_ND)] == ["red", "red"]
    parent, child = name(decoder_ND, relations=related)
    assert (parent.name, child.name) == ("red", "green")


def test_a_child_repeats_its_parents_name_when_nothing_better_exists() -> None:
    parent, child = name(axis(0, 0), relations=[Relation(1, 0, "is-a", 0.9, 50)])
    assert (parent.name, child.name) == ("red", "red")


def test_a_parent_with_a_higher_number_is_named_first() -> None:
    decoder_ND = np.vstack((unit(axis(0) + 0.9 * axis(1)), axis(0)))
    child, parent = name(decoder_ND, relations=[Relation(0, 1, "is-a", 0.9, 50)])
    assert (child.name, parent.name) == ("green", "red")


def test_a_worse_name_is_no_way_out_of_repeating_the_parents() -> None:
    decoder_ND = np.vstack((axis(0), unit(axis(0) + 0.3 * axis(1))))
    parent, child = name(decoder_ND, relations=[Relation(1, 0, "is-a", 0.9, 50)])
    assert (parent.name, child.name) == ("red", "red")


def test_a_child_does_not_get_a_more_general_name_than_its_parent() -> None:
    words = Vocabulary((Term("green"), Term("red", (), "green"), *(Term(w) for w in WORDS[2:])))
    decoder_ND = np.vstack((axis(0), unit(axis(0) + 0.95 * axis(1))))
    edges = [Relation(1, 0, "is-a", 0.9, 50)]
    assert [n.name for n in name(decoder_ND, words, relations=edges)] == ["red", "red"]


def test_a_more_general_term_is_no_rival() -> None:
    words = Vocabulary((Term("green"), Term("red", (), "green"), *(Term(w) for w in WORDS[2:])))
    (found,) = name(unit(axis(0) + 0.99 * axis(1)), words)
    assert found.name == "red"
    assert found.margin > 0.5
    assert found.runners_up[0].name == "green"


def test_between_two_kinds_of_one_thing_the_thing_is_named() -> None:
    kinds = (Term("red", (), "hairy"), Term("green", (), "hairy"))
    words = Vocabulary((Term("hairy"), *kinds, *(Term(w) for w in WORDS[2:5])))
    (found,) = name(unit(axis(0) + axis(1) + axis(5)), words)
    assert found.name == "hairy"
    assert {r.name for r in found.runners_up} == {"red", "green"}


def test_a_diagnosis_is_no_name_of_what_is_seen() -> None:
    words = Vocabulary((Term("red", (), "diagnosis"), Term("green", (), "red"), Term("blue")))
    for direction in (0, 1):
        (found,) = name(axis(direction), words)
        assert found.name is None
        assert found.runners_up[0].name == WORDS[direction]
    assert name(axis(2), words)[0].name == "blue"
    (circular,) = name(axis(0), words, config=replace(PLAIN, circular=True))
    assert circular.name == "red"


def test_climbing_to_the_thing_stops_below_the_parents_parents() -> None:
    # "blue" is above "hairy", the parent's name; "red" and "green" are kinds of "hairy".
    kinds = (Term("red", (), "hairy"), Term("green", (), "hairy"))
    words = Vocabulary((Term("hairy", (), "blue"), Term("blue"), *kinds, Term("dotted")))
    both = unit(axis(0) + axis(1) + 0.2 * axis(5) + 0.96 * axis(2))
    plain = replace(PLAIN, gap=False)
    rows_ND = np.vstack((axis(5), both))
    parent, child = name(rows_ND, words, relations=[edge(1, 0)], config=plain)
    assert (parent.name, child.name) == ("hairy", None)
    assert name(both, words, config=plain)[0].name == "blue"


def test_the_gap_can_be_left_in() -> None:
    mean_D = np.full(7, 0.3)
    plain = name(axis(0), mean_D=mean_D, config=replace(PLAIN, gap=False))
    # Without it the score is the cosine of concept and text as they are.
    assert plain[0].score == pytest.approx(1.0)
    assert name(axis(0), mean_D=mean_D)[0].score < 1.0


def test_a_phrase_is_put_into_the_template_never_formatted() -> None:
    tower = TextTower()
    embed_terms(vocabulary("{0.__class__}", "{} red"), tower, ("{}", "a {} here"))
    assert tower.asked == ["{0.__class__}", "a {0.__class__} here", "{} red", "a {} red here"]


def edge(child: int, parent: int) -> Relation:
    return Relation(child, parent, "is-a", 0.9, 50)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Vocabulary, NDArray[np.float64], list[Relation]]:
    """A forest of up to 6 words, 2 to 5 concepts with any scores, each with parents before it."""
    size = draw(st.integers(1, len(WORDS)))
    above = [draw(st.one_of(st.none(), st.integers(0, t - 1))) if t else None for t in range(size)]
    terms = [
        Term(word, (), None if up is None else WORDS[up])
        for word, up in zip(WORDS, above, strict=False)
    ]
    count = draw(st.integers(2, 5))
    cell = st.sampled_from((0.0, 0.2, 0.4, 0.5, 0.52, 0.6, 0.64, 0.8))  # ties and near ties
    rows = draw(st.lists(st.lists(cell, min_size=7, max_size=7), min_size=count, max_size=count))
    pairs = draw(st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))))
    edges = [edge(child, parent) for child, parent in sorted(pairs) if parent < child]
    return Vocabulary(tuple(terms)), np.array(rows) + 1e-6, edges


@settings(max_examples=150, deadline=None)
@given(situations())
def test_a_name_never_repeats_its_parents_unless_nothing_better_exists(
    situation: tuple[Vocabulary, NDArray[np.float64], list[Relation]],
) -> None:
    words, rows_ND, edges = situation
    config = replace(PLAIN, gap=False, slack=0.1, min_margin=0.05)
    given_names = name(rows_ND, words, relations=edges, config=config)
    scores_NT = unit(rows_ND)[:, : len(words.names)]
    for number, found in enumerate(given_names):
        taken = {given_names[e.parent].name for e in edges if e.child == number} - {None}
        if found.name is None or found.name not in taken:
            continue
        scores = dict(zip(words.names, scores_NT[number], strict=True))
        assert not [word for word in words.names if better(word, scores, taken, words, config)]


def better(
    word: str,
    scores: dict[str, float],
    taken: set[str | None],
    words: Vocabulary,
    config: NamingConfig,
) -> bool:
    """Whether a word that no parent has could be the name: near the best, sure, not upside down."""
    parent = {term.name: term.parent for term in words.terms}
    general = {up for t in taken for up in ancestors(t, parent)}
    if word in taken | general or scores[word] < max(scores.values()) - config.slack:
        return False
    kin = {word, *ancestors(word, parent), *(w for w in scores if word in ancestors(w, parent))}
    rivals = [s for w, s in scores.items() if w not in kin | taken | general]
    return scores[word] >= config.min_score and (
        scores[word] - max(rivals, default=0.0) >= config.min_margin + 1e-9
    )


def ancestors(word: str | None, parent: dict[str, str | None]) -> list[str]:
    found = []
    while word is not None and (up := parent.get(word)) is not None:
        found.append(up)
        word = up
    return found


def test_the_kind_that_stands_out_is_named_rather_than_the_thing() -> None:
    kinds = (Term("red", (), "hairy"), Term("green", (), "hairy"))
    words = Vocabulary((Term("hairy"), *kinds, *(Term(w) for w in WORDS[2:5])))
    plain = replace(PLAIN, gap=False)
    thing, kind = name(
        np.vstack((unit(axis(5) + 0.3 * axis(0)), unit(axis(5) + 0.9 * axis(0)))), words,
        config=plain,
    )  # fmt: skip
    assert (thing.name, kind.name) == ("hairy", "red")
    assert kind.runners_up[0].name == "hairy"


def test_mixing_weighs_related_concepts_on_the_strongest_patches() -> None:
    codes_MN = sparse.csr_array(np.array([[4, 2, 0], [2, 2, 0], [1, 0, 5], [0, 6, 0.0]]))
    config = NamingConfig(top=2, mix=0.5, tau=0.75)
    conditional_NN = cooccurrence(codes_MN, 1).conditional_NN
    found = mixing_weights(codes_MN, conditional_NN, config).toarray()
    # D^_01 = 6/7; on the two strongest patches of 0 concept 1 has mean activation 2.
    # Concept 2 fires once, beside 0 at activation 1: D^_20 = 1.
    expected = [[3, 0.5 * 2 * 6 / 7, 0], [0, 4, 0], [0.5, 0, 5]]
    assert found == pytest.approx(np.array(expected))


def test_mixing_tells_apart_what_the_direction_alone_does_not() -> None:
    decoder_ND = np.vstack((unit(axis(0) + axis(1)), axis(1)))
    mixing_NN = sparse.csr_array(np.array([[1.0, 0.5], [0.0, 1.0]]))
    assert name(decoder_ND)[0].name is None
    assert name(decoder_ND, mixing_NN=mixing_NN)[0].name == "green"


def test_a_concept_that_never_fires_mixes_nothing() -> None:
    codes_MN = sparse.csr_array(np.array([[1.0, 0.0], [2.0, 0.0]]))
    conditional_NN = cooccurrence(codes_MN, 1).conditional_NN
    found = mixing_weights(codes_MN, conditional_NN, NamingConfig())
    assert found.toarray().tolist() == [[1.5, 0.0], [0.0, 0.0]]


def test_phrases_are_means_over_templates() -> None:
    tower = TextTower()
    found = embed_terms(vocabulary("red", "blue"), tower, ("{}", "a green {}"))
    assert tower.asked == ["red", "a green red", "blue", "a green blue"]
    expected = unit(axis(0)[0] + unit(axis(0) + axis(1))[0])
    assert found.phrase_SD[0] == pytest.approx(expected)
    assert found.mean() == pytest.approx(np.zeros(7))  # too few terms to speak of a mean


def test_names_can_tell_the_kind_of_a_relation() -> None:
    words = Vocabulary((Term("border"), Term("ragged border", (), "border"), Term("lesion")))
    given = ("border", "ragged border", "border", "lesion", None)
    names = [ConceptName(name, 0.5, 0.1) for name in given]
    pairs = [(1, 0), (2, 0), (0, 3), (4, 0), (0, 4)]
    edges = [Relation(child, parent, "part-of", 0.9, 50) for child, parent in pairs]
    kinds = [edge.kind for edge in kinds_by_name(edges, names, words)]
    assert kinds == ["is-a", "is-a", "part-of", "part-of", "part-of"]


@pytest.mark.parametrize("wrong", [{"templates": ("word",)}, {"templates": ()}, {"mix": -1.0}])
def test_wrong_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        NamingConfig(**wrong)  # type: ignore[arg-type]


def test_one_word_is_enough() -> None:
    (found,) = name(axis(0), vocabulary("red"))
    assert (found.name, found.runners_up) == ("red", ())
