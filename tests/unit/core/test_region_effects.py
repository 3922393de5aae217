"""Pictures of 4 x 4 patches whose tokens are the patches' mean colours: all is known by hand."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from core.encoder import DenseFeatures
from core.explanation import explain
from core.region_effects import random_regions, region_effects, to_input, with_regions
from core.types import EncoderInfo, Explanation
from tests.unit.core.tiny import TinyBundle, TinyDictionary, bundle_of, head_of

SIDE, GRID = 16, (4, 4)


class MeanColours:
    """Token of a patch: its mean colour, each channel as a share of full brightness."""

    info = EncoderInfo("means", "m" * 64, 3, GRID, SIDE)

    def encode_images(self, images: Sequence[np.ndarray]) -> DenseFeatures:
        assert all(image.shape == (SIDE, SIDE, 3) for image in images)
        stack = np.stack(images).astype(np.float32) / 255
        tokens = stack.reshape(len(stack), 4, 4, 4, 4, 3).mean(axis=(2, 4)).reshape(-1, 16, 3)
        return DenseFeatures(torch.from_numpy(tokens), torch.zeros(len(stack), 3))

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.zeros(len(texts), 3)


class RedAnywhere(TinyDictionary):
    """Concept 0 shows on the reddest patch, but fires with the redness of the whole picture."""

    def encode_dense(self, tokens_MD: torch.Tensor) -> torch.Tensor:
        acts = torch.zeros(len(tokens_MD), self.n)
        acts[0, 0] = tokens_MD[:, 0].mean()
        return acts


def red_square() -> np.ndarray:
    image = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    image[..., 2] = 100
    image[4:8, 8:12] = (204, 0, 0)
    return image


def explained(bundle: TinyBundle, image: np.ndarray) -> Explanation:
    tokens = MeanColours().encode_images([image]).tokens_BPD[0].half().float()
    return explain(bundle, tokens, image_sha256="a" * 64)


def red_bundle(sae: TinyDictionary) -> TinyBundle:
    return bundle_of(sae, head_of([[10, 0, 0], [0, 0, 0]], [0, 0]), GRID, ("red", "green", "blue"))


def test_filling_the_region_takes_the_evidence_away() -> None:
    bundle = red_bundle(TinyDictionary(np.eye(3).tolist(), threshold=0.1))
    found = explained(bundle, red_square())
    cue = found.cues[0]
    (effect,) = region_effects(
        MeanColours(), bundle, red_square(), [cue], found.class_index, seed=3
    )
    assert cue.causal_effect == pytest.approx(8, abs=0.01)
    # Filled from the blue around it, the patch has no red left; elsewhere nothing red is lost.
    assert effect.effect == pytest.approx(8, abs=0.01)
    assert effect.controls == pytest.approx((0, 0, 0, 0), abs=0.01)
    assert effect.doubt is None
    told = with_regions(found, (effect,))
    assert (told.narrative, told.cues[0].doubts) == (found.narrative, ())
    assert told.cues[0].region_effect == effect.effect
    assert told.cues[0].control_effects == effect.controls


def test_a_place_that_does_not_carry_the_effect_is_doubted() -> None:
    bundle = red_bundle(RedAnywhere(np.eye(3).tolist()))
    image = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    image[..., 0] = 102
    found = explained(bundle, image)
    cue = found.cues[0]
    assert cue.region_GV.sum() == 1
    effects = region_effects(MeanColours(), bundle, image, found.cues, found.class_index)
    assert [e.doubt for e in effects] == ["region-silent"]
    told = with_regions(found, effects)
    assert told.cues[0].doubts[-1] == "region-silent"
    assert "the marked place does not carry the effect of red" in told.narrative
    assert with_regions(told, effects).cues[0].doubts == ("region-silent",)  # said once


def test_random_regions_keep_the_size_and_lie_elsewhere() -> None:
    region = np.zeros((6, 7), dtype=bool)
    region[1:4, 2:4] = True
    rng = np.random.default_rng(0)
    drawn = random_regions(region, 5, rng)
    assert len(drawn) == 5
    assert len({d.tobytes() for d in drawn}) == 5
    for control in drawn:
        assert control.sum() == region.sum()
        assert (control & region).sum() <= 1
    assert random_regions(np.ones((3, 3), dtype=bool), 4, rng) == ()
    assert random_regions(np.zeros((3, 3), dtype=bool), 4, rng) == ()


def test_the_seed_decides_and_no_cue_costs_nothing() -> None:
    bundle = red_bundle(TinyDictionary(np.eye(3).tolist(), threshold=0.1))
    noise = np.random.default_rng(5).integers(0, 50, (32, 48, 3)).astype(np.uint8)
    noisy = noise + red_square().repeat(2, axis=0).repeat(3, axis=1)
    found = explained(bundle, to_input(noisy, GRID, SIDE))
    runs = [
        region_effects(MeanColours(), bundle, noisy, found.cues, 0, seed=seed, how="mean")
        for seed in (1, 1)
    ]
    assert runs[0] == runs[1]
    region = found.cues[0].region_GV
    drawn = [random_regions(region, 2, np.random.default_rng(seed)) for seed in (1, 2)]
    assert not np.array_equal(drawn[0], drawn[1])
    assert region_effects(MeanColours(), bundle, noisy, [], 0) == ()


def test_pictures_come_at_the_size_of_an_oblong_grid() -> None:
    assert to_input(np.zeros((10, 10, 3), np.uint8), (4, 6), 32).shape == (32, 48, 3)
