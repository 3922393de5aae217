"""A tiny encoder, its concepts and cases; run as a child process, a tuning that can be killed.

python tunable_encoder.py FOLDER_OF_ENCODER FOLDER STEP: says "step STEP" before that step (counted
over blocks of pictures and training steps) and dawdles there until it is killed.
"""

import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from core.encoder import OpenClipEncoder, load_encoder
from core.finetuning import Losses, TuneConfig
from core.finetuning.encoder import EncoderTuning, TuneCase, TunedEncoder, tune_encoder
from core.heads import LinearHead
from core.sae import SAEConfig, SparseAutoencoder
from core.tokens import TokenStore

CASES, N = 40, 16
CLASSES = ("left", "right")
LOSSES = Losses(
    counterfactual=1.0, agreement=0.5, contribution=0.05, input_gradient=0.1, concept_gradient=0.1,
    anchor=0.5, fill="given",
)  # fmt: skip
TUNE = TuneConfig(LOSSES, epochs=2, batch=8, lr=5e-3, save_every=2, patience=4, seed=5)


def encoder_of(folder: Path, options: str = "") -> OpenClipEncoder:
    return load_encoder(f"local-dir:{folder}{options}", batch_size=8)


def pictures() -> dict[str, NDArray[np.uint8]]:
    rng = np.random.default_rng(8)
    images = rng.integers(0, 256, (CASES, 40, 44, 3), dtype=np.uint8)
    images[::2, :, :22] //= 3  # the true sign: which half is dark
    images[1::2, :, 22:] //= 3
    images[::2, :10, :11] = 255  # an artefact that comes with the first class
    return {hashlib.sha256(image.tobytes()).hexdigest(): image for image in images}


def dictionary(encoder: OpenClipEncoder, seed: int = 0) -> SparseAutoencoder:
    """Concepts that fire: unit directions, a low threshold, centred on the tokens."""
    generator = torch.Generator().manual_seed(seed)
    sae = SparseAutoencoder(SAEConfig(d=encoder.info.dim, n=N, k=4, group_fractions=(0.25, 0.75)))
    tokens = encoder.encode_images(list(pictures().values())[:8]).tokens_BPD.flatten(0, 1)
    with torch.no_grad():
        rows = torch.nn.functional.normalize(torch.randn(N, sae.d, generator=generator), dim=1)
        sae.W_dec.copy_(rows)
        sae.W_enc.copy_(rows.T)
        sae.b_dec.copy_(tokens.mean(0))
        sae.threshold.fill_(float((tokens - tokens.mean(0)).std()) * 0.8)
    return sae.eval().requires_grad_(False)


def head(seed: int = 0) -> LinearHead:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(len(CLASSES), N)).astype(np.float32)
    return LinearHead(weight, np.zeros(len(CLASSES), np.float32), CLASSES)


def cases(patches: int) -> list[TuneCase]:
    """Every case of the first class is marked in its corner but for some; four are held out."""
    corner_P = np.zeros(patches, np.bool_)
    corner_P[:2] = True
    sign_P = np.zeros(patches, np.bool_)
    sign_P[-3:] = True
    return [
        TuneCase(
            key, i % 2, held=i >= CASES - 6, weight=1.0 + 0.1 * i,
            rejected_P=corner_P if i % 2 == 0 and i % 6 else None,
            accepted_P=sign_P if i % 5 == 0 else None, concepts=(1, 3) if i % 4 == 0 else None,
        )
        for i, key in enumerate(pictures())
    ]  # fmt: skip


def tune(
    where: Path, folder: Path, config: EncoderTuning | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> TunedEncoder:  # fmt: skip
    encoder = encoder_of(where)
    patches = encoder.info.grid[0] * encoder.info.grid[1]
    return tune_encoder(
        encoder, dictionary(encoder), head(), cases(patches), pictures().__getitem__, folder,
        config or EncoderTuning(blocks=1, pasted=0.3, grow=0, tune=TUNE), should_stop=should_stop,
    )  # fmt: skip


def tokens_of(encoder: OpenClipEncoder, folder: Path) -> TokenStore:
    store = TokenStore(folder)
    found = encoder.encode_images(list(pictures().values())).tokens_BPD
    store.write(zip(pictures(), found, strict=True))
    return store


def _child(where: Path, folder: Path, step: int) -> None:
    asked = 0

    def dawdle() -> bool:
        nonlocal asked
        asked += 1
        if asked == step:
            sys.stdout.write(f"step {step}\n")
            sys.stdout.flush()
            time.sleep(600)
        return False

    tune(where, folder, should_stop=dawdle)


if __name__ == "__main__":
    torch.set_num_threads(1)
    _child(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
