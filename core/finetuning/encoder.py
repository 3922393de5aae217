"""Tune the last blocks of an encoder on what people rejected.

1. views: copies with rejected regions filled or pasted, all through the frozen blocks, once;
2. the last blocks (or low-rank changes of them) and the linear head on the frozen concepts are
   trained by `core.finetuning.loop.train`;
3. the encoder is written as an open_clip folder.

What follows, new concepts on the new tokens, is `core.finetuning.concepts`. A call after a kill
goes on where the one before was, to the same bits.

Legend: I cases, P patches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from core import usual_tuning
from core.encoder import OpenClipEncoder, load_encoder
from core.errors import ConfigError, TrainingStopped
from core.finetuning.config import Losses, TuneConfig
from core.finetuning.export import export_encoder, spec_of
from core.finetuning.loop import OnPoint, Trained, train
from core.finetuning.regions import grown
from core.finetuning.tower import ConceptTower
from core.finetuning.tower_cases import TowerCases
from core.finetuning.views import TuneCase, Views, make_views
from core.heads import LinearHead
from core.pacing import Progress, part
from core.sae import SparseAutoencoder
from core.streaming import LoadImage

__all__ = ["EncoderTuning", "TuneCase", "TunedEncoder", "tune_encoder"]

_VIEWS = 0.35  # share of the bar that the views take


def _usual() -> TuneConfig:
    losses = Losses(
        counterfactual=usual_tuning.COUNTERFACTUAL, agreement=usual_tuning.AGREEMENT,
        contribution=usual_tuning.CONTRIBUTION, anchor=usual_tuning.ANCHOR, fill="given",
    )  # fmt: skip
    return TuneConfig(
        losses, epochs=usual_tuning.EPOCHS, batch=32, lr=usual_tuning.RATE,
        lr_of=(("weight_CN", 10.0), ("bias_C", 10.0)), schedule="cosine", warmup=0.1, clip=1.0,
        patience=usual_tuning.PATIENCE, save_every=25, device="auto",
    )  # fmt: skip


@dataclass(frozen=True)
class EncoderTuning:
    """How an encoder is tuned; the fields of `tune` are those of the generic loop."""

    blocks: int = usual_tuning.BLOCKS  # last blocks that change
    rank: int | None = None  # of low-rank changes (LoRA); None: the blocks' own weights
    pasted: float = usual_tuning.PASTED  # copies with an artefact of another class, per case
    grow: int = 1  # patches by which rejected regions are widened
    tune: TuneConfig = field(default_factory=_usual)

    def __post_init__(self) -> None:
        if self.grow < 0:
            raise ConfigError("grow must not be negative")
        if self.blocks < 1 or (self.rank is not None and self.rank < 1):
            raise ConfigError("blocks and rank must be at least 1")
        if not 0.0 <= self.pasted <= 4.0:
            raise ConfigError("the share of pasted copies lies in [0, 4]")

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict; `from_json` reads it back."""
        return {**asdict(self), "tune": self.tune.to_json()}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> EncoderTuning:
        """Read what `to_json` wrote, or a part of it. Raises ConfigError."""
        try:
            usual = _usual().to_json()
            given = dict(raw.get("tune", {}))
            losses = {**usual["losses"], **given.pop("losses", {})}
            tune = TuneConfig.from_json({**usual, **given, "losses": losses})
            return cls(**{**raw, "tune": tune})
        except TypeError as error:
            raise ConfigError(f"not the settings of a fine-tuning: {error}") from error


@dataclass(frozen=True, eq=False)
class TunedEncoder:
    """A tuned encoder and how it came about."""

    folder: Path  # open_clip layout; may be moved
    encoder: OpenClipEncoder  # loaded from there
    head: LinearHead  # on the former concepts, as it was tuned; no temperature yet
    curves: Mapping[str, tuple[tuple[int, float], ...]]  # see core.finetuning.loop.SERIES
    metrics: Mapping[str, float]  # last values, "steps", "cases", "marked", "pasted", "moved"
    stopped_early: bool


