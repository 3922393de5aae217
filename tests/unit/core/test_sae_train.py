import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import ConfigError
from core.sae import SAEConfig, TrainConfig
from core.sae.checkpoint import tensors_hash
from core.sae.config import Variant
from core.sae.train import TrainedSAE, schedule, train_sae
from core.streaming import BatchCursor, Place

D, TRUE, ACTIVE = 24, 30, 3


def true_directions() -> Tensor:
    """Unit rows [30, D] from a seed of their own, never the model's."""
    return F.normalize(torch.randn(TRUE, D, generator=torch.Generator().manual_seed(991)), dim=1)


def planted(seed: int, m: int) -> Tensor:
    """Tokens made of 3 of 30 true directions each, off centre."""
    generator = torch.Generator().manual_seed(seed)
    score = torch.rand(m, TRUE, generator=generator)
    chosen = torch.topk(score, ACTIVE, dim=1).indices
    value = torch.rand(m, ACTIVE, generator=generator) + 0.5
    return torch.zeros(m, TRUE).scatter(1, chosen, value) @ true_directions() * 3 + 5.0


def stream(epoch: int) -> Iterator[Tensor]:
    for part in range(4):
        yield planted(1000 + 4 * epoch + part, 512)


CONFIG = SAEConfig(d=D, n=60, k=ACTIVE, group_fractions=(0.25, 0.25, 0.5), aux_k=8)


def trained(seed: int = 0, steps: int = 60) -> TrainedSAE:
    settings = TrainConfig(steps=steps, batch=512, lr=5e-3, seed=seed)
    return train_sae(stream, CONFIG, settings, held_out=planted(5, 1000))


def test_learns_a_planted_dictionary() -> None:
    before, after = trained(steps=1), trained(steps=250)
    assert after.metrics["fvu"] < 0.15 < before.metrics["fvu"]
    assert after.metrics["cosine"] > 0.98
    assert after.metrics["l0"] == pytest.approx(ACTIVE, rel=0.2)
    nearest = (true_directions() @ after.model.decoder_ND.T).max(1).values
    assert float(nearest.mean()) > 0.9
    assert after.metrics["held_out"] is True
    prefixes = after.metrics["per_prefix_fvu"]
    assert prefixes == sorted(prefixes, reverse=True)
    assert prefixes[-1] == after.metrics["fvu"]


def test_decoder_rows_are_unit_and_the_encoder_is_not_tied() -> None:
    model = trained().model
    torch.testing.assert_close(model.decoder_ND.norm(dim=1), torch.ones(60))
    assert not torch.allclose(model.W_enc.T, model.W_dec)
    assert float(model.threshold) > 0
    assert not model.training


def test_bit_identical_twice() -> None:
    first, second = trained(), trained()
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    assert first.metrics == second.metrics
    other = trained(seed=1)
    assert not torch.equal(first.model.W_dec, other.model.W_dec)


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    trained(steps=2)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("factor", [1e-2, 100.0])
def test_the_scale_of_the_tokens_does_not_matter(factor: float) -> None:
    def scaled(epoch: int) -> Iterator[Tensor]:
        return (part * factor for part in stream(epoch))

    settings = TrainConfig(steps=60, batch=512, lr=5e-3)
    result = train_sae(scaled, CONFIG, settings, held_out=planted(5, 1000) * factor)
    assert result.metrics["fvu"] == pytest.approx(trained().metrics["fvu"], rel=0.02)


