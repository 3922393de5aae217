from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.conformal import ConformalRule
from core.errors import ConfigError
from core.explanation import explain, other_contribution, reconstruction
from core.heads import LinearHead, Pooling
from core.regions import components, place_in_words, region_of, share_of_image
from core.sae import SparseAutoencoder
from core.types import ConceptName, Explanation, Relation, as_json
from tests.unit.core.test_reading import random_autoencoder, random_tokens
from tests.unit.core.tiny import TinyBundle, TinyDictionary, bundle_of, head_of

SHA = "a" * 64
AXES = [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]


def small_bundle() -> TinyBundle:
    """Three concepts on a 2 x 3 grid; class a likes 0, class b likes 1, 2 speaks against a."""
    head = head_of([[2, 0, -1], [0, 3, 0]], [0.25, 0], temperature=2)
    return bundle_of(TinyDictionary(AXES), head, (2, 3), ("ruler", None, "network"))


def small_tokens() -> torch.Tensor:
    tokens = torch.zeros(6, 3)
    tokens[0, 0], tokens[1, 0], tokens[5, 2] = 4, 2, 1
    return tokens


def test_a_case_by_hand() -> None:
    found = explain(small_bundle(), small_tokens(), image_sha256=SHA)
    assert (found.prediction, found.class_index, found.logit, found.bias) == ("a", 0, 7.25, 0.25)
    assert found.confidence == pytest.approx(1 / (1 + np.exp(-7.25 / 2)))
    assert [(c.concept, c.value) for c in found.contributions] == [(0, 8.0), (2, -1.0)]
    ruler = found.cues[0]
    assert (ruler.name, ruler.named, ruler.activation, ruler.causal_effect) == ("ruler", True, 4, 8)
    assert ruler.region_GV.tolist() == [[True, True, False], [False, False, False]]
    assert ruler.regions[0].x1 == pytest.approx(2 / 3)
    assert other_contribution(found) == 0
    assert found.reconstruction == 1
    assert found.provenance.version_hash == "v" * 64


def test_another_class_can_be_explained() -> None:
    found = explain(small_bundle(), small_tokens(), image_sha256=SHA, class_index=1)
    assert (found.prediction, found.class_index, found.logit) == ("a", 1, 0)
    assert found.contributions == ()
    assert found.confidence > 0.9  # of the prediction, whatever class is explained
    assert "explains b" in found.narrative


def test_names_of_people_go_first_and_an_abstaining_model_gives_a_number() -> None:
    tokens = small_tokens()
    tokens[3, 1] = 9
    found = explain(small_bundle(), tokens, image_sha256=SHA, class_index=1)
    assert (found.cues[0].name, found.cues[0].named) == ("concept 1", False)
    named = explain(small_bundle(), tokens, image_sha256=SHA, class_index=1, names={1: "veil"})
    assert (named.cues[0].name, named.cues[0].named) == ("veil", True)


def test_an_image_in_which_nothing_fires_is_explained_by_the_bias() -> None:
    found = explain(small_bundle(), torch.zeros(6, 3), image_sha256=SHA)
    assert (found.logit, found.cues, found.contributions) == (0.25, (), ())
    assert "bias alone" in found.narrative


def test_the_largest_effects_are_shown_and_the_rest_is_summed() -> None:
    found = explain(small_bundle(), small_tokens(), image_sha256=SHA, top=1)
    assert [cue.concept for cue in found.cues] == [0]
    assert other_contribution(found) == -1


def test_hierarchy_totals_add_up_to_the_contributions() -> None:
    bundle = small_bundle()
    related = TinyBundle(
        bundle.sae, bundle.head, bundle.manifest, bundle.names, (Relation(2, 0, "is-a", 0.9, 30),)
    )
    found = explain(related, small_tokens(), image_sha256=SHA)
    assert sum(node.total for node in found.hierarchy) == pytest.approx(7.0)
    assert [child.concept for child in found.hierarchy[0].children] == [2]


