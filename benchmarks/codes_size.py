"""How small codes are on disk, and how fast one image's are found.

Run as `python -m benchmarks codes_size`.

Per seed: tokens of 196 patches an image with d = 512 are encoded with a dictionary of n = 8192
whose threshold gives 12 active concepts per token on average, as in the paper. The bytes of all
files of the store, manifest included, are set against those of the same tokens in fp32. Size does
not depend on what the tokens mean, so tokens and dictionary are random.

Access: the mean CPU time of `CodeStore.image` on random rows, in a store of 100 images and one
of 10,000 (the same codes again under other keys), by turns in the same process.

Beside these: what an int64 pointer per token (the store's first format) would take, half-precision
token shards, and the demo version on phantoms that it has not seen.

Legend: I images, P patches, D dimension, N concepts.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness import Result, Target, collect
from benchmarks.phantom_world import build
from core.artifacts import load_bundle
from core.codes import Codes, CodeStore, count_dtype
from core.phantoms.build_demo import DEMO_VERSION
from core.sae import SAEConfig, SparseAutoencoder
from core.tokens import TokenStore

D, N, K, P = 512, 8192, 12, 196
SMALL, LARGE = 100, 10_000
READS, TURNS = 400, 9
UNITS: Mapping[str, str] = {
    "ratio_to_fp32_tokens": "of fp32 bytes",
    "fp32_over_codes": "times smaller",
    "ratio_at_100_images": "of fp32 bytes",
    "ratio_with_int64_pointers": "of fp32 bytes",
    "l0": "concepts per token",
    "access_us": "microseconds",
    "access_ratio": "10,000 images / 100 images",
    "bf16_shards": "of fp32 bytes",
    "demo_ratio": "of fp32 bytes",
    "demo_l0": "concepts per token",
}
TARGETS: Mapping[str, Target] = {
    "ratio_to_fp32_tokens": Target("<=", 1 / 30, "max", "1/30"),
    "access_ratio": Target("<=", 2.0, "mean", "constant time"),
}


def run(seeds: Sequence[int] = (0, 1, 2), *, quick: bool = False) -> Result:
    """All seeds; `quick` is a small trial whose figures are not the benchmark's."""
    rows = []
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="insight-codes-") as folder:
            rows.append(one_seed(Path(folder), seed, quick=quick))
        print(
            f"seed {seed}: " + ", ".join(f"{k} {v:.4g}" for k, v in rows[-1].items()),
            file=sys.stderr,
        )
    notes = ("fp32 tokens: 4 bytes x d per patch. Indices uint16, values fp16, counts uint16.",)
    return Result("codes_size", tuple(seeds), collect(rows, UNITS, TARGETS), notes)


def one_seed(folder: Path, seed: int, *, quick: bool = False) -> dict[str, float]:
    """Figures of one seed, by the keys of UNITS; writes to `folder`."""
    d, n, large = (64, 512, 400) if quick else (D, N, LARGE)
    tokens_IPD = _tokens(seed, SMALL, d)
    sae = dictionary(tokens_IPD[:8].flatten(0, 1), n, seed)
    codes = [sae.encode(tokens_PD) for tokens_PD in tokens_IPD]
    small, big = CodeStore(folder / "small"), CodeStore(folder / "large")
    small.write(_keyed(codes, SMALL), n)
    big.write(_keyed(codes, large), n)
    access_small, access_big = access_times(small, big, seed)
    return {
        **sizes(big, d),
        "ratio_at_100_images": sizes(small, d)["ratio_to_fp32_tokens"],
        "access_us": access_big * 1e6,
        "access_ratio": access_big / access_small,
        "bf16_shards": shard_ratio(folder / "shards", tokens_IPD),
        **demo_sizes(folder / "demo", seed),
    }


def sizes(store: CodeStore, d: int) -> dict[str, float]:
    """Bytes of a store against those of the same tokens in fp32, and the mean L0."""
    codes = store.all()
    fp32 = 4.0 * d * len(codes)
    counts = np.dtype(count_dtype(store.n)).itemsize * len(codes) + 16.0 * (len(store) + 1)
    pointers = 8.0 * (len(codes) + 1) - counts  # format 1 kept these instead
    return {
        "ratio_to_fp32_tokens": store.bytes_on_disk / fp32,
        "fp32_over_codes": fp32 / store.bytes_on_disk,
        "ratio_with_int64_pointers": (store.bytes_on_disk + pointers) / fp32,
        "l0": codes.nnz / len(codes),
    }


def dictionary(tokens_MD: Tensor, n: int, seed: int) -> SparseAutoencoder:
    """A random dictionary that fires K times per token on average on tokens [M, D]."""
    sae = SparseAutoencoder(SAEConfig(d=tokens_MD.shape[1], n=n, k=K))
    generator = torch.Generator().manual_seed(10_000 + seed)
    with torch.no_grad():
        sae.W_dec.copy_(F.normalize(torch.randn(n, sae.d, generator=generator), dim=1))
        sae.W_enc.copy_(sae.W_dec.T)
        pre = sae.pre_activations(tokens_MD).flatten()
        sae.threshold.copy_(torch.topk(pre, K * len(tokens_MD)).values[-1])
    return sae


def access_times(small: CodeStore, big: CodeStore, seed: int) -> tuple[float, float]:
    """CPU seconds per image read at random from either store: median of turns."""
    rng = np.random.default_rng(seed)
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(TURNS):
        for times, store in zip(spent, (small, big), strict=True):
            rows = rng.integers(len(store), size=READS).tolist()
            start = time.process_time()
            for row in rows:
                codes = store.image(row)
                codes.value.sum(dtype=np.float32)  # so that the entries are read, not only mapped
            times.append((time.process_time() - start) / READS)
    return float(np.median(spent[0])), float(np.median(spent[1]))


def shard_ratio(folder: Path, tokens_IPD: Tensor) -> float:
    """Bytes of bf16 shards, lists of keys included, against fp32."""
    store = TokenStore(folder, "bf16")
    store.write((f"{image:064d}", tokens) for image, tokens in enumerate(tokens_IPD))
    return sum(path.stat().st_size for path in folder.iterdir()) / (4.0 * tokens_IPD.numel())


def demo_sizes(folder: Path, seed: int) -> dict[str, float]:
    """The same of the shipped demo version on 210 phantoms."""
    world = build(seed, quick=True)
    sae = load_bundle(DEMO_VERSION).sae
    store = CodeStore(folder)
    rows = range(len(world.items))
    store.write(
        ((world.items[row].sha256, sae.encode(world.tokens_of(row))) for row in rows), sae.n
    )
    found = sizes(store, sae.d)
    return {"demo_ratio": found["ratio_to_fp32_tokens"], "demo_l0": found["l0"]}


def _tokens(seed: int, images: int, d: int) -> Tensor:
    """Random tokens [I, P, D]."""
    return torch.randn(images, P, d, generator=torch.Generator().manual_seed(seed))


def _keyed(codes: Sequence[Codes], images: int) -> Iterator[tuple[str, Codes]]:
    """So many images, the given codes again and again, with keys as long as a sha256."""
    return ((f"{image:064x}", codes[image % len(codes)]) for image in range(images))
