from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.narrative import band, disagreement, narrate
from core.types import ClassSet, ConceptChange, Counterfactual, Cue, Region

UPPER_LEFT = (Region(0, 0, 0.2, 0.2, 0.04),)


def cue(name: str, contribution: float, effect: float, named: bool = True) -> Cue:
    heat = np.ones((5, 5), dtype=np.float32)
    return Cue(3, name, named, 0, 1.0, contribution, effect, heat, heat > 0, UPPER_LEFT)


def told(
    confidence: float, *cues: Cue, reconstruction: float = 0.9, logit: float = 4.0, **more: Any
) -> str:
    return narrate(
        probabilities=(("melanoma", confidence), ("naevus", 1 - confidence)),
        prediction="melanoma",
        explained="melanoma",
        logit=logit,
        bias=0.0,
        cues=cues,
        reconstruction=reconstruction,
        **more,
    )


@pytest.mark.parametrize(
    ("confidence", "word"),
    [(0.97, "almost certain"), (0.95, "almost certain"), (0.9, "likely"), (0.7, "leaning"),
     (0.55, "undecided")],
)  # fmt: skip
def test_bands(confidence: float, word: str) -> None:
    assert band(confidence) == word
    assert word in told(confidence)


def test_the_story_names_what_speaks_for_and_against_and_where() -> None:
    text = told(0.97, cue("ruler", 3, 3.2), cue("globules", -1, -0.8))
    assert "For melanoma speak most: ruler (upper left, 4 % of the image, 3.2 logit" in text
    assert "Against it speaks most: globules" in text
    assert "97 % sure" in text
    assert "next comes naevus at 3 %" in text
    assert "+2.0 of the +4.0 logit units" in text
    assert "explain 90 %" in text
    assert "caution" not in text


def test_a_nameless_concept_is_said_to_be_one() -> None:
    assert "concept 3 has no trusted name" in told(0.9, cue("concept 3", 3, 3, named=False))


def test_only_three_cues_speak_for() -> None:
    text = told(0.9, *(cue(f"sign {k}", 1, 1) for k in range(5)))
    assert "sign 2" in text
    assert "sign 3" not in text


def test_nothing_that_speaks_for_is_said() -> None:
    assert "No single concept shown speaks for melanoma" in told(0.6, cue("globules", -1, -1))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (told(0.9, cue("ruler", 4, 4), reconstruction=0.3), "not covered by any concept"),
        (told(0.9, cue("ruler", 4, 4), reconstruction=-0.2), "do not explain"),
        (told(0.9, cue("ruler", 4, -1)), "disagree for ruler"),
        (told(0.9, cue("ruler", 1, 1)), "many small concepts"),
    ],
)
def test_a_doubtful_explanation_says_why(text: str, reason: str) -> None:
    assert reason in text
    assert "Treat this explanation with caution" in text


@pytest.mark.parametrize(
    ("contribution", "effect", "warns"),
    [(2, 1, False), (2, -1, True), (2, 0.1, True), (-2, -0.21, False), (-2, 0.5, True),
     (0, 1, False)],
)  # fmt: skip
def test_disagreement_of_sum_and_causal_test(
    contribution: float, effect: float, warns: bool
) -> None:
    assert (disagreement(contribution, effect) is not None) == warns


def test_a_model_with_one_class_left_and_tiny_shares_read_well() -> None:
    tiny = replace(cue("ruler", 4, 4), regions=(Region(0, 0, 0.05, 0.05, 0.004),))
    assert "under 1 % of the image" in told(0.999, tiny)
    assert "over 99 % sure" in told(0.999, tiny)


def change(name: str, after: float = 0.0) -> ConceptChange:
    return ConceptChange(3, name, 1.0, after)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (Counterfactual((change("ruler"),), "naevus", 0.1, "naevus"),
         "Without ruler the answer would be naevus."),
        (Counterfactual((change("ruler"), change("ruler")), "naevus", 0.1), "Without ruler the"),
        (Counterfactual(tuple(change(f"sign {k}") for k in range(6)), "naevus", 0.1),
         "Without 6 concepts (sign 0, sign 1, sign 2, sign 3 and others) the answer"),
        (Counterfactual((change("ruler"),), "naevus", 0.1, "melanoma"),
         "Read again with them taken out, the image is still called melanoma"),
        (Counterfactual((change("ruler"),), "naevus", 0.1, "mole"), "the image is called mole"),
        (Counterfactual((change("ruler", 2.5),), "naevus", 0.1),
         "It would become naevus if ruler fired as strongly as ever seen in training."),
        (Counterfactual((change("ruler", 2.5), change("hair")), "naevus", 0.1),
         "fired as strongly as ever seen in training, without hair."),
    ],
)  # fmt: skip
def test_what_would_flip_the_decision(found: Counterfactual, sentence: str) -> None:
    text = told(0.9, cue("ruler", 4, 4), counterfactual=found)
    assert sentence in text
    assert ("Read again" in text) == (found.reread in ("melanoma", "mole"))


@pytest.mark.parametrize(
    ("classes", "informed", "words"),
    [(("melanoma",), True, "here the set is melanoma alone"),
     (("melanoma", "naevus"), True, "No class can be ruled out for this image at 90 %"),
     (("melanoma", "naevus"), False, "a note")],
)  # fmt: skip
def test_the_answer_set(classes: tuple[str, ...], informed: bool, words: str) -> None:
    assert words in told(0.9, class_set=ClassSet(classes, 0.9, informed, "a note"))


def test_places_and_ranks_that_do_not_fit_are_warned_of() -> None:
    silent = replace(cue("ruler", 4, 4), doubts=("region-silent",))
    assert "the marked place does not carry the effect of ruler" in told(0.9, silent)
    ranked = told(0.9, cue("ruler", 4, 4), rank_agreement=-0.3)
    assert "what counts most in the sum matters least when it is removed" in ranked
    assert "caution" not in told(0.9, cue("ruler", 4, 4), rank_agreement=0.3)
