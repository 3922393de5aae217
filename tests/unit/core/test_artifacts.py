"""Model versions on disk: identity, atomic publishing and refusal of anything altered."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.artifacts import (
    ModelBundle,
    canonical_hash,
    code_version,
    dictionary_hash,
    load_bundle,
    read_manifest,
    save_bundle,
)
from core.errors import BundleError, ConfigError
from core.heads import LinearHead
from core.sae import SAEConfig, SparseAutoencoder, from_state
from core.types import ConceptName, EncoderInfo, Relation, RunnerUp

ENCODER = EncoderInfo("demo", "e" * 64, 4, (2, 2), 32)


def small_sae(seed: int = 0) -> SparseAutoencoder:
    generator = torch.Generator().manual_seed(seed)
    config = SAEConfig(4, n=6, k=2, group_fractions=(0.5, 0.5))
    shapes = {"W_enc": (4, 6), "b_enc": (6,), "W_dec": (6, 4), "b_dec": (4,), "threshold": ()}
    state = {name: torch.rand(shape, generator=generator) for name, shape in shapes.items()}
    return from_state(config, state)


def parts(**changed: Any) -> dict[str, Any]:
    """Arguments of `save_bundle`, with some of them changed."""
    names = [ConceptName("ruler", 0.5, 0.25, (RunnerUp("hair", 0.25),))]
    names += [ConceptName(None, 0.1, 0.0)] * 5
    rng = np.random.default_rng(0)
    weight_CN = rng.normal(size=(2, 6)).astype(np.float32)
    return {
        "sae": small_sae(),
        "head": LinearHead(weight_CN, np.zeros(2, np.float32), ("naevus", "melanoma"), 1.5),
        "relations": [Relation(1, 0, "is-a", 0.9, 40)],
        "names": names,
        "encoder": ENCODER,
        "seed": 3,
        "config": {"sae": {"n": 6}, "tau": 0.75},
        "data_hash": "d" * 64,
        "metrics": {"splits": {"test": {"accuracy": np.float64(0.5), "worst_group": None}}},
        **changed,
    }


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_bundle(tmp_path / "versions", **parts(extra={"cue": np.ones(4, np.float32)}))


def test_what_is_saved_is_loaded(saved: Path) -> None:
    found = load_bundle(saved, encoder=ENCODER)
    expected = parts()
    assert isinstance(found, ModelBundle)
    assert found.manifest.version_hash == saved.name
    assert found.manifest.encoder == ENCODER
    assert found.manifest.classes == ("naevus", "melanoma")
    assert found.manifest.metrics == {"splits": {"test": {"accuracy": 0.5, "worst_group": None}}}
    assert found.manifest.dictionary_hash == dictionary_hash(expected["sae"])
    assert found.relations == tuple(expected["relations"])
    assert found.names == tuple(expected["names"])
    assert found.head.temperature == 1.5
    assert np.array_equal(found.head.weight_CN, expected["head"].weight_CN)
    assert found.extra["cue"].tolist() == [1.0] * 4
    tokens_MD = torch.rand(5, 4, generator=torch.Generator().manual_seed(1))
    live = expected["sae"].encode_dense(tokens_MD)
    assert torch.equal(found.sae.encode_dense(tokens_MD), live)
    assert read_manifest(saved) == found.manifest


def test_the_same_content_gives_the_same_version(tmp_path: Path) -> None:
    first = save_bundle(tmp_path / "a", **parts())
    second = save_bundle(tmp_path / "b", **parts())
    assert first.name == second.name
    contents = [{p.name: p.read_bytes() for p in f.iterdir()} for f in (first, second)]
    assert contents[0] == contents[1]


def other_head() -> LinearHead:
    return LinearHead(np.ones((2, 6), np.float32), np.zeros(2, np.float32), ("naevus", "melanoma"))


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 4},
        {"config": {"sae": {"n": 6}, "tau": 0.8}},
        {"data_hash": "f" * 64},
        {"parent": "a" * 64},
        {"snapshot_hash": "b" * 64},
        {"kind": "reweight"},
        {"code": "0.0.0+other"},
        {"encoder": EncoderInfo("demo", "0" * 64, 4, (2, 2), 32)},
        {"sae": small_sae(1)},
        {"head": other_head()},
        {"relations": []},
        {"names": [ConceptName(None, 0.1, 0.0)] * 6},
        {"extra": {"cue": np.zeros(2, np.float32)}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_anything_that_matters_changes_the_version(tmp_path: Path, changed: dict[str, Any]) -> None:
    plain = save_bundle(tmp_path, **parts())
    assert save_bundle(tmp_path, **parts(**changed)).name != plain.name


def test_metrics_do_not_change_the_version(tmp_path: Path) -> None:
    assert save_bundle(tmp_path, **parts()) == save_bundle(tmp_path, **parts(metrics={"x": 1}))


def test_publishing_again_touches_nothing(tmp_path: Path) -> None:
    folder = save_bundle(tmp_path, **parts())
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert save_bundle(tmp_path, **parts()) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_publishing_again_mends_a_damaged_version(tmp_path: Path) -> None:
    folder = save_bundle(tmp_path, **parts())
    (folder / "names.json").write_text("[]")
    assert save_bundle(tmp_path, **parts()) == folder
    assert load_bundle(folder).names[0].name == "ruler"
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_parts_that_do_not_fit_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="5 names"):
        save_bundle(tmp_path, **parts(names=[ConceptName(None, 0.0, 0.0)] * 5))
    with pytest.raises(ConfigError, match="dimension 4"):
        save_bundle(tmp_path, **parts(encoder=EncoderInfo("demo", "e", 5, (2, 2), 32)))
    for wrong in ({"config": {"tau": float("nan")}}, {"metrics": {"ece": float("inf")}}):
        with pytest.raises(ConfigError):
            save_bundle(tmp_path, **parts(**wrong))
    with pytest.raises(ConfigError, match="not finite"):
        save_bundle(tmp_path, **parts(extra={"cue": np.array([np.nan])}))
    assert list(tmp_path.iterdir()) == []


def flip_a_byte(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        raw = bytearray((folder / name).read_bytes())
        raw[-1] ^= 1
        (folder / name).write_bytes(bytes(raw))

    return damage


def edit_manifest(**changed: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        raw = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**raw, **changed}))

    return damage


def truncate_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"format": 1,')


def poison_manifest(folder: Path) -> None:
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace("0.75", "NaN"))


@pytest.mark.parametrize(
    ("damage", "file", "reason"),
    [
        (flip_a_byte("sae.safetensors"), "sae.safetensors", "was altered"),
        (flip_a_byte("head.safetensors"), "head.safetensors", "was altered"),
        (flip_a_byte("names.json"), "names.json", "was altered"),
        (flip_a_byte("extra.safetensors"), "extra.safetensors", "was altered"),
        (lambda f: (f / "relations.json").unlink(), "relations.json", "is missing"),
        (lambda f: (f / "run.pkl").write_bytes(b""), "run.pkl", "does not belong"),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json", "cannot be read"),
        (truncate_manifest, "manifest.json", "not JSON"),
        (poison_manifest, "manifest.json", "NaN is not a number"),
        (edit_manifest(format=2), "manifest.json", "format 1"),
        (edit_manifest(seed=9), "manifest.json", "was altered"),
        (edit_manifest(surprise=1), "manifest.json", "'surprise' is missing or unknown"),
        (edit_manifest(encoder={}), "manifest.json", "wrong form"),
        (edit_manifest(files={"../x": "0"}), "head.json", "missing from the manifest"),
    ],
)
def test_damage_is_refused_by_name(
    saved: Path, damage: Callable[[Path], object], file: str, reason: str
) -> None:
    damage(saved)
    with pytest.raises(BundleError) as caught:
        load_bundle(saved)
    assert caught.value.file == file
    assert reason in caught.value.reason


def test_a_file_that_leads_elsewhere_is_refused(saved: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    (saved / "names.json").rename(outside)
    (saved / "names.json").symlink_to(outside)
    with pytest.raises(BundleError, match=r"names\.json: is missing"):
        load_bundle(saved)


def test_another_encoder_is_refused(saved: Path) -> None:
    other = EncoderInfo("other", "f" * 64, 4, (2, 2), 32)
    with pytest.raises(BundleError, match="made for another encoder"):
        load_bundle(saved, encoder=other)


def test_well_hashed_nonsense_is_refused(tmp_path: Path) -> None:
    # A relation to a concept that does not exist passes every hash; its reader refuses it.
    folder = save_bundle(tmp_path, **parts(relations=[Relation(1, 77, "is-a", 0.9, 4)]))
    with pytest.raises(BundleError, match=r"relations\.json: has the wrong form"):
        load_bundle(folder)


def test_no_tensor_file_is_a_pickle(saved: Path) -> None:
    for path in saved.glob("*.safetensors"):
        assert safetensors.numpy.load(path.read_bytes())


def test_code_version_names_release_and_source() -> None:
    release, _, source = code_version().partition("+")
    assert release.count(".") == 2
    assert len(source) == 12


def test_canonical_hash_ignores_order_and_container() -> None:
    assert canonical_hash({"a": (1, 2), "b": np.int64(3)}) == canonical_hash({"b": 3, "a": [1, 2]})
    assert canonical_hash({"a": 1}) != canonical_hash({"a": "1"})
    with pytest.raises(ConfigError):
        canonical_hash({"a": float("inf")})
    with pytest.raises(ConfigError):
        canonical_hash({"a": object()})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)  # fmt: skip


@given(JSON)
def test_canonical_hash_survives_a_round_trip(value: Any) -> None:
    assert canonical_hash(json.loads(json.dumps(value))) == canonical_hash(value)
