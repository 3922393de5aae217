"""The trainers that `benchmarks.sae_speed` compares, behind one protocol.

Every trainer gets the same tokens, batch, groups, k, learning rate (constant after a linear
warm-up) and the same patience before a latent counts as dead; everything else is what its library
does by default. `weights` gives any of them in our convention (unit or not), so that one
evaluator serves all.

Legend: M tokens, D dimension, N latents.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from core.sae import SAEConfig, SparseAutoencoder
from core.sae.fast import NumbaStep
from core.sae.selection import select_largest


@dataclass(frozen=True)
class Setting:
    """What all trainers share."""

    config: SAEConfig
    batch: int
    lr: float
    warmup: int  # steps
    patience: int  # batches without firing after which a latent counts as dead
    steps: int  # of the whole run
    seed: int


@dataclass(frozen=True)
class Weights:
    """An autoencoder in our convention: (x - b_dec) W_enc + b_enc, then values x W_dec + b_dec."""

    w_enc_DN: Tensor
    b_enc_N: Tensor
    w_dec_ND: Tensor
    b_dec_D: Tensor


class Trainer(Protocol):
    """One library's trainer."""

    def step(self, tokens_MD: Tensor) -> None:
        """One optimiser step."""
        ...

    def dead(self) -> int:
        """Latents that count as dead now."""
        ...

    def weights(self) -> Weights:
        """The autoencoder so far."""
        ...


def held_out_fvu(weights: Weights, tokens_MD: Tensor, k: int) -> float:
    """Fraction of variance unexplained with the k*M largest activations of the batch."""
    with torch.no_grad():
        pre_MN = (tokens_MD - weights.b_dec_D) @ weights.w_enc_DN + weights.b_enc_N
        kept = select_largest(pre_MN, k * len(tokens_MD))
        acts_MN = torch.zeros_like(pre_MN).flatten()
        acts_MN[kept] = pre_MN.flatten()[kept]
        rebuilt = acts_MN.view_as(pre_MN) @ weights.w_dec_ND + weights.b_dec_D
        spread = (tokens_MD - tokens_MD.mean(0)).double().square().sum()
        return float((tokens_MD - rebuilt).double().square().sum() / spread)


class Ours:
    """`core.sae.step` as `core.sae.train` uses it: the same start, the same bookkeeping."""

    def __init__(self, setting: Setting, first_MD: Tensor) -> None:
        generator = torch.Generator().manual_seed(setting.seed)
        config = setting.config
        self.model = SparseAutoencoder(config)
        with torch.no_grad():
            rows_ND = torch.randn(config.n, config.d, generator=generator)
            self.model.W_dec.copy_(F.normalize(rows_ND, dim=1))
            self.model.W_enc.copy_(self.model.W_dec.T)
            self.model.b_dec.copy_(first_MD.mean(0))
        self._setting = setting
        self.backend = NumbaStep(self.model)
        self._silent_N = torch.zeros(config.n, dtype=torch.int64)
        self._count = 0

    def _dead_N(self) -> Tensor:
        return self._silent_N >= self._setting.patience

    def step(self, tokens_MD: Tensor) -> None:
        """See `Trainer`."""
        self._count += 1
        rate = self._setting.lr * min(1.0, self._count / self._setting.warmup)
        report = self.backend.advance(tokens_MD, self._dead_N(), rate)
        self._silent_N += 1
        self._silent_N[report.fired_N] = 0

    def dead(self) -> int:
        """See `Trainer`."""
        return int(self._dead_N().sum())

    def weights(self) -> Weights:
        """See `Trainer`."""
        model = self.model
        parts = model.W_enc, model.b_enc, model.W_dec, model.b_dec
        return Weights(*(part.detach().clone() for part in parts))