def test_progress_and_its_cancelling() -> None:
    seen: list[float] = []
    settings = TrainConfig(steps=5, batch=512)
    train_sae(stream, CONFIG, settings, lambda share, text: seen.append(share))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)

    def stop(share: float, text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_sae(stream, CONFIG, settings, stop)


def test_long_tensors_are_split_and_epochs_repeat() -> None:
    asked: list[int] = []

    def one(epoch: int) -> Iterator[Tensor]:
        asked.append(epoch)
        yield planted(epoch, 300)

    result = train_sae(one, CONFIG, TrainConfig(steps=5, batch=100))
    assert asked == [0, 1]
    assert result.metrics["held_out"] is False


def test_an_empty_stream_is_refused() -> None:
    with pytest.raises(ConfigError, match="no tokens to train on"):
        train_sae(lambda epoch: iter([torch.empty(0, D)]), CONFIG, TrainConfig(steps=2))


def test_tokens_of_another_width_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected tokens"):
        train_sae(lambda epoch: iter([torch.zeros(5, 3)]), CONFIG, TrainConfig(steps=2))


def test_constant_tokens_do_not_break_it() -> None:
    result = train_sae(lambda epoch: iter([torch.ones(64, D)]), CONFIG, TrainConfig(steps=3))
    assert all(torch.isfinite(value).all() for value in result.model.state_dict().values())


def test_schedule_rises_stays_and_falls() -> None:
    train = TrainConfig(steps=10, warmup=0.2, decay=0.5)
    factors = [schedule(step, train) for step in range(10)]
    assert factors == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    assert schedule(0, TrainConfig(steps=1)) > 0


def digest(result: TrainedSAE) -> str:
    return tensors_hash(result.model.state_dict())


@pytest.mark.parametrize("variant", ["matryoshka", "batch-topk", "topk", "nested-k"])
def test_every_variant_learns_has_a_threshold_and_repeats(variant: Variant) -> None:
    groups = {"group_fractions": (0.25, 0.25, 0.5)} if variant == "matryoshka" else {}
    config = SAEConfig(d=D, n=60, k=ACTIVE, aux_k=8, variant=variant, **groups)  # type: ignore[arg-type]
    settings = TrainConfig(steps=150, batch=512, lr=5e-3)
    result = train_sae(stream, config, settings, held_out=planted(5, 1000))
    assert result.metrics["fvu"] < 0.3
    assert result.metrics["l0"] == pytest.approx(ACTIVE, rel=0.35)
    assert float(result.model.threshold) > 0
    levels = len(set(result.model.levels_N.tolist()))
    assert levels == len(result.metrics["per_prefix_fvu"]) == (3 if groups else 1)
    again = train_sae(stream, config, settings, held_out=planted(5, 1000))
    assert digest(result) == digest(again)


def test_the_journal_as_it_goes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    texts: list[str] = []
    settings = TrainConfig(steps=200, batch=64)
    with caplog.at_level("INFO", logger="core.sae"):
        train_sae(
            stream,
            CONFIG,
            settings,
            lambda share, text: texts.append(text),
            held_out=planted(5, 300),
            metrics_file=tmp_path / "new" / "metrics.jsonl",
        )
    lines = [json.loads(x) for x in (tmp_path / "new" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines][:3] == [1, 3, 5]
    evaluated = [line for line in lines if "fvu" in line]
    assert [line["step"] for line in evaluated] == list(range(20, 201, 20))
    last = evaluated[-1]
    assert last["tokens"] == 200 * 64
    assert {"cosine", "l0", "dead", "tokens_per_s", "threshold", "lr", "auxiliary"} <= set(last)
    assert len(last["per_prefix_fvu"]) == len(last["levels"]) == 3
    assert last["fvu"] == last["per_prefix_fvu"][-1]
    assert last["fvu"] < evaluated[0]["fvu"]
    assert "by prefix" in texts[-2]
    assert "cosine" in texts[-2]
    assert [record.message for record in caplog.records] == texts


def test_the_journal_does_not_change_the_training(tmp_path: Path) -> None:
    settings = TrainConfig(steps=20, batch=64)
    plain = train_sae(stream, CONFIG, settings)
    told = train_sae(stream, CONFIG, settings, lambda s, t: None, metrics_file=tmp_path / "m")
    assert digest(plain) == digest(told)


def test_tokens_that_are_not_finite_end_the_training() -> None:
    bad = torch.full((64, D), torch.nan)
    with pytest.raises(ConfigError, match="not finite after 1 steps"):
        train_sae(lambda epoch: iter([planted(0, 64), bad]), CONFIG, TrainConfig(steps=3, batch=64))


def test_a_batch_in_which_nothing_fires_leaves_the_threshold() -> None:
    """Tokens at their own mean: every pre-activation is 0, so nothing is selected."""
    zeros = torch.zeros(64, D)
    result = train_sae(lambda epoch: iter([zeros]), CONFIG, TrainConfig(steps=2, batch=64))
    assert float(result.model.threshold) == 0.0
    assert result.metrics["l0"] == 0.0


def test_places_in_a_stream() -> None:
    def numbered(epoch: int) -> Iterator[Tensor]:
        for part in range(2):
            start = 100.0 * epoch + 10 * part
            yield torch.arange(start, start + 5).unsqueeze(1)

    cursor = BatchCursor(numbered, 1, 3)
    taken, places = [], []
    for _ in range(8):
        taken.append(cursor.next().flatten().tolist())
        places.append(cursor.place)
    assert taken[:5] == [[0, 1, 2], [3, 4], [10, 11, 12], [13, 14], [100, 101, 102]]
    assert places[:5] == [
        Place(0, 0, 3),
        Place(0, 0, 5),
        Place(0, 1, 3),
        Place(0, 1, 5),
        Place(1, 0, 3),
    ]
    for done, place in enumerate(places[:-1], start=1):
        again = BatchCursor(numbered, 1, 3, place)
        assert again.next().flatten().tolist() == taken[done]
