"""Concepts discovered on fresh phantoms, and which cue each of them is.

`discovered` runs the engine's own discovery on a world and keeps the trained dictionary and the
codes on disk. The key is made of seed, settings, world and the sources that training runs
through, so a changed engine trains again. (INSIGHT_BENCH_STALE=1 leaves the sources out: for
work on what comes after the training, never for figures that are reported.) Relations, names and
head are always computed anew: that takes a second or two.

Legend: I images, P patches, M = I*P patches, N concepts, T targets (cues, then general terms).
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.phantom_world import World, cache_folder
from core.bundle_parts import read_sae, sae_parts
from core.codes import CodeStore
from core.concept_scores import auc, best_iou, iou_at
from core.discovery import DiscoverConfig, Discovery, discover
from core.files import write_json
from core.manifest import canonical_hash
from core.phantoms.build_demo import demo_vocabulary
from core.phantoms.spec import CLASSES, CUE_NAMES, GENERAL_MEMBERS
from core.sae import SparseAutoencoder

TARGETS: tuple[str, ...] = (*CUE_NAMES, *GENERAL_MEMBERS)
"""What a concept may be: the cues, then the general terms (the union of their cues)."""
_CORE = Path(__file__).parent.parent / "core"
_TRAINING = ("sae", "tokens.py", "streaming.py", "splits.py")  # sources in the key
_DEFAULTS = ("sizes.py",)  # in the key in any case


@dataclass(frozen=True, eq=False)
class Concepts:
    """What discovery found on one world. Codes and pooled codes are in the order of its items."""

    world: World
    discovery: Discovery  # sae, head, graph (relations, synonyms, dropped), names, pooled_IN
    store: CodeStore = field(repr=False)  # keyed by sha256; its rows are sorted by key

    def codes(self, split: str) -> sparse.csr_array:
        """Codes of every patch of "train", "select" or "test", image after image, [I*P, N]."""
        return self.codes_of(self.world.rows(split))

    def codes_of(self, rows: NDArray[np.int64]) -> sparse.csr_array:
        """Codes of every patch of some images, float32 [I*P, N]."""
        keys = [self.world.items[row].sha256 for row in rows]
        parts = [self.store.image(self.store.row_of(key)).csr() for key in keys]
        return sparse.csr_array(sparse.vstack(parts, format="csr"))


@dataclass(frozen=True)
class TargetMatch:
    """The concept that shows a target best; chosen on `select`, scored on `test`."""

    target: str
    concept: int
    threshold: float  # activation above which a patch is marked
    iou: float  # on test, at the threshold
    auc: float  # on test, of this concept's activations over patches; NaN where undefined
    select_iou: float


@dataclass(frozen=True)
class ConceptMatch:
    """The target that a concept shows best; target None where it never fires on `select`."""

    concept: int
    target: str | None
    threshold: float
    iou: float  # on test
    select_iou: float


@dataclass(frozen=True, eq=False)
class Matches:
    """Concepts against targets, both ways; the arrays hold every pair."""

    targets: tuple[TargetMatch, ...]  # in the order of TARGETS
    concepts: tuple[ConceptMatch, ...]  # in the order of the dictionary
    select_iou_NT: NDArray[np.float64] = field(repr=False)
    iou_NT: NDArray[np.float64] = field(repr=False)  # on test, thresholds of threshold_NT
    threshold_NT: NDArray[np.float64] = field(repr=False)  # chosen on select
    select_auc_NT: NDArray[np.float64] = field(repr=False)  # over patches
    auc_NT: NDArray[np.float64] = field(repr=False)  # over patches of test

    def of(self, target: str) -> TargetMatch:
        """The match of a cue or general term."""
        return self.targets[TARGETS.index(target)]


def discovered(
    world: World, config: DiscoverConfig | None = None, *, seed: int | None = None
) -> Concepts:
    """Discover concepts on a world with the engine's defaults, or take them from the cache.

    Args:
        world: train, select (as validation) and test images.
        config: settings; None is what a user gets who sets nothing.
        seed: of the discovery; None: the world's.
    """
    config = config or DiscoverConfig()
    used = world.seed if seed is None else seed
    folder = cache_folder() / f"concepts-{_key(world, config, used)}"
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        known = _load_sae(folder)
        found = discover(
            world.tokens, world.items, world.encoder, demo_vocabulary(), CLASSES,
            config=config, seed=used, dictionary=known, codes_folder=folder / "codes",
        )  # fmt: skip
        if known is None:
            _save_sae(folder, found.sae)
    return Concepts(world, found, CodeStore(folder / "codes"))


def match_concepts(concepts: Concepts) -> Matches:
    """Which concept shows which cue or general term, by IoU over patches.

    The truth is a patch covered by a quarter or more (`World.truth_IPC`). Thresholds and choices
    are made on `select` alone; `test` only scores them.
    """
    return match_codes(
        concepts.codes("select"),
        targets_MT(concepts.world, "select"),
        concepts.codes("test"),
        targets_MT(concepts.world, "test"),
    )


def match_codes(
    select_MN: sparse.csr_array | NDArray[np.floating],
    select_MT: NDArray[np.bool_],
    test_MN: sparse.csr_array | NDArray[np.floating],
    test_MT: NDArray[np.bool_],
) -> Matches:
    """`match_concepts` for any activations; T in the order of TARGETS."""
    select_iou_NT, threshold_NT = best_iou(select_MN, select_MT)
    iou_NT, auc_NT = iou_at(test_MN, test_MT, threshold_NT), auc(test_MN, test_MT)
    by_target = select_iou_NT.argmax(axis=0)
    targets = tuple(
        TargetMatch(
            target, int(c), float(threshold_NT[c, t]), float(iou_NT[c, t]),
            float(auc_NT[c, t]), float(select_iou_NT[c, t]),
        )
        for t, (target, c) in enumerate(zip(TARGETS, by_target, strict=True))
    )  # fmt: skip
    by_concept = select_iou_NT.argmax(axis=1)
    found = tuple(
        ConceptMatch(
            c, TARGETS[t] if select_iou_NT[c, t] > 0 else None, float(threshold_NT[c, t]),
            float(iou_NT[c, t]), float(select_iou_NT[c, t]),
        )
        for c, t in enumerate(by_concept)
    )  # fmt: skip
    return Matches(
        targets, found, select_iou_NT, iou_NT, threshold_NT, auc(select_MN, select_MT), auc_NT
    )


def targets_MT(world: World, split: str) -> NDArray[np.bool_]:
    """Whether each patch of a split shows each of TARGETS; general terms are unions."""
    truth_MC = world.truth_IPC()[world.rows(split)].reshape(-1, len(CUE_NAMES))
    unions = [
        truth_MC[:, [CUE_NAMES.index(cue) for cue in cues]].any(axis=1)
        for cues in GENERAL_MEMBERS.values()
    ]
    return np.column_stack([truth_MC, *unions])


def _key(world: World, config: DiscoverConfig, seed: int) -> str:
    keys = sorted(item.sha256 for item in world.items)
    stale = bool(os.environ.get("INSIGHT_BENCH_STALE"))
    sources = _AT_IMPORT[: 1 if stale else 2]
    settings = {
        "sae": asdict(config.sae) if config.sae else None,
        "train": asdict(config.train) if config.train else None,
        "shares": config.shares,
    }
    return canonical_hash([world.encoder.info.hash, seed, settings, sources, keys])[:20]


def _sources(names: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for name in names:
        path = _CORE / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else (path,):
            digest.update(file.read_bytes())
    return digest.hexdigest()


# Of the code that this process runs, whatever is edited meanwhile.
_AT_IMPORT = (_sources(_DEFAULTS), _sources(_TRAINING))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time trains and writes in this folder; the others wait for it."""
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _save_sae(folder: Path, sae: SparseAutoencoder) -> None:
    settings, arrays = sae_parts(sae)
    (folder / "sae.safetensors").write_bytes(safetensors.numpy.save(dict(arrays)))
    write_json(folder / "sae.json", settings)  # last: it says that the weights are whole


def _load_sae(folder: Path) -> SparseAutoencoder | None:
    if not (folder / "sae.json").exists():
        return None
    settings = json.loads((folder / "sae.json").read_text(encoding="utf-8"))
    weights = (folder / "sae.safetensors").read_bytes()
    return read_sae(json.dumps(settings).encode(), weights)
