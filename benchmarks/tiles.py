"""Do concepts keep what a real encoder's tokens know? (`python -m benchmarks tiles --json OUT`)

Magnetic tiles (1344 real photographs) through the real ViT-Ti of `../shared/realdata`, concepts
found with the engine's defaults on the train images. Without that folder the benchmark says so
and gives no figure.

probes   defect or free, logistic regression, fitted on 420 train images: random ones, or those of
         `biased_train`, where the exposure gives the label away in 95 %. Dense tokens and codes
         (inference activations) get the same procedure: pooling (mean, max, or both side by side)
         and penalty by cross-validation on these 420 images, folds that keep a tile's numbers
         mixed as the given split does; one scale for all columns. Scored on the test images:
         accuracy on rows where exposure and defect go together ("aligned") or not.
gaps     dense minus codes, in points of the mean of both accuracies.
patches  a patch shows a defect that covers an eighth of it. AUC over all patches of test: a
         logistic probe on dense tokens, the best concept (chosen on val), and a logistic head on
         the 10 concepts that enter an L1 path first; all fitted on train.

Legend: I images, P patches, N concepts, D embedding, F features.
"""

import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from torch import Tensor

from benchmarks.harness import Metric, Result, Target, collect
from benchmarks.phantom_world import cache_folder
from core.attribute_columns import from_masks
from core.codes import CodeStore
from core.concept_scores import auc
from core.discovery import DiscoverItem, Discovery, discover
from core.encoder import Encoder, load_encoder
from core.head_path import entry_order
from core.tokens import TokenStore
from core.vocabulary import Term, Vocabulary

REALDATA = Path(__file__).resolve().parents[2] / "shared" / "realdata"
WORDS = ("crack", "scratch", "hole", "stone", "metal", "screw", "shadow", "wall")
BIASED_ROWS = 420
COVER = 0.125
PENALTIES = (0.1, 1.0, 10.0, 100.0)
HEAD_CONCEPTS = 10
UNITS = {
    "gap_random": "points", "gap_biased": "points",
    "dense_random_aligned": "accuracy", "dense_random_conflicting": "accuracy",
    "codes_random_aligned": "accuracy", "codes_random_conflicting": "accuracy",
    "dense_biased_aligned": "accuracy", "dense_biased_conflicting": "accuracy",
    "codes_biased_aligned": "accuracy", "codes_biased_conflicting": "accuracy",
    "patch_auc_dense": "AUC", "patch_auc_concept": "AUC", "patch_auc_head10": "AUC",
    "concepts": "concepts", "concepts_per_patch": "concepts", "fvu": "share",
}  # fmt: skip
TARGETS = {"gap_random": Target("<=", 3.0), "gap_biased": Target("<=", 3.0)}
Part = Literal["train", "val", "test"]
Features = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Tiles:
    """The photographs' tokens and what is known of them; rows in the order of labels.csv."""

    encoder: Encoder = field(repr=False)
    tokens: TokenStore = field(repr=False)
    keys: tuple[str, ...]
    defect_I: Bools
    part_I: NDArray[np.str_]  # train, val, test
    biased_I: Bools
    aligned_I: Bools
    exposure_I: NDArray[np.int64]  # 1 to 6; 0: unknown
    patches_IP: Bools = field(repr=False)  # patches with a defect

    def rows(self, part: Part) -> NDArray[np.int64]:
        """Rows of one part."""
        return np.flatnonzero(self.part_I == part)


def run(seeds: Sequence[int] = (0, 1, 2), *, quick: bool = False) -> Result:
    """All seeds; `quick` takes every fourth tile and its figures are not the benchmark's."""
    if not REALDATA.is_dir():
        return Result("tiles", tuple(seeds), (), ("../shared/realdata is not here: skipped",))
    tiles = load(4 if quick else 1)
    metrics: tuple[Metric, ...] = collect([_one_seed(tiles, s) for s in seeds], UNITS, TARGETS)
    notes = (
        "gap: dense minus codes, mean of aligned and conflicting accuracy, in points",
        "test has 133 aligned and 132 conflicting rows: one row is .75 points",
        *(("QUICK TRIAL: not the benchmark's figures",) if quick else ()),
    )
    return Result("tiles", tuple(seeds), metrics, notes)


