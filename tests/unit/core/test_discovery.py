"""The chain on a small made-up world whose concepts, names and relations are known."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.artifacts import dictionary_hash, load_bundle
from core.codes import CodeStore
from core.discovery import (
    DiscoverConfig,
    DiscoverItem,
    Discovery,
    discover,
)
from core.encoder import DenseFeatures
from core.errors import ConfigError
from core.fuzziness import fuzziness, sharpness_prior
from core.heads import LinearHead, fit_head
from core.naming import NamingConfig
from core.relations import RelationConfig
from core.sae import SAEConfig, TrainConfig
from core.sae.checkpoint import Checkpoints
from core.tokens import TokenStore
from core.types import EncoderInfo
from core.vocabulary import Term, Vocabulary

THINGS = ("skin", "lesion", "streaks", "ruler")
DIM, GRID = 8, (3, 3)
CLASSES = ("naevus", "melanoma")
CONFIG = DiscoverConfig(
    sae=SAEConfig(DIM, n=8, k=2, group_fractions=(0.5, 0.5)),
    train=TrainConfig(steps=200, batch=256, lr=1e-2),
    relations=RelationConfig(min_patches=10, min_images=4, min_lift=1.2),
    naming=NamingConfig(templates=("{}",), min_score=0.5, min_margin=0.1),
)

QUICK = replace(CONFIG, train=TrainConfig(steps=20, batch=128))  # where concepts do not matter


class World:
    """An encoder whose axis i is thing i, for images and for texts."""

    info = EncoderInfo("world", "w" * 64, DIM, GRID, 24)

    def encode_images(self, images: Sequence[NDArray[np.uint8]]) -> DenseFeatures:
        raise AssertionError("discovery reads tokens, not images")

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        rows = torch.zeros(len(texts), DIM)
        for row, text in zip(rows, texts, strict=True):
            row[THINGS.index(text) if text in THINGS else DIM - 1] = 1.0
        return rows


def draw_tokens(rng: np.random.Generator, melanoma: bool) -> Tensor:
    """Skin around a lesion of 2 x 2 patches; streaks on one of them in a melanoma; a ruler."""
    strength = np.zeros((9, DIM))
    inside = [0, 1, 3, 4] if rng.uniform() < 0.5 else [4, 5, 7, 8]
    strength[:, 0] = 2.0
    strength[inside, 0] = 0.0
    strength[inside, 1] = rng.uniform(2.0, 3.0)
    if melanoma:
        strength[rng.permutation(inside)[:1], 2] = rng.uniform(3.0, 4.0)
    if rng.uniform() < 0.5:
        strength[6 if inside[0] == 0 else 2, 3] = 4.0
    noise = rng.normal(scale=0.02, size=strength.shape)
    return torch.from_numpy(strength + noise).float()


def key(row: int) -> str:
    return f"{row * 7919 % 1009:064d}"  # not in the order of the rows


def fill(folder: Path, images: int = 90) -> tuple[TokenStore, list[DiscoverItem]]:
    rng = np.random.default_rng(5)
    store, items, drawn = TokenStore(folder), [], []
    for row in range(images):
        label = row % 2
        drawn.append((key(row), draw_tokens(rng, label == 1)))
        items.append(DiscoverItem(key(row), None if row >= images - 6 else label))
    store.write(drawn)
    return store, items


VOCABULARY = Vocabulary(tuple(Term(name) for name in (*THINGS, "unheard of")))


@lru_cache
def _world(folder: Path) -> tuple[TokenStore, list[DiscoverItem], Discovery, list[tuple]]:  # type: ignore[type-arg]
    store, items = fill(folder / "tokens")
    told: list[tuple[float, str]] = []
    found = discover(
        store, items, World(), VOCABULARY, CLASSES, config=CONFIG, seed=1,
        codes_folder=folder / "codes", progress=lambda share, stage: told.append((share, stage)),
    )  # fmt: skip
    return store, items, found, told


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("world")


@pytest.fixture
def store(folder: Path) -> TokenStore:
    return _world(folder)[0]


@pytest.fixture
def items(folder: Path) -> list[DiscoverItem]:
    return _world(folder)[1]


@pytest.fixture
def found(folder: Path) -> Discovery:
    return _world(folder)[2]


def test_the_things_become_concepts_with_their_names(found: Discovery) -> None:
    assert found.metrics["sae"]["fvu"] < 0.1
    named = {name.name for name in found.names}
    assert {"lesion", "streaks", "ruler"} <= named <= {*THINGS, None}
    direction_N = found.sae.decoder_ND.numpy()[:, THINGS.index("streaks")]
    assert found.names[int(direction_N.argmax())].name == "streaks"


def test_streaks_are_found_to_be_a_part_of_the_lesion(found: Discovery) -> None:
    edges = [
        (found.names[r.child].name, found.names[r.parent].name, r.kind)
        for r in found.graph.relations
    ]
    assert ("streaks", "lesion", "part-of") in edges


def test_the_head_learns_and_is_measured_on_the_drawn_test_split(found: Discovery) -> None:
    assert found.metrics["images"] == {"test": 13, "train": 64, "val": 13}
    assert found.metrics["splits"]["test"]["accuracy"] > 0.9
    assert set(found.metrics["splits"]) == {"test"}
    assert found.logits_IC.shape == (90, 2)
    assert found.probabilities_IC.sum(axis=1) == pytest.approx(np.ones(90))


def test_unlabelled_images_get_predictions(found: Discovery) -> None:
    truth = np.arange(90) % 2
    assert (found.predictions_I[84:] == truth[84:]).mean() > 0.6


def test_pooled_rows_are_in_the_order_given(
    found: Discovery, store: TokenStore, items: list[DiscoverItem], folder: Path
) -> None:
    codes = CodeStore(folder / "codes")
    for row in (0, 17, 89):
        live = found.sae.encode(store.get(items[row].sha256)).pooled()
        assert np.array_equal(found.pooled_IN[[row]].toarray()[0], live)
        kept = codes.image(codes.row_of(items[row].sha256))
        assert np.array_equal(kept.pooled(), live)


def test_progress_rises_to_one(folder: Path) -> None:
    shares = [share for share, _ in _world(folder)[3]]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_order_does_not_matter_and_a_seed_repeats_itself(
    found: Discovery, store: TokenStore, items: list[DiscoverItem]
) -> None:
    again = discover(store, items[::-1], World(), VOCABULARY, CLASSES, config=CONFIG, seed=1)
    assert torch.equal(again.sae.W_dec, found.sae.W_dec)
    assert again.names == found.names
    assert again.splits[::-1] == found.splits
    assert again.data_hash == found.data_hash
    assert np.array_equal(again.logits_IC[::-1], found.logits_IC)


def test_a_discovery_can_be_published_and_loaded(found: Discovery, tmp_path: Path) -> None:
    folder = found.save(tmp_path, World.info)
    bundle = load_bundle(folder, encoder=World.info)
    assert bundle.names == found.names
    assert bundle.relations == found.graph.relations
    assert bundle.head.temperature == found.head.temperature
    assert bundle.head.conformal == found.head.conformal is not None
    np.testing.assert_array_equal(bundle.head.upper_N, found.head.upper_N)
    assert bundle.manifest.metrics["splits"]["test"]["n"] == 12


def test_every_further_split_is_measured_on_its_own(
    store: TokenStore, items: list[DiscoverItem]
) -> None:
    names = ["train", "Validation", "test", "reversed", None]
    given = [
        DiscoverItem(item.sha256, item.label, names[row % 5] if row > 40 else "train", "g")
        for row, item in enumerate(items)
    ]
    found = discover(store, given, World(), VOCABULARY, CLASSES, config=QUICK)
    assert set(found.metrics["splits"]) == {"reversed", "test"}
    assert found.splits.count("") == found.metrics["images"]["unused"] > 0
    assert found.splits.count("val") > 0


def test_without_validation_a_part_of_train_gives_the_temperature(
    store: TokenStore, items: list[DiscoverItem]
) -> None:
    given = [DiscoverItem(i.sha256, i.label, "train") for i in items]
    found = discover(store, given, World(), VOCABULARY, CLASSES, config=QUICK)
    assert found.metrics["splits"] == {}
    assert found.metrics["sae"]["held_out"] is False
    assert found.head.temperature != 1.0
    assert found.head.conformal is not None
    assert found.head.conformal.stand_in


def test_what_cannot_work_is_refused_in_words(store: TokenStore, items: list[DiscoverItem]) -> None:
    def refused(given: list[DiscoverItem], classes: Sequence[str] = CLASSES) -> str:
        with pytest.raises(ConfigError) as caught:
            discover(store, given, World(), VOCABULARY, classes, config=QUICK)
        return str(caught.value)

    assert "no images" in refused([])
    assert "twice" in refused([items[0], items[0]])
    assert "no tokens yet" in refused([DiscoverItem("f" * 64, 0)])
    assert "not one of the classes" in refused([DiscoverItem(items[0].sha256, 7)])
    assert 'no "train"' in refused([DiscoverItem(items[0].sha256, 0, "test")])
    third = (*CLASSES, "seborrhoeic keratosis")
    assert "no training case" in refused(items[:20], third)


def test_an_exception_out_of_progress_ends_the_run(
    store: TokenStore, items: list[DiscoverItem]
) -> None:
    class CancelledByUser(Exception):
        pass

    def cancel(share: float, stage: str) -> None:
        raise CancelledByUser

    with pytest.raises(CancelledByUser):
        discover(store, items, World(), VOCABULARY, CLASSES, config=QUICK, progress=cancel)


def test_a_dictionary_found_before_is_named_and_given_a_head_anew(
    store: TokenStore, items: list[DiscoverItem], found: Discovery
) -> None:
    again = discover(
        store, items, World(), VOCABULARY, CLASSES, config=CONFIG, seed=1, dictionary=found.sae
    )
    assert again.sae is found.sae
    assert again.names == found.names
    assert again.graph == found.graph
    assert (again.pooled_IN != found.pooled_IN).nnz == 0
    assert again.metrics["sae"]["fvu"] == found.metrics["sae"]["fvu"]
    assert again.config["train"] == {"dictionary": dictionary_hash(found.sae)}


def test_training_can_be_watched_and_goes_on_after_a_kill(
    store: TokenStore, items: list[DiscoverItem], found: Discovery, tmp_path: Path
) -> None:
    def run(progress: Callable[[float, str], None] | None) -> Discovery:
        return discover(
            store, items, World(), VOCABULARY, CLASSES, config=CONFIG, seed=1, progress=progress,
            checkpoints=Checkpoints(tmp_path, every=50), metrics_file=tmp_path / "m.jsonl",
        )  # fmt: skip

    def stop(share: float, stage: str) -> None:
        if share > 0.3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(stop)
    again = run(None)
    assert dictionary_hash(again.sae) == dictionary_hash(found.sae)
    assert (tmp_path / "m.jsonl").read_text("utf-8").count("\n") > 1


def test_pooling_and_a_sparse_head_are_settings(
    store: TokenStore, items: list[DiscoverItem], found: Discovery
) -> None:
    config = replace(CONFIG, pooling="mean", concepts_per_class=1)
    sparse_head = discover(
        store, items, World(), VOCABULARY, CLASSES, config=config, seed=1, dictionary=found.sae
    )
    assert sparse_head.head.pooling == "mean"
    assert (np.count_nonzero(sparse_head.head.weight_CN, axis=1) <= 1).all()
    assert sparse_head.pooled_IN.max() < found.pooled_IN.max()
    assert sparse_head.head.conformal is not None
    with pytest.raises(ConfigError, match="concepts_per_class"):
        replace(CONFIG, concepts_per_class=0)


def test_the_head_avoids_fuzzy_concepts_unless_told_otherwise(
    store: TokenStore, items: list[DiscoverItem], found: Discovery
) -> None:
    def head(fuzzy: float | None) -> LinearHead:
        config = replace(CONFIG, fuzzy=fuzzy, head_c=1.0)
        run = discover(
            store, items, World(), VOCABULARY, CLASSES, config=config, seed=1, dictionary=found.sae
        )
        return run.head

    rows = [row for row, split in enumerate(found.splits) if split == "train"]
    keys = [items[row].sha256 for row in rows]
    codes_MN = found.sae.encode(torch.cat([store.get(key) for key in keys])).csr()
    fuzzy_N = fuzziness(codes_MN, len(store.get(keys[0])))
    labels = np.array([items[row].label for row in rows])
    kept = np.array([label is not None for label in labels])
    for limit in (None, 0.02):
        prior_N = None if limit is None else sharpness_prior(fuzzy_N, limit)
        chosen = np.asarray(rows)[kept]
        expected = fit_head(
            found.pooled_IN[chosen], labels[kept].astype(int), CLASSES, c=1.0, prior_N=prior_N
        )
        assert head(limit).weight_CN == pytest.approx(expected.weight_CN, rel=1e-3, abs=1e-4)
    assert not np.allclose(head(None).weight_CN, head(0.02).weight_CN, rtol=0.05)
    with pytest.raises(ConfigError, match="fuzzy"):
        replace(CONFIG, fuzzy=0.0)