def tune_encoder(
    encoder: OpenClipEncoder,
    sae: SparseAutoencoder,
    head: LinearHead,
    cases: Sequence[TuneCase],
    load: LoadImage,
    folder: Path,
    config: EncoderTuning | None = None,
    *,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_point: OnPoint | None = None,
) -> TunedEncoder:
    """Tune an encoder; deterministic for one seed, on one CPU bit by bit.

    Args:
        encoder: a plain ViT without windows, in fp32; it is not changed.
        sae, head: of the version that is tuned.
        cases: learnt and held-out ones.
        load: RGB pixels uint8 [H, W, 3] of a case's key.
        folder: of this tuning alone: views, checkpoints and the encoder, "encoder".
        progress, should_stop, on_point: see core.finetuning.loop.train.

    Raises:
        EncoderError: a tower that cannot be tuned.
        ConfigError: settings or cases that cannot work, or a folder of another tuning.
        InputError: an image cannot be read.
        TrainingStopped: as asked; the same call goes on.
    """
    config = config or EncoderTuning()
    tell = progress or (lambda share, text: None)
    cases = [_widened(case, encoder.info.grid, config.grow) for case in cases]
    learnt = [case for case in cases if not case.held]
    if config.tune.losses.reasons and not any(case.marked for case in learnt):
        raise ConfigError("no case that is learnt from has a rejected region")
    tower = ConceptTower(
        encoder, sae, head, blocks=config.blocks, rank=config.rank, seed=config.tune.seed
    )
    place = encoder.blank.device
    tower.eval().to(place)
    views = make_views(
        encoder, cases, load, folder / "views", blocks=config.blocks,
        tail=lambda prefix_BTW: tower.tokens(prefix_BTW.to(place)).cpu(),
        pasted=round(config.pasted * len(learnt)), seed=config.tune.seed,
        progress=part(tell, 0.0, _VIEWS, "preparing pictures"), check=_stopper(should_stop),
    )  # fmt: skip
    trained = _train(tower.cpu(), views, sae.n, folder, config, tell, should_stop, on_point)
    tuned = trained.model
    if not isinstance(tuned, ConceptTower):
        raise TypeError("the loop gave back another model")
    made = export_encoder(encoder, tuned.merged(), folder / "encoder", _note(encoder, config))
    figures = {
        **trained.metrics, "steps": float(trained.steps), "cases": float(len(learnt)),
        "marked": float(sum(case.marked for case in learnt)), "pasted": float(len(views.pairs)),
    }  # fmt: skip
    return TunedEncoder(
        made, load_encoder(spec_of(encoder, made)), tuned.linear_head(head), trained.curves,
        figures, trained.stopped_early,
    )  # fmt: skip


def _widened(case: TuneCase, grid: tuple[int, int], steps: int) -> TuneCase:
    if case.rejected_P is None or not case.marked:
        return case
    return replace(case, rejected_P=grown(case.rejected_P, grid, steps, case.accepted_P))


def _train(
    tower: ConceptTower, views: Views, concepts: int, folder: Path, config: EncoderTuning,
    tell: Progress, should_stop: Callable[[], bool] | None, on_point: OnPoint | None,
) -> Trained:  # fmt: skip
    anchored = config.tune.losses.anchor > 0
    held = None
    if any(case.held for case in views.cases):
        held = TowerCases(views, concepts, held=True, anchored=anchored)
    return train(
        tower, TowerCases(views, concepts, anchored=anchored), config.tune, validation=held,
        checkpoint_folder=folder / "checkpoints", should_stop=should_stop, on_point=on_point,
        progress=part(tell, _VIEWS, 1.0, "tuning"),
    )  # fmt: skip


def _stopper(should_stop: Callable[[], bool] | None) -> Callable[[], None]:
    def check() -> None:
        if should_stop is not None and should_stop():
            raise TrainingStopped("stopped while preparing pictures; start it again to go on")

    return check


def _note(encoder: OpenClipEncoder, config: EncoderTuning) -> str:
    how = "their own weights" if config.rank is None else f"low-rank changes of rank {config.rank}"
    return (
        f"Encoder {encoder.info.hash[:16]} with its last {config.blocks} blocks tuned ({how}), "
        "so that its decisions rest less on what people rejected."
    )