def load(step: int = 1) -> Tiles:
    """The tiles with their tokens, encoded once and kept in the cache folder."""
    folder = REALDATA / "magnetic_tile"
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))[::step]
    encoder = load_encoder(str(REALDATA / "vit_ti_encoder"))
    paths = [folder / row["file"] for row in rows]
    keys = tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    store = TokenStore(cache_folder() / f"tiles-{encoder.info.hash[:12]}")
    absent = set(store.missing(keys))
    store.write(
        _encoded(encoder, [(k, p) for k, p in zip(keys, paths, strict=True) if k in absent])
    )
    masks = (_mask(folder / row["mask"]) if row["mask"] else None for row in rows)
    shown = from_masks("defect", masks, encoder.info.grid, COVER).truth_M
    return Tiles(
        encoder, store, keys, _column(rows, "defect"), np.array([row["split"] for row in rows]),
        _column(rows, "biased_train"), _column(rows, "cue_aligned"),
        np.array([int(row["exposure"]) for row in rows], np.int64), shown.reshape(len(rows), -1),
    )  # fmt: skip


def _one_seed(tiles: Tiles, seed: int) -> dict[str, float]:
    found, store = discovered(tiles, seed)
    dense, codes = _pooled_tokens(tiles), _pooled_codes(tiles, store)
    train, test = tiles.rows("train"), tiles.rows("test")
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.permutation(train)[: min(BIASED_ROWS, len(train))])
    splits = {"random": drawn, "biased": train[tiles.biased_I[train]]}
    sae = found.metrics["sae"]
    row = {"concepts": found.sae.n, "concepts_per_patch": sae["l0"], "fvu": sae["fvu"]}
    for split, rows in splits.items():
        means = {}
        for name, features in (("dense", dense), ("codes", codes)):
            right = probe(features, tiles.defect_I, rows, test, seed)
            aligned = tiles.aligned_I[test]
            figures = float(right[aligned].mean()), float(right[~aligned].mean())
            row[f"{name}_{split}_aligned"], row[f"{name}_{split}_conflicting"] = figures
            means[name] = sum(figures) / 2
        row[f"gap_{split}"] = 100 * (means["dense"] - means["codes"])
    return row | _patch_figures(tiles, store, seed)


def probe(
    features: dict[str, Features], truth_I: Bools, rows: NDArray[np.int64],
    test: NDArray[np.int64], seed: int,
) -> Bools:  # fmt: skip
    """Which test images a logistic probe gets right, bool [len(test)].

    The best of `features` (one [I, F] per pooling) and PENALTIES by five-fold cross-validation on
    `rows`; the simplest one where several are as good.
    """
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    best: tuple[float, Features, float] | None = None
    for values_IF in features.values():
        scaled_IF = values_IF / max(float(np.sqrt((values_IF[rows] ** 2).mean())), 1e-12)
        for penalty in PENALTIES:
            score = cross_val_score(_logistic(penalty), scaled_IF[rows], truth_I[rows], cv=folds)
            if best is None or score.mean() > best[0] + 1e-9:
                best = float(score.mean()), scaled_IF, penalty
    if best is None:
        raise ValueError("a probe needs features")
    model = _logistic(best[2]).fit(best[1][rows], truth_I[rows])
    return np.asarray(model.predict(best[1][test]) == truth_I[test])


def _logistic(penalty: float) -> LogisticRegression:
    return LogisticRegression(C=penalty, max_iter=2000)


def _patch_figures(tiles: Tiles, store: CodeStore, seed: int) -> dict[str, float]:
    """Patch-level AUC on test of the dense probe, the best concept and the head on ten."""
    truth = {part: tiles.patches_IP[tiles.rows(part)].ravel() for part in ("train", "val", "test")}
    dense = {part: _tokens(tiles, part) for part in ("train", "test")}
    codes = {part: _codes(tiles, store, part) for part in ("train", "val", "test")}
    chosen = int(np.nan_to_num(auc(codes["val"], truth["val"][:, None])).argmax())
    scaled = codes["train"] / max(float(np.sqrt((codes["train"].data ** 2).mean())), 1e-12)
    ten = entry_order(scaled, truth["train"], HEAD_CONCEPTS)[:HEAD_CONCEPTS]
    return {
        "patch_auc_dense": _patch_auc(dense["train"], truth["train"], dense["test"], truth["test"]),
        "patch_auc_concept": float(auc(codes["test"][:, [chosen]], truth["test"][:, None])[0, 0]),
        "patch_auc_head10": _patch_auc(
            codes["train"][:, ten].toarray(), truth["train"],
            codes["test"][:, ten].toarray(), truth["test"],
        ),
    }  # fmt: skip


