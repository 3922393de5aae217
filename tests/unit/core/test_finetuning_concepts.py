import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from core.artifacts import dictionary_hash, load_bundle, save_bundle
from core.errors import ConfigError
from core.finetuning.concepts import ConceptTuning, Former, Refitted, refit_concepts
from core.finetuning.matching import CarryConfig, carried_of, carry, correlations
from core.first_head import DiscoverItem
from core.name_matching import Directions, match_concepts, match_similar
from core.naming import unit
from core.sae import SAEConfig, SparseAutoencoder, TrainConfig
from core.sae.checkpoint import Checkpoints
from core.sae.metrics import evaluate_sae
from core.sae.train import train_sae
from core.streaming import ShuffledStream, StoreSource
from core.tokens import TokenStore
from core.types import ConceptName, EncoderInfo
from core.vocabulary import Term, Vocabulary

IMAGES, P, D, N = 60, 16, 10, 8
CLASSES = ("a", "b")
KEYS = [f"image{i:02d}" for i in range(IMAGES)]
TURN = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(9)))[0]

pytestmark = pytest.mark.usefixtures("one_thread")


def axes() -> torch.Tensor:
    """Directions of the things in the pictures, [N, D]; six of them are ever there."""
    generator = torch.Generator().manual_seed(1)
    return torch.nn.functional.normalize(torch.randn(N, D, generator=generator), dim=1)


def things(labels: np.ndarray) -> torch.Tensor:
    """How strongly each thing shows in each patch, [IMAGES, P, N]: 0 and 1 tell the classes."""
    generator = torch.Generator().manual_seed(2)
    shown = (torch.rand(IMAGES, P, N, generator=generator) < 0.12).float()
    shown *= 2 + 2 * torch.rand(IMAGES, P, N, generator=generator)
    shown[:, :, 6:] = 0.0
    shown[torch.from_numpy(labels == 0), :, 0] = 0.0
    shown[torch.from_numpy(labels == 1), :, 1] = 0.0
    return shown


LABELS = np.arange(IMAGES) % 2


def store(folder: Path, turn: torch.Tensor | None = None, noise: float = 0.02) -> TokenStore:
    tokens = things(LABELS) @ axes()
    tokens = tokens + noise * torch.randn(tokens.shape, generator=torch.Generator().manual_seed(3))
    tokens = tokens if turn is None else tokens @ turn
    made = TokenStore(folder)
    made.write(zip(KEYS, tokens, strict=True))
    return made


def dictionary(
    order: list[int] | None = None, turn: torch.Tensor | None = None
) -> SparseAutoencoder:
    rows = axes() if turn is None else axes() @ turn
    rows = rows if order is None else rows[order]
    sae = SparseAutoencoder(SAEConfig(d=D, n=N, k=2, group_fractions=(0.5, 0.5)))
    with torch.no_grad():
        sae.W_dec.copy_(rows)
        sae.W_enc.copy_(rows.T)
        sae.threshold.fill_(1.6)
    return sae.eval().requires_grad_(False)


def small_turn(angle: float) -> torch.Tensor:
    """A turn of the space by an angle in one plane."""
    turn = torch.eye(D)
    c, s = np.cos(angle), np.sin(angle)
    turn[:2, :2] = torch.tensor([[c, -s], [s, c]], dtype=torch.float32)
    return TURN.T @ turn @ TURN


def test_correlations_are_pearsons() -> None:
    rng = np.random.default_rng(0)
    old = rng.random((50, 3)) * (rng.random((50, 3)) < 0.4)
    new = rng.random((50, 2)) * (rng.random((50, 2)) < 0.4)
    old[:, 2] = 0.0
    found = correlations(sparse.csr_matrix(old), sparse.csr_matrix(new))
    expected = np.corrcoef(np.hstack((old[:, :2], new)).T)[:2, 2:]
    np.testing.assert_allclose(found[:2], expected, atol=1e-6)
    assert found[2].tolist() == [0.0, 0.0]


def test_a_shuffled_and_turned_dictionary_is_recognised(tmp_path: Path) -> None:
    """The encoder turned the space a little, the dictionary followed, in another order."""
    order = [3, 0, 5, 1, 4, 2, 7, 6]
    turn = small_turn(0.5)
    before, after = store(tmp_path / "a"), store(tmp_path / "b", turn)
    found = carry(dictionary(), before, dictionary(order, turn), after, KEYS)
    assert found.as_map().items() >= {old: order.index(old) for old in range(6)}.items()
    assert all(order[new] == old for old, new in found.as_map().items())
    assert found.mass > 0.99
    assert all(pair.correlation > 0.95 for pair in found.pairs.values())
    assert min(pair.cosine for pair in found.pairs.values()) < 0.999


