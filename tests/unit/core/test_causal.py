import numpy as np
import pytest
import torch

from core.causal import Dictionary, causal_effects
from core.heads import LinearHead
from core.sae import SAEConfig, SparseAutoencoder
from tests.unit.core.tiny import TinyDictionary, head_of


def slow_reference(
    sae: Dictionary,
    head: LinearHead,
    tokens_PD: torch.Tensor,
    concepts: list[int],
    class_index: int,
) -> list[float]:
    """One concept at a time, every token changed and encoded again."""

    def logit(tokens: torch.Tensor) -> float:
        pooled = sae.encode_dense(tokens).amax(0).double().numpy()
        return float(head.logits(pooled[None])[0, class_index])

    before = logit(tokens_PD)
    acts_PN = sae.encode_dense(tokens_PD)
    effects = []
    for k in concepts:
        removed = torch.stack(
            [
                token - acts_PN[p, k] * sae.decoder_ND[k] if acts_PN[p, k] > 0 else token
                for p, token in enumerate(tokens_PD)
            ]
        )
        effects.append(before - logit(removed))
    return effects


def random_autoencoder(seed: int) -> SparseAutoencoder:
    generator = torch.Generator().manual_seed(seed)
    sae = SparseAutoencoder(SAEConfig(d=6, n=24, k=3))
    with torch.no_grad():
        rows = torch.randn(24, 6, generator=generator)
        sae.W_dec.copy_(rows / rows.norm(dim=1, keepdim=True))
        sae.W_enc.copy_(sae.W_dec.T)
        sae.b_dec.copy_(torch.randn(6, generator=generator) * 0.1)
        sae.threshold.fill_(0.5)
    return sae.eval()


@pytest.mark.parametrize(("seed", "patches"), [(1, 9), (2, 9), (3, 1), (4, 2500)])
def test_equals_the_slow_reference(seed: int, patches: int) -> None:
    sae = random_autoencoder(seed)
    tokens = torch.randn(patches, 6, generator=torch.Generator().manual_seed(seed + 50))
    rng = np.random.default_rng(seed)
    head = LinearHead(
        rng.normal(size=(2, 24)).astype(np.float32), np.zeros(2, np.float32), ("a", "b")
    )
    concepts = [3, 0, 17, 23, 5]
    fast = causal_effects(sae, head, tokens, concepts, 1)
    np.testing.assert_allclose(fast, slow_reference(sae, head, tokens, concepts, 1), atol=1e-5)


def test_a_lone_concept_has_its_contribution_as_effect() -> None:
    sae = TinyDictionary([[1, 0], [0, 1]])
    head = head_of([[2, 5], [0, 0]], [0, 0])
    tokens = torch.tensor([[3.0, 0.0], [1.0, 0.0]])
    assert causal_effects(sae, head, tokens, [0, 1], 0).tolist() == [6.0, 0.0]


def test_redundant_twins_stand_in_for_each_other() -> None:
    # Twins fire together: taking one out takes the evidence of both away (effect 2 x 3), while
    # the contribution promised half of it.
    sae = TinyDictionary([[1, 0], [1, 0]])
    head = head_of([[1, 1], [0, 0]], [0, 0])
    tokens = torch.tensor([[3.0, 0.0]])
    effect = causal_effects(sae, head, tokens, [0], 0)[0]
    assert effect == pytest.approx(6)
    assert head.contributions(np.array([3.0, 3.0]), 0)[0] == 3


def test_a_silent_concept_and_an_empty_question_have_no_effect() -> None:
    sae = TinyDictionary([[1, 0], [0, 1]], threshold=1.0)
    head = head_of([[1, 1], [0, 0]], [0, 0])
    tokens = torch.zeros(4, 2)
    assert causal_effects(sae, head, tokens, [0, 1], 0).tolist() == [0.0, 0.0]
    assert causal_effects(sae, head, tokens, [], 0).shape == (0,)