def _patch_auc(train_MF: Features, train_M: Bools, test_MF: Features, test_M: Bools) -> float:
    """AUC on test of a logistic probe on standardised features."""
    mean_F, spread_F = train_MF.mean(axis=0), train_MF.std(axis=0) + 1e-6
    model = LogisticRegression(C=0.01, max_iter=300).fit((train_MF - mean_F) / spread_F, train_M)
    scores_M = model.decision_function((test_MF - mean_F) / spread_F)
    return float(auc(scores_M[:, None], test_M[:, None])[0, 0])


def discovered(tiles: Tiles, seed: int) -> tuple[Discovery, CodeStore]:
    """Concepts by the engine's defaults, found on the train images."""
    items = [
        DiscoverItem(key, int(defect), str(part))
        for key, defect, part in zip(tiles.keys, tiles.defect_I, tiles.part_I, strict=True)
    ]
    folder = cache_folder() / f"tile-codes-{tiles.encoder.info.hash[:12]}-{len(items)}-{seed}"
    words = Vocabulary(tuple(Term(word) for word in WORDS))
    found = discover(
        tiles.tokens,
        items,
        tiles.encoder,
        words,
        ("free", "defect"),
        seed=seed,
        codes_folder=folder,
    )
    return found, CodeStore(folder)


def _pooled_tokens(tiles: Tiles) -> dict[str, Features]:
    return _poolings(lambda key: tiles.tokens.get(key).numpy(), tiles.keys)


def _pooled_codes(tiles: Tiles, store: CodeStore) -> dict[str, Features]:
    return _poolings(lambda key: store.image(store.row_of(key)).csr().toarray(), tiles.keys)


def _poolings(
    read: Callable[[str], NDArray[np.floating]], keys: Sequence[str]
) -> dict[str, Features]:
    """Mean, maximum and both side by side, [I, F] each."""
    mean, most = [], []
    for key in keys:
        values_PF = read(key)
        mean.append(values_PF.mean(axis=0))
        most.append(values_PF.max(axis=0))
    mean_IF, most_IF = np.stack(mean).astype(np.float32), np.stack(most).astype(np.float32)
    both_IF = np.hstack([_scaled(mean_IF), _scaled(most_IF)])
    return {"mean": mean_IF, "max": most_IF, "both": both_IF}


def _scaled(values_IF: Features) -> Features:
    """All columns divided by one number, so that two poolings weigh alike."""
    return np.asarray(values_IF / max(float(np.sqrt((values_IF**2).mean())), 1e-12), np.float32)


def _tokens(tiles: Tiles, part: Part) -> Features:
    parts = [tiles.tokens.get(tiles.keys[row]).numpy() for row in tiles.rows(part)]
    return np.concatenate(parts)


def _codes(tiles: Tiles, store: CodeStore, part: Part) -> sparse.csr_array:
    keys = [tiles.keys[row] for row in tiles.rows(part)]
    parts = [store.image(store.row_of(key)).csr() for key in keys]
    return sparse.csr_array(sparse.vstack(parts, format="csr"))


def _column(rows: Sequence[dict[str, str]], name: str) -> Bools:
    return np.array([row[name] == "1" for row in rows], np.bool_)


def _mask(path: Path) -> Bools:
    with Image.open(path) as image:
        return np.asarray(image.convert("L")) > 127


def _encoded(encoder: Encoder, jobs: Sequence[tuple[str, Path]]) -> Iterator[tuple[str, Tensor]]:
    for start in range(0, len(jobs), 32):
        part = jobs[start : start + 32]
        images = [np.asarray(Image.open(path).convert("RGB")) for _, path in part]
        tokens_BPD = encoder.encode_images(images).tokens_BPD
        yield from zip((key for key, _ in part), tokens_BPD, strict=True)