def test_the_same_direction_with_another_meaning_is_not_carried(tmp_path: Path) -> None:
    """Two things swapped places in the encoder's space; the dictionary stayed as it was."""
    swapped = torch.arange(N)
    swapped[[2, 3]] = torch.tensor([3, 2])
    tokens = things(LABELS)[:, :, swapped] @ axes()
    after = TokenStore(tmp_path / "b")
    after.write(zip(KEYS, tokens, strict=True))
    found = carry(dictionary(), store(tmp_path / "a"), dictionary(), after, KEYS)
    assert {2, 3} <= set(found.lost)
    assert found.lost[2] == "turned"  # it fires with the other one, whose direction is elsewhere
    assert {0, 1, 4, 5} == set(found.pairs)
    assert found.mass < 0.8


def test_known_similarities_match_as_directions_do() -> None:
    rng = np.random.default_rng(3)
    old = rng.normal(size=(12, 5))
    new = old[rng.permutation(12)] + 0.2 * rng.normal(size=(12, 5))
    alive = np.arange(12) > 1
    by_direction = match_concepts(Directions(old, "e", alive), Directions(new, "e"))
    cosine = unit(old) @ unit(new).T
    by_number = match_similar(cosine, alive, np.ones(12, bool))
    assert [m.new for m in by_number] == [m.new for m in by_direction]
    assert sum(m.new is not None for m in by_number) > 3
    with pytest.raises(ConfigError, match="finite table"):
        match_similar(cosine[:3], alive, np.ones(12, bool))


def test_carrying_refuses(tmp_path: Path) -> None:
    before = store(tmp_path / "a")
    with pytest.raises(ConfigError, match="no image"):
        carry(dictionary(), before, dictionary(), before, ["elsewhere"])
    other = TokenStore(tmp_path / "b")
    other.write((key, torch.zeros(4, D)) for key in KEYS)
    with pytest.raises(ConfigError, match="patches"):
        carry(dictionary(), before, dictionary(), other, KEYS)
    for wrong in ({"min_score": 0.0}, {"min_correlation": 2.0}, {"images": 0}):
        with pytest.raises(ConfigError):
            CarryConfig(**wrong)  # type: ignore[arg-type]


def test_a_warm_start_begins_where_the_dictionary_was(tmp_path: Path) -> None:
    tokens = store(tmp_path / "a")
    stream = ShuffledStream(StoreSource(tokens, KEYS), 64, 0)
    train = TrainConfig(steps=1, batch=64, lr=1e-9)
    start = dictionary()
    near = train_sae(stream, start.config, train, start=start).model
    torch.testing.assert_close(near.W_dec, start.W_dec, atol=1e-5, rtol=0)
    torch.testing.assert_close(near.b_enc, start.b_enc, atol=1e-5, rtol=0)
    assert float(near.threshold) == pytest.approx(1.6, rel=0.05)
    assert dictionary_hash(near) != dictionary_hash(start)
    with pytest.raises(ConfigError, match="other settings"):
        train_sae(stream, replace(start.config, k=3), train, start=start)
    where = Checkpoints(tmp_path / "c")
    train_sae(stream, start.config, train, start=start, checkpoints=where)
    with pytest.raises(ConfigError, match="start"):
        train_sae(stream, start.config, train, start=dictionary([1, 0, 2, 3, 4, 5, 6, 7]),
                  checkpoints=where)  # fmt: skip


class Texts:
    """An encoder that is only asked for texts."""

    info = EncoderInfo("tiny", "f" * 64, D, (4, 4), 32)

    def encode_texts(self, texts: list[str]) -> torch.Tensor:
        generator = torch.Generator().manual_seed(len(texts[0]))
        rows = torch.randn(len(texts), D, generator=generator)
        return torch.nn.functional.normalize(rows, dim=1)


VOCABULARY = Vocabulary(tuple(Term(f"word {'x' * k}", (), None) for k in range(1, 5)))
ITEMS = [
    DiscoverItem(key, int(LABELS[i]), "val" if i >= 50 else "test" if i >= 40 else "train")
    for i, key in enumerate(KEYS)
]
NAMES = tuple(ConceptName(f"thing {k}", 0.9, 0.5) for k in range(N))


def refit(
    folder: Path,
    rejected: dict[int, float] | None = None,
    weight_of: dict[str, float] | None = None,
    device: str = "cpu",
) -> Refitted:
    before, after = store(folder / "before"), store(folder / "after", small_turn(0.3))
    return refit_concepts(
        Former(dictionary(), NAMES, before), after, ITEMS, Texts(),  # type: ignore[arg-type]
        VOCABULARY, CLASSES, folder / "dictionary", ConceptTuning(steps=60, batch=64, save_every=7),
        rejected=rejected, weight_of=weight_of, seed=4, device=device,
    )  # fmt: skip


@pytest.fixture(scope="module")
def refitted(tmp_path_factory: pytest.TempPathFactory) -> Refitted:
    return refit(tmp_path_factory.mktemp("refit"))