def test_json_keeps_every_key_of_the_command_line() -> None:
    keys = set(as_json(explain(small_bundle(), small_tokens(), image_sha256=SHA)))
    assert keys >= {
        "prediction", "confidence", "logit", "bias", "contributions", "cues", "hierarchy",
        "narrative", "provenance",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tokens", "options"),
    [(torch.zeros(5, 3), {}), (torch.zeros(6, 3), {"class_index": 2}),
     (torch.zeros(6, 3), {"top": 0})],
)  # fmt: skip
def test_what_does_not_fit_is_refused(tokens: torch.Tensor, options: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        explain(small_bundle(), tokens, image_sha256=SHA, **options)


def random_explanation(
    seed: int, classes: int, class_index: int, pooling: Pooling = "max"
) -> Explanation:
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(12, 5)).tolist()
    head = LinearHead(
        rng.normal(size=(classes, 12)).astype(np.float32),
        rng.normal(size=classes).astype(np.float32),
        tuple("abcd"[:classes]),
        1.5,
        pooling,
    )
    tokens = torch.from_numpy(rng.normal(size=(9, 5)).astype(np.float32)) * 3
    bundle = bundle_of(TinyDictionary(directions, threshold=1.0), head, (3, 3))
    return explain(bundle, tokens, image_sha256=SHA, class_index=class_index)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(2, 4), st.integers(0, 1), st.sampled_from(["max", "mean"])
)
def test_contributions_and_bias_are_the_logit(
    seed: int, classes: int, class_index: int, pooling: Pooling
) -> None:
    found = random_explanation(seed, classes, class_index, pooling)
    total = sum(c.value for c in found.contributions) + found.bias
    assert total == pytest.approx(found.logit, rel=1e-9, abs=1e-9)
    shown = sum(cue.contribution for cue in found.cues) + other_contribution(found)
    assert shown + found.bias == pytest.approx(found.logit, rel=1e-9, abs=1e-9)
    assert sum(p for _, p in found.probabilities) == pytest.approx(1)
    effects = [abs(cue.causal_effect) for cue in found.cues]
    assert effects == sorted(effects, reverse=True)
    assert len(effects) <= 8


class Plain:
    """An autoencoder as any other dictionary, so that it is read the slow way."""

    def __init__(self, sae: SparseAutoencoder) -> None:
        self.n, self.decoder_ND, self.levels_N = sae.n, sae.decoder_ND, sae.levels_N
        self.encode_dense, self.decode = sae.encode_dense, sae.decode


