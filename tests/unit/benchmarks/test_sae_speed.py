import pytest
import torch

from benchmarks.harness import Metric, Result
from benchmarks.sae_peers import Weights, held_out_fvu
from benchmarks.sae_speed import run, summarise, tokens


def row(ours: float) -> dict[str, float]:
    return {
        "dictionary_learning_tokens_per_s": 100.0,
        "saelens_tokens_per_s": 50.0,
        "ours_tokens_per_s": ours,
        "floor_tokens_per_s": 6000.0,
        "dictionary_learning_fvu": 0.5,
        "saelens_fvu": 0.4,
        "ours_fvu": 0.404,
    }


def by_key(metrics: tuple[Metric, ...]) -> dict[str, Metric]:
    return {metric.key: metric for metric in metrics}


def test_ratios_are_those_of_the_windows() -> None:
    found = by_key(summarise([row(2000.0), row(3000.0)], ()))
    assert found["ratio_vs_dictionary_learning"].values == (20.0, 30.0)
    assert found["ratio_vs_saelens"].values == (40.0, 60.0)
    assert found["ratio_to_floor"].values == (3.0, 2.0)
    assert found["fvu_ratio"].values == pytest.approx((1.01,))  # the last window, the best peer
    assert found["ours_tokens_per_s"].unit == "tokens/s"
    assert Result("sae_speed", (0, 1), tuple(found.values())).holds


def test_a_missing_peer_is_not_measured_and_not_met() -> None:
    kept = {key: value for key, value in row(2000.0).items() if "saelens" not in key}
    found = by_key(summarise([kept], ("saelens",)))
    assert found["ratio_vs_saelens"].as_json()["mean"] is None
    assert found["ratio_vs_saelens"].as_json()["holds"] is False
    assert found["ratio_vs_dictionary_learning"].values == (20.0,)
    assert found["fvu_ratio"].values == pytest.approx((0.808,))
    assert not Result("sae_speed", (0,), tuple(found.values())).holds


def test_fvu_of_a_perfect_and_of_an_empty_autoencoder() -> None:
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    eye, zero = torch.eye(2), torch.zeros(2)
    assert held_out_fvu(Weights(eye, zero, eye, zero), x, 1) == 0.0
    nothing = Weights(torch.zeros(2, 2), zero, eye, x.mean(0))
    assert held_out_fvu(nothing, x, 1) == pytest.approx(1.0)


def test_tokens_are_fixed_by_seed_and_part() -> None:
    assert torch.equal(tokens(8, 0, 1, 20), tokens(8, 0, 1, 20))
    assert not torch.equal(tokens(8, 0, 1, 20), tokens(8, 0, 2, 20))
    assert not torch.equal(tokens(8, 0, 1, 20), tokens(8, 1, 1, 20))


def test_a_quick_run_is_not_scored() -> None:
    result = run((0, 1), quick=True)
    found = by_key(result.metrics)
    assert result.holds
    assert len(found["ratio_to_floor"].values) == 2
    assert 0 < found["ours_fvu"].values[-1] < 1.5
    assert found["encode_ms"].values[0] > 0