def test_concepts_names_and_head_follow_the_encoder(refitted: Refitted) -> None:
    assert set(range(6)) <= set(refitted.carried.pairs)
    assert all(new == old for old, new in refitted.carried.as_map().items())
    assert [refitted.names[k].name for k in range(6)] == [f"thing {k}" for k in range(6)]
    turned = things(LABELS).flatten(0, 1) @ axes() @ small_turn(0.3)
    now, then = (evaluate_sae(sae, turned)["fvu"] for sae in (refitted.sae, dictionary()))
    assert now < then
    test = [i for i, item in enumerate(ITEMS) if item.split == "test"]
    correct = refitted.head.logits(refitted.pooled_IN[test]).argmax(1) == LABELS[test]
    assert correct.mean() >= 0.9
    assert refitted.metrics["carried"] == len(refitted.carried.pairs)
    assert refitted.splits[0] == "train"


def break_off(folder: Path, device: str = "cpu") -> None:
    """A re-fit whose tokens cannot be read any more after some steps."""

    class Stopped(Exception):
        pass

    class Failing(TokenStore):
        reads = 0

        def half(self, sha: str) -> torch.Tensor:
            self.reads += 1
            if self.reads > 150:
                raise Stopped
            return super().half(sha)

    before = store(folder / "before")
    store(folder / "after", small_turn(0.3))
    after = Failing(folder / "after")
    config = ConceptTuning(steps=60, batch=64, save_every=7)
    with pytest.raises(Stopped):
        refit_concepts(
            Former(dictionary(), NAMES, before), after, ITEMS, Texts(),  # type: ignore[arg-type]
            VOCABULARY, CLASSES, folder / "dictionary", config, seed=4, device=device,
        )  # fmt: skip
    kept = max((folder / "dictionary").glob("step-*")).name
    assert "step-00000000" < kept < "step-00000060"


def test_a_stopped_refit_goes_on_to_the_same_bits(tmp_path: Path, refitted: Refitted) -> None:
    break_off(tmp_path)
    again = refit(tmp_path)
    assert dictionary_hash(again.sae) == dictionary_hash(refitted.sae)
    assert again.head.weight_CN.tobytes() == refitted.head.weight_CN.tobytes()
    assert again.head.temperature == refitted.head.temperature


def test_where_it_is_trained_is_told_to_the_training_and_kept_nowhere(
    tmp_path: Path, refitted: Refitted
) -> None:
    with pytest.raises(RuntimeError, match="nowhere"):
        refit(tmp_path, device="nowhere")
    anywhere = refit(tmp_path, device="auto")
    assert anywhere.config == refitted.config
    assert "device" not in json.dumps(dict(anywhere.config))
    assert {value.device.type for value in anywhere.sae.state_dict().values()} == {"cpu"}


def test_a_rejected_concept_is_avoided(tmp_path: Path, refitted: Refitted) -> None:
    """Things 0 and 1 tell the classes equally well; with 1 rejected the head leans on 0."""

    def lean(made: Refitted) -> float:
        weight = np.abs(made.head.weight_CN[1] - made.head.weight_CN[0])
        return float(weight[1] / (weight[0] + weight[1]))

    avoided = refit(tmp_path, rejected={1: 1.0})
    assert lean(avoided) < 0.15 < 0.3 < lean(refitted)


def test_weights_reach_the_head(tmp_path: Path, refitted: Refitted) -> None:
    heavy = refit(tmp_path, weight_of=dict.fromkeys(KEYS[::2], 25.0))  # class "a"
    assert heavy.head.bias_C[0] - heavy.head.bias_C[1] > (
        refitted.head.bias_C[0] - refitted.head.bias_C[1]
    )


def test_it_becomes_a_version_that_knows_its_matches(tmp_path: Path, refitted: Refitted) -> None:
    folder = save_bundle(
        tmp_path, sae=refitted.sae, head=refitted.head, relations=refitted.relations,
        names=refitted.names, encoder=Texts.info, seed=4, config=dict(refitted.config),
        data_hash="d" * 64, metrics=dict(refitted.metrics), kind="finetune", parent="e" * 64,
        extra=refitted.extra,
    )  # fmt: skip
    bundle = load_bundle(folder)
    assert bundle.manifest.kind == "finetune"
    kept = carried_of(bundle.extra)
    assert {old: new for old, (new, _) in kept.items()} == refitted.carried.as_map()
    assert kept[0][1] == pytest.approx(refitted.carried.pairs[0].score)
    assert carried_of({}) == {}


def test_settings_round_trip() -> None:
    config = ConceptTuning(steps=5, carry=CarryConfig(min_score=0.5))
    assert ConceptTuning.from_json(config.to_json()) == config
    for wrong in ({"steps": 0}, {"rate": 0.0}, {"stepz": 1}, {"carry": {"min_score": -1}}):
        with pytest.raises(ConfigError):
            ConceptTuning.from_json(wrong)