@pytest.mark.parametrize("pooling", ["max", "mean"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_fast_path_tells_the_same_story(seed: int, pooling: Pooling) -> None:
    sae = random_autoencoder(seed, 8, 60, 0.9)
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(3, 60)).astype(np.float32)
    head = LinearHead(weight, np.zeros(3, np.float32), ("a", "b", "c"), pooling=pooling)
    fast, slow = (
        explain(
            TinyBundle(kind, head, bundle_of(small_dictionary(60), head, (4, 5)).manifest,
                       tuple(ConceptName(f"thing {k}", 0.5, 0.1) for k in range(60))),
            2 * random_tokens(20, 8, seed), image_sha256=SHA,
        )
        for kind in (sae, Plain(sae))
    )  # fmt: skip
    assert fast.cues
    assert [cue.concept for cue in fast.cues] == [cue.concept for cue in slow.cues]
    for one, other in zip(fast.cues, slow.cues, strict=True):
        assert one.causal_effect == pytest.approx(other.causal_effect, abs=0.01)
        assert one.contribution == other.contribution
        np.testing.assert_array_equal(one.map_GV, other.map_GV)
    assert fast.contributions == slow.contributions
    assert fast.counterfactual == slow.counterfactual
    assert fast.hierarchy == slow.hierarchy
    assert fast.narrative == slow.narrative


def small_dictionary(n: int) -> TinyDictionary:
    return TinyDictionary(np.eye(n, 3).tolist())


def test_what_would_flip_the_decision_is_told_and_tried_on_the_tokens() -> None:
    found = explain(small_bundle(), small_tokens(), image_sha256=SHA)
    flip = found.counterfactual
    # a leads by 8 - 1 + .25; without the ruler b leads by .75, on the tokens as well.
    assert flip is not None
    assert [(c.name, c.before, c.after) for c in flip.changes] == [("ruler", 4.0, 0.0)]
    assert (flip.prediction, flip.reread) == ("b", "b")
    assert flip.lead == pytest.approx(0.75)
    assert "Without ruler the answer would be b." in found.narrative


def test_another_concept_may_take_over() -> None:
    # A twin at an angle fires only once the ruler has gone, and carries the same evidence.
    sae = TakingOver(AXES)
    head = head_of([[2, 0, 9], [0, 3, 0]], [0.25, 0.5])
    found = explain(bundle_of(sae, head, (2, 3), ("ruler", None, "twin")), small_tokens(),
                    image_sha256=SHA)  # fmt: skip
    assert found.counterfactual is not None
    assert found.counterfactual.reread == "a"
    assert "other concepts take over" in found.narrative
    assert found.cues[0].doubts == ("opposite",)


class TakingOver(TinyDictionary):
    """Concept 2 fires where concept 0 does not."""

    def encode_dense(self, tokens_MD: torch.Tensor) -> torch.Tensor:
        acts = super().encode_dense(tokens_MD)
        acts[:, 2] = torch.where(tokens_MD[:, 0].abs().sum() > 0, 0.0, 1.0)
        return acts


def test_where_no_removal_flips_a_rise_to_what_was_seen_may() -> None:
    bundle = small_bundle()
    head = replace(bundle.head, upper_N=np.float32([0, 1, 0]))
    found = explain(replace(bundle, head=head), torch.zeros(6, 3), image_sha256=SHA)
    assert found.counterfactual is not None
    assert [c.after for c in found.counterfactual.changes] == [1.0]
    assert found.counterfactual.reread is None
    assert "if concept 1 fired as strongly as ever seen in training" in found.narrative
    assert explain(bundle, torch.zeros(6, 3), image_sha256=SHA).counterfactual is None


@pytest.mark.parametrize(
    ("quantile", "held", "words"),
    [(0.5, ("a",), "here the set is a alone"), (20.0, ("a", "b"), "No class can be ruled out"),
     (None, ("a", "b"), "at least 9 are needed")],
)  # fmt: skip
def test_the_classes_that_cannot_be_ruled_out(
    quantile: float | None, held: tuple[str, ...], words: str
) -> None:
    bundle = small_bundle()
    head = bundle.head.with_conformal(ConformalRule(quantile, 0.1, 40))
    found = explain(replace(bundle, head=head), small_tokens(), image_sha256=SHA)
    assert found.class_set is not None
    assert found.class_set.classes == held
    assert words in found.narrative
    assert explain(bundle, small_tokens(), image_sha256=SHA).class_set is None


def test_reconstruction_of_even_tokens_is_all_or_nothing() -> None:
    sae = TinyDictionary(AXES)
    assert reconstruction(sae, torch.ones(4, 3)) == 1
    assert reconstruction(sae, -torch.ones(4, 3)) == 0
    half = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0]])  # the negative one cannot be rebuilt
    assert reconstruction(sae, half) == pytest.approx(0.5)


def test_regions_by_hand() -> None:
    region = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=bool)
    first, second = components(region)  # diagonal neighbours belong together
    assert (first.x0, first.y0, first.x1, first.y1) == (0, 0, 0.75, 0.5)
    assert (first.area, second.area) == (3 / 16, 1 / 16)
    assert share_of_image((first, second)) == 0.25
    assert components(np.zeros((2, 2), dtype=bool)) == ()


def test_a_region_keeps_patches_from_half_of_the_maximum() -> None:
    heat = np.array([[4.0, 2.0], [1.9, 0.0]], dtype=np.float32)
    assert region_of(heat).tolist() == [[True, True], [False, False]]
    assert not region_of(np.zeros((2, 2), dtype=np.float32)).any()


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        (slice(0, 2), slice(0, 2), "upper left"),
        (slice(4, 5), slice(4, 5), "centre"),
        (slice(8, 9), slice(4, 5), "lower centre"),
        (slice(0, 1), slice(0, 9), "along the upper edge"),
        (slice(0, 9), slice(7, 9), "along the right edge"),
        (slice(0, 9), slice(0, 9), "most of the image"),
        (slice(0, 0), slice(0, 0), "nowhere"),
        (slice(0, 9, 3), slice(0, 9, 3), "several places"),
    ],
)
def test_places_in_words(rows: slice, columns: slice, words: str) -> None:
    region = np.zeros((9, 9), dtype=bool)
    region[rows, columns] = True
    assert place_in_words(components(region)) == words
