"""Build the demo's model version: `python -m core.phantoms.build_demo --seed 0`.

The version is discovered on phantoms whose ruler and colour sticker are tied to the label in 95 %
of the cases, so that the shipped model really is right for the wrong reason. A reviewer can find
that out and mend it; `python -m benchmarks shortcut` measures how well.

Run it again after training another demo encoder: a bundle names the encoder it was made for. After
a change of relations, names or heads run it with --keep-concepts: reviewers' marks then mean what
they meant, and the figures of the benchmark stay comparable.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from torch import Tensor

from core.artifacts import load_bundle
from core.discovery import DiscoverConfig, DiscoverItem, Discovery, discover
from core.encoder import Encoder, load_encoder
from core.phantoms.dataset import Split, group_of
from core.phantoms.generator import generate
from core.phantoms.spec import CLASSES, VOCABULARY
from core.sae import SAEConfig, SparseAutoencoder, TrainConfig
from core.tokens import TokenStore
from core.vocabulary import Term, Vocabulary

DEMO_VERSION = Path(__file__).with_name("demo_version")
SERIES = 7_000  # seeds of the phantoms drawn here; the demo project and benchmarks use others
SIZE = 192  # pixels, as in the demo project
CHUNK = 64
SPLITS: tuple[Split, ...] = (
    Split("train", 2400),
    Split("val", 400),
    Split("test", 500),
    Split("reversed", 500, strength=0.05),
)


def draw_item(seed: int, job: tuple[int, Split]) -> tuple[np.ndarray, DiscoverItem]:
    """Draw one phantom; returns (uint8 [H, W, 3], what discovery needs to know of it)."""
    index, split = job
    phantom = generate(
        index, seed=SERIES + seed, size=SIZE, shortcuts=split.shortcuts, strength=split.strength
    )
    key = hashlib.sha256(phantom.image.tobytes()).hexdigest()
    label = CLASSES.index(phantom.label)
    return phantom.image, DiscoverItem(key, label, split.name, group_of(phantom))


def encode_phantoms(
    encoder: Encoder, splits: Sequence[Split], seed: int, workers: int, items: list[DiscoverItem]
) -> Iterator[tuple[str, Tensor]]:
    """Draw and encode phantoms; fills `items` as it goes and yields (key, tokens [P, D])."""
    order = [split for split in splits for _ in range(split.count)]
    jobs = list(enumerate(order))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for start in range(0, len(jobs), CHUNK):
            drawn = list(pool.map(partial(draw_item, seed), jobs[start : start + CHUNK]))
            features = encoder.encode_images([image for image, _ in drawn])
            for (_, item), tokens_PD in zip(drawn, features.tokens_BPD, strict=True):
                items.append(item)
                yield item.sha256, tokens_PD
            print(f"\rencoded {len(items)}/{len(jobs)}", end="", file=sys.stderr)  # noqa: T201


def demo_vocabulary() -> Vocabulary:
    """The phantoms' own terms as a project vocabulary."""
    return Vocabulary(tuple(Term(row.name, row.synonyms, row.parent) for row in VOCABULARY))


def demo_config(dim: int) -> DiscoverConfig:
    """Twice the engine's default width and one code more per patch.

    A reviewer of the demo should find ruler and sticker in many cases as cues of their own: with
    128 concepts at k = 3 one of three scripted reviews marked a mixture of a ruler and a network,
    and its run was refused.
    """
    return DiscoverConfig(
        sae=SAEConfig(d=dim, n=256, k=4), train=TrainConfig(steps=1500, batch=4096)
    )


def discover_demo(
    encoder: Encoder,
    folder: Path,
    seed: int,
    workers: int,
    dictionary: SparseAutoencoder | None = None,
) -> Discovery:
    """Draw, encode and discover; `folder` takes the tokens meanwhile.

    With a `dictionary` its concepts stay, and relations, names and head are made anew.
    """
    items: list[DiscoverItem] = []
    store = TokenStore(folder)
    store.write(encode_phantoms(encoder, SPLITS, seed, workers, items))
    config = demo_config(encoder.info.dim)
    return discover(
        store, items, encoder, demo_vocabulary(), CLASSES, config=config, seed=seed,
        dictionary=dictionary,
    )  # fmt: skip


def publish(found: Discovery, encoder: Encoder, out: Path) -> str:
    """Replace the bundle at `out`; returns the version hash."""
    with TemporaryDirectory() as folder:
        made = found.save(Path(folder), encoder.info)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(made, out)
        return made.name


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; prints the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=DEMO_VERSION)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--keep-concepts", action="store_true", help="keep the dictionary of the bundle at --out"
    )
    options = parser.parse_args(argv)
    encoder = load_encoder("demo")
    kept = load_bundle(options.out, encoder=encoder.info).sae if options.keep_concepts else None
    with TemporaryDirectory() as folder:
        found = discover_demo(encoder, Path(folder), options.seed, options.workers, kept)
    version = publish(found, encoder, options.out)
    print(json.dumps({"version": version, "metrics": dict(found.metrics)}, indent=1))  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
