"""Fine-tuning over the phantoms, as a run of the app does it: the same code, without a store.

The steps of `dashboard.services.finetune_steps`, on what a workspace would hold of one seed's
phantoms: the words checked, detectors of the rejected cues, weights by the groups that they make,
the app's own list of cases (`tuning_cases.tune_cases`), the encoder's last blocks tuned with the
options that the app's form starts with, all phantoms encoded anew, the dictionary gone on with and
a head fitted on it. What a run refuses ends the work here too, and the model stays as it is.

Legend: I images (train, same, reversed); P patches; N concepts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.phantom_project import Said, World
from core.discovery import DiscoverItem
from core.errors import FeedbackError, TooFewVerdicts
from core.finetuning.concepts import Former, refit_concepts
from core.finetuning.encoder import EncoderTuning, tune_encoder
from core.heads import LinearHead
from core.phantoms.build_demo import demo_vocabulary
from core.reweighting import RejectedCue
from core.strategies import FitData, Notice, fit_strategy
from core.strategies.cues import learn_cues
from core.strategies.sanity import checked
from core.tokens import TokenStore
from dashboard.services.finetune_steps import NOTHING
from dashboard.services.run_data import TRAIN
from dashboard.services.run_options import finetune_config
from dashboard.services.tuning_cases import encoder_tuning, tune_cases
from db.feedback_records import RunRecord

CHUNK = 64  # phantoms drawn and encoded together


@dataclass(frozen=True, eq=False)
class Tuned:
    """A fine-tuned model: its head on the codes of all phantoms under its own encoder."""

    head: LinearHead
    pooled_IN: NDArray[np.float32] = field(repr=False)
    carried: float  # share of the former concepts that a new one matches, [0, 1]
    warned: bool  # whether the run said something as a warning


def fine_tune(
    world: World, said: Said, data: FitData, folder: Path, config: EncoderTuning | None = None
) -> Tuned:
    """Tune, encode, carry the concepts over and fit the head.

    Args:
        data: what strategies are given of the same verdicts.
        folder: of this tuning alone; views, checkpoints, encoder and tokens stay there.
        config: None is what a run does of which nothing was asked.

    Raises:
        FeedbackError: what would end the run.
    """
    if not any(mark.verdict == "spurious" for mark in said.marks):
        raise FeedbackError(NOTHING)
    cues, weight_of, notes = weighed(world, data)
    run, pixels, base = asked(world.seed), drawn(world), world.bundle
    cases = tune_cases(_learning(world, said, cues, run), weight_of)
    tuned = tune_encoder(
        world.encoder, base.sae, base.head, cases, pixels, folder / "tuning",
        config or encoder_tuning(run),
    )  # fmt: skip
    tokens = TokenStore(folder / "tokens")
    tokens.write(_encoded(world, tuned.encoder, pixels))
    found = refit_concepts(
        Former(base.sae, base.names, world.tokens, base.head.pooling), tokens, items(world),
        tuned.encoder, demo_vocabulary(), base.head.classes, folder / "concepts",
        weight_of=weight_of, rejected=dict(data.concepts), seed=world.seed,
    )  # fmt: skip
    return Tuned(
        found.head,
        np.asarray(found.pooled_IN.toarray(), np.float32),
        len(found.carried.pairs) / base.sae.n,
        any(note.level == "warning" for note in notes),
    )


def weighed(
    world: World, data: FitData
) -> tuple[tuple[RejectedCue, ...], dict[str, float], tuple[Notice, ...]]:
    """The steps "cues" and "weigh": detectors, weight by key, and what is said.

    Where too little is marked for a cue the cases weigh alike, and a warning says so.

    Raises:
        FeedbackError: the words are refused.
    """
    words = checked(data)
    if words.refusal:
        raise FeedbackError(words.refusal)
    try:
        learnt = learn_cues(replace(data, words=words))
    except TooFewVerdicts as error:
        return (), {}, (*words.notes, Notice("warning", str(error)))
    outcome = fit_strategy("groups", replace(data, cues=learnt.cues, words=words))
    weights = zip(data.rows, outcome.weight_I, strict=True)
    by_key = {world.key(row): float(weight) for row, weight in weights}
    return learnt.cues, by_key, (*learnt.notes, *outcome.notes)


def asked(seed: int) -> RunRecord:
    """A fine-tuning run of which nothing but the seed was asked."""
    return RunRecord(
        id="phantoms", project_id="phantoms", kind="finetune", state="running", seed=seed,
        config=finetune_config(None), progress=0.0, stage="", message="", base_version_id=None,
        result_version_id=None, snapshot_id=None, metrics={}, workflow_id=None, requested_by=None,
        created_at=datetime(2026, 1, 1, tzinfo=UTC), started_at=None, finished_at=None,
        heartbeat_at=None,
    )  # fmt: skip


def items(world: World) -> tuple[DiscoverItem, ...]:
    """All phantoms as a discovery takes them, in the order of the rows."""
    sizes = world.sizes
    names = ("train",) * sizes.train + ("test",) * sizes.same + ("reversed",) * sizes.reversed
    return tuple(
        DiscoverItem(world.key(row), int(world.labels_I[row]), name)
        for row, name in enumerate(names)
    )


def drawn(world: World) -> Callable[[str], NDArray[np.uint8]]:
    """Key -> pixels uint8 [H, W, 3]; those to learn from are asked for often and kept."""
    row_of = {world.key(row): row for row in range(world.sizes.total)}
    kept = cache(lambda row: world.phantom(row).image)

    def load(key: str) -> NDArray[np.uint8]:
        row = row_of[key]
        return kept(row) if row < world.sizes.train else world.phantom(row).image

    return load


def _encoded(
    world: World, encoder: Any, pixels: Callable[[str], NDArray[np.uint8]]
) -> Iterator[tuple[str, Tensor]]:
    keys = [world.key(row) for row in range(world.sizes.total)]
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        tokens_BPD = encoder.encode_images([pixels(key) for key in chunk]).tokens_BPD
        yield from zip(chunk, tokens_BPD, strict=True)


def _learning(world: World, said: Said, cues: tuple[RejectedCue, ...], run: RunRecord) -> Any:
    """What `tune_cases` reads of a run's frozen inputs; there is no validation split."""
    rows = {TRAIN: world.train}
    data = SimpleNamespace(
        rows=lambda split: rows.get(split, np.zeros(0, np.int64)),
        images=[SimpleNamespace(sha256=world.key(row)) for row in range(world.sizes.total)],
        labels_I=world.labels_I,
        tokens_of=world.tokens_of,
    )
    evidence = SimpleNamespace(marks=said.marks)
    return SimpleNamespace(data=data, evidence=evidence, run=run, cues=lambda: cues)