class DictionaryLearning:
    """dictionary_learning's MatryoshkaBatchTopKTrainer."""

    def __init__(self, setting: Setting) -> None:
        from dictionary_learning.trainers.matryoshka_batch_top_k import (
            MatryoshkaBatchTopKTrainer,
        )

        config = setting.config
        self._trainer: Any = MatryoshkaBatchTopKTrainer(
            steps=setting.steps,
            activation_dim=config.d,
            dict_size=config.n,
            k=config.k,
            layer=0,
            lm_name="none",
            group_fractions=list(config.group_fractions),
            lr=setting.lr,
            auxk_alpha=config.aux_coefficient,
            warmup_steps=setting.warmup,
            seed=setting.seed,
            device="cpu",
        )
        self._trainer.dead_feature_threshold = setting.patience * setting.batch
        self._count = 0

    def step(self, tokens_MD: Tensor) -> None:
        """See `Trainer`."""
        self._trainer.update(self._count, tokens_MD)
        self._count += 1

    def dead(self) -> int:
        """See `Trainer`."""
        since = self._trainer.num_tokens_since_fired
        return int((since >= self._trainer.dead_feature_threshold).sum())

    def weights(self) -> Weights:
        """See `Trainer`."""
        sae = self._trainer.ae
        parts = sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec
        return Weights(*(part.detach().clone() for part in parts))


class SAELens:
    """SAELens' MatryoshkaBatchTopKTrainingSAE and SAETrainer.

    It scores activations times the length of their decoder rows, which `weights` folds in.
    """

    def __init__(self, setting: Setting) -> None:
        from sae_lens.config import LoggingConfig, SAETrainerConfig
        from sae_lens.saes.matryoshka_batchtopk_sae import (
            MatryoshkaBatchTopKTrainingSAE,
            MatryoshkaBatchTopKTrainingSAEConfig,
        )
        from sae_lens.training.sae_trainer import SAETrainer

        config = setting.config
        torch.manual_seed(setting.seed)
        sae = MatryoshkaBatchTopKTrainingSAE(
            MatryoshkaBatchTopKTrainingSAEConfig(
                d_in=config.d,
                d_sae=config.n,
                k=float(config.k),
                matryoshka_widths=list(config.prefixes),
                apply_b_dec_to_input=True,
                device="cpu",
            )
        )
        settings = SAETrainerConfig(
            total_training_samples=setting.steps * setting.batch,
            train_batch_size_samples=setting.batch,
            lr=setting.lr,
            lr_end=setting.lr,
            lr_warm_up_steps=setting.warmup,
            dead_feature_window=setting.patience,
            logger=LoggingConfig(log_to_wandb=False),
        )
        self._trainer: Any = SAETrainer(settings, sae, data_provider=_nothing())

    def step(self, tokens_MD: Tensor) -> None:
        """See `Trainer`."""
        self._trainer.maybe_reset_sparsity()
        self._trainer.step(tokens_MD)
        self._trainer.n_training_steps += 1

    def dead(self) -> int:
        """See `Trainer`."""
        return int(self._trainer.dead_neurons.sum())

    def weights(self) -> Weights:
        """See `Trainer`."""
        sae = self._trainer.sae
        decoder_ND = sae.W_dec.detach()
        length_N = decoder_ND.norm(dim=1)
        return Weights(
            sae.W_enc.detach() * length_N,
            sae.b_enc.detach() * length_N,
            decoder_ND / length_N.unsqueeze(1),
            sae.b_dec.detach().clone(),
        )


def _nothing() -> Iterator[Tensor]:
    """SAELens wants a source of tokens; ours come through `step`."""
    return iter(())


def peers(setting: Setting) -> tuple[dict[str, Trainer], dict[str, str]]:
    """The peers that are installed, and for each other one why it is missing."""
    found: dict[str, Trainer] = {}
    missing: dict[str, str] = {}
    makers: dict[str, Callable[[Setting], Trainer]] = {
        "dictionary_learning": DictionaryLearning,
        "saelens": SAELens,
    }
    for name, make in makers.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the peers, not ours to mend
                found[name] = make(setting)
        except ImportError as error:
            missing[name] = str(error)
    return found, missing
