import pytest
import torch

from core.sae import SAEConfig, SparseAutoencoder, from_state
from core.sae.metrics import evaluate_sae, prefix_reconstructions


def plane(threshold: float = 0.0) -> SparseAutoencoder:
    directions = torch.eye(2)
    state = {
        "W_enc": directions,
        "b_enc": torch.zeros(2),
        "W_dec": directions,
        "b_dec": torch.zeros(2),
        "threshold": torch.tensor(threshold),
    }
    return from_state(SAEConfig(d=2, n=2, k=1, group_fractions=(0.5, 0.5)), state)


def test_hand_computed_figures() -> None:
    figures = evaluate_sae(plane(threshold=1.0), torch.tensor([[3.0, 1.0], [0.0, 2.0]]))
    # 1.0 is at the threshold: rebuilt (3, 0) and (0, 2); spread 5 (see test_sae_objective)
    assert figures["fvu"] == pytest.approx(1 / 5)
    assert figures["per_prefix_fvu"] == pytest.approx([5 / 5, 1 / 5])
    assert figures["l0"] == 1.0
    assert figures["dead"] == 0.0
    assert figures["cosine"] == pytest.approx((3 / 10**0.5 + 1) / 2)
    assert figures["tokens"] == 2


def test_perfect_reconstruction() -> None:
    figures = evaluate_sae(plane(), torch.tensor([[3.0, 1.0], [0.5, 2.0], [4.0, 0.0]]))
    assert figures["fvu"] == 0.0
    assert figures["cosine"] == pytest.approx(1.0)


def test_nothing_fires() -> None:
    figures = evaluate_sae(plane(threshold=100.0), torch.tensor([[1.0, 2.0], [2.0, 1.0]]))
    assert (figures["dead"], figures["l0"], figures["cosine"]) == (1.0, 0.0, 0.0)


def test_prefixes_end_in_the_full_decode() -> None:
    model = plane()
    acts = model.encode_dense(torch.tensor([[3.0, 1.0]]))
    first, last = prefix_reconstructions(model, acts)
    assert first.tolist() == [[3.0, 0.0]]
    assert torch.equal(last, model.decode(acts))


def test_no_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="no tokens"):
        evaluate_sae(plane(), torch.empty(0, 2))
