"""The steps of a fine-tuning run: those of every learning run, then tune, encode, concepts, judge.

weigh     case weights under which labels and rejected cues are independent
tune      the encoder's last blocks, on what was rejected where (core.finetuning.encoder)
encode    the run's images anew, with the tuned encoder
concepts  the dictionary goes on from the former one; names and verdicts follow the matches
judge     both models on the same held-out cases
publish   the tuned encoder stays in the workspace, named by its hash

Legend: P patches, N concepts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from core.errors import FeedbackError, TrainingStopped
from core.types import EncoderInfo
from dashboard.services import run_data, tuned_matches
from dashboard.services.discovery import vocabulary_of
from dashboard.services.encoding import encode_whole_chunks
from dashboard.services.engines import read_verified
from dashboard.services.judge_step import JUDGED, Side, keep_measured
from dashboard.services.judging_regions import patches_of
from dashboard.services.learning_steps import (
    NOTICES,
    Learning,
    LearningSteps,
    need_training,
    notices_json,
)
from dashboard.services.run_body import Facts, Step, StepContext, notice
from dashboard.services.run_options import LEAST_CASES, asked_finetune
from dashboard.services.tuned_encoders import keep_encoder
from dashboard.services.tuning_cases import encoder_tuning, tune_cases

if TYPE_CHECKING:
    from core.artifacts import ModelBundle
    from core.discovery import DiscoverItem
    from core.encoder import OpenClipEncoder
    from core.finetuning.concepts import Refitted
    from core.finetuning.encoder import TunedEncoder
    from core.vocabulary import Vocabulary

Codes = Callable[[Any], Any]
WEIGHTS, DRAFT, TUNING, CONCEPTS = "weights.json", "draft", "tuning", "concepts"
NOTHING = (
    "nothing that people pointed at can be used: mark spurious cues on the Review screen, the same "
    f"cue in at least {LEAST_CASES} cases"
)
ONLY_MARKED = (
    "Only the marked cases themselves teach what to leave out; mark the cue in more cases."
)


class FinetuneSteps(LearningSteps):
    """The steps over the application's parts."""

    def steps(self) -> tuple[Step, ...]:
        """The steps in order, each with its part of the bar."""
        return (
            *self.opening(),
            self.kept("weigh", "balancing the cases", 0.2, 0.25, self.weigh),
            self.kept("tune", "tuning the encoder", 0.25, 0.65, self.tune),
            self.kept("encode", "encoding the images anew", 0.65, 0.75, self.encode),
            self.kept("concepts", "carrying the concepts over", 0.75, 0.87, self.concepts),
            self.kept("judge", "measuring before and after", 0.87, 0.92, self.judge),
            Step("publish", "publishing the candidate", 0.92, 1.0, self.publish),
        )

    def weigh(self, context: StepContext) -> Facts:
        """Case weights by the groups that the rejected cues make; none where there are too few
        marks for a cue.

        Raises FeedbackError where the words are refused: an encoder that was tuned on them would
        be wrong everywhere, and nobody chose that by hand (docs/decisions/0045).
        """
        from core.strategies import fit_strategy

        learning = self.learning(context)
        need_training(learning.data)
        if not any(mark.verdict == "spurious" for mark in learning.evidence.marks):
            raise FeedbackError(NOTHING)
        words = self.words(context, learning)
        if words.refusal:
            raise FeedbackError(words.refusal)
        problem = context.facts["cues"]["problem"]
        if problem:
            learning.scratch.write_json(WEIGHTS, {})
            said = notices_json(words.notes)
            return {NOTICES: [*said, notice("warning", problem, ONLY_MARKED)]}
        data = self.fit_data(learning, cues=learning.cues(), words=words)
        outcome = fit_strategy("groups", data, context.watch())
        pairs = zip(data.rows, data.held_I, outcome.weight_I, strict=True)
        images = learning.data.images
        # Validation cases have no weight in the fit; they count alike where they are looked at.
        by_image = {images[row].sha256: float(w) for row, held, w in pairs if not held}
        learning.scratch.write_json(WEIGHTS, by_image)
        return {NOTICES: notices_json(outcome.notes)}

    def tune(self, context: StepContext) -> Facts:
        """Tunes the encoder; goes on from its last checkpoint, and keeps the result by its hash."""
        from core.finetuning.encoder import tune_encoder

        learning = self.learning(context)
        base = learning.data.bundle
        info = base.manifest.encoder
        encoder = self.engines.exact_encoder(info.spec, info.hash)
        try:
            tuned = tune_encoder(
                encoder, base.sae, base.head,
                tune_cases(learning, learning.scratch.read_json(WEIGHTS)),
                self._pixels(context, learning), learning.scratch.path(TUNING),
                encoder_tuning(learning.run, self.settings.device), progress=context.watch(),
                should_stop=context.stopped, on_point=context.curve,
            )  # fmt: skip
        except TrainingStopped:
            context.check()  # says how the run was stopped
            raise
        return self._keep_tuned(context, tuned)

    def _keep_tuned(self, context: StepContext, tuned: TunedEncoder) -> Facts:
        info = keep_encoder(self.settings, tuned.folder, tuned.encoder.info)
        for series, points in tuned.curves.items():
            # All of them again: a kill may have lost the last ones before a checkpoint.
            for step, value in points:
                context.curve(series, step, value)
        return {
            "encoder": {"spec": info.spec, "hash": info.hash},
            "metrics": finite(tuned.metrics) | {"stopped_early": tuned.stopped_early},
        }

    def encode(self, context: StepContext) -> Facts:
        """Tokens of the run's images under the tuned encoder."""
        learning = self.learning(context)
        encoder = self._tuned(context)
        shas = [image.sha256 for image in learning.data.images]
        store = self.engines.tokens(learning.run.project_id, encoder.info.hash)
        load = self._pixels(context, learning)
        encode_whole_chunks(store, encoder, shas, load, context.watch())
        return {"images": len(shas)}

    def concepts(self, context: StepContext) -> Facts:
        """Goes on with the former dictionary on the new tokens and fits a head on it."""
        from core.finetuning.concepts import Former, refit_concepts

        learning = self.learning(context)
        data, base, encoder = learning.data, learning.data.bundle, self._tuned(context)
        refitted = refit_concepts(
            Former(base.sae, base.names, data.tokens, base.head.pooling),
            self.engines.tokens(learning.run.project_id, encoder.info.hash),
            _items(learning), encoder, self._vocabulary(context, learning), base.head.classes,
            learning.scratch.path(CONCEPTS),
            weight_of=learning.scratch.read_json(WEIGHTS),
            rejected=dict(learning.evidence.found.everywhere()), seed=learning.run.seed,
            device=self.settings.device, progress=context.watch(),
        )  # fmt: skip
        folder = self._save(context, learning, refitted, encoder.info)
        return {
            "folder": folder.name,
            "carried": len(refitted.carried.pairs),
            "of": base.sae.n,
            "unmatched": refitted.carried.missed(),
            NOTICES: lost_words(learning, refitted.carried.pairs),
        }

    def judge(self, context: StepContext) -> Facts:
        """Measures the base and the tuned model on the same held-out cases and groups."""
        learning, draft = self.learning(context), self._draft(context)
        data, rejected = learning.data, learning.evidence.rejected
        onward = tuned_matches.onward(draft)
        after = Side(
            draft.head,
            self._codes(learning, draft, draft.manifest.encoder.hash),
            tuple(onward[concept] for concept in rejected if concept in onward),
        )
        before = Side(
            data.bundle.head, lambda rows: run_data.pooled(data, self.engines, rows), rejected
        )
        facts = context.facts["concepts"]
        details = {
            **self.details(context),
            "tuning": context.facts["tune"]["metrics"],
            "concepts": {name: facts[name] for name in ("carried", "of", "unmatched")},
            "asked": asked_finetune(learning.run.config).options,
        }
        former = {new: old for old, new in onward.items()}
        keep_measured(
            context, learning, before, after, details, former=former,
            later=self._patches(learning, draft),
        )  # fmt: skip
        return {}

    def publish(self, context: StepContext) -> Facts:
        """Saves the immutable version with its figures, registers it and ends the run."""
        from core.artifacts import save_bundle

        learning, draft = self.learning(context), self._draft(context)
        manifest, metrics = draft.manifest, learning.scratch.read_json(JUDGED)
        folder = save_bundle(
            self.settings.versions_folder(learning.run.project_id),
            sae=draft.sae,
            head=draft.head,
            relations=draft.relations,
            names=draft.names,
            encoder=manifest.encoder,
            seed=manifest.seed,
            config=manifest.config,
            data_hash=manifest.data_hash,
            metrics={"splits": metrics["splits"]},
            kind="finetune",
            parent=manifest.parent,
            snapshot_hash=manifest.snapshot_hash,
            code=manifest.code_version,
            extra=draft.extra,
        )
        return self.finish(context, Path(folder), metrics)

    def _save(
        self, context: StepContext, learning: Learning, found: Refitted, encoder: EncoderInfo
    ) -> Path:
        """The new version without its figures, which its hash does not cover; in the run's folder.

        Returns its folder, named by the version's hash.
        """
        from core.artifacts import save_bundle

        base = learning.data.bundle
        return save_bundle(
            learning.scratch.path(DRAFT),
            sae=found.sae,
            head=found.head,
            relations=found.relations,
            names=found.names,
            encoder=encoder,
            seed=learning.run.seed,
            config={
                "base": dict(base.manifest.config),
                "asked": asked_finetune(learning.run.config).as_json(),
                "tuning": encoder_tuning(learning.run).to_json(),
                "concepts": dict(found.config),
                "detectors": [cue.as_json() for cue in learning.cues()],
            },
            data_hash=learning.inputs.data_hash,
            metrics={},
            kind="finetune",
            parent=base.manifest.version_hash,
            snapshot_hash=context.facts["snapshot"]["hash"],
            extra=found.extra,
        )

    def _draft(self, context: StepContext) -> ModelBundle:
        name = context.facts["concepts"]["folder"]
        return self.engines.bundle(self.scratch(context).path(DRAFT) / name)

    def _tuned(self, context: StepContext) -> OpenClipEncoder:
        kept = context.facts["tune"]["encoder"]
        return self.engines.encoder(kept["spec"], kept["hash"])

    def _patches(self, learning: Learning, draft: ModelBundle) -> Callable[[int], NDArray[Any]]:
        """Row -> activations [P, N] of the tuned model."""
        tokens = self.engines.tokens(learning.run.project_id, draft.manifest.encoder.hash)

        def tokens_of(row: int) -> NDArray[Any]:
            found: NDArray[Any] = tokens.get(learning.data.images[row].sha256).numpy()
            return found

        return patches_of(draft.sae, tokens_of)

    def _codes(self, learning: Learning, draft: ModelBundle, encoder: str) -> Codes:
        tokens = self.engines.tokens(learning.run.project_id, encoder)

        def codes(rows: Any) -> Any:
            shas = [learning.data.images[int(row)].sha256 for row in rows]
            return self.engines.pooled(learning.run.project_id, draft, tokens, shas)

        return codes

    def _pixels(self, context: StepContext, learning: Learning) -> Callable[[str], Any]:
        """Image sha256 -> RGB uint8 [H, W, 3]; raises ImageError where it has gone or changed."""
        with context.uow(read_only=True) as uow:
            root = Path(uow.projects.get(learning.run.project_id).root)
        by_sha = {image.sha256: image for image in learning.data.images}
        return lambda sha: read_verified(root, by_sha[sha])

    def _vocabulary(self, context: StepContext, learning: Learning) -> Vocabulary:
        with context.uow(read_only=True) as uow:
            return vocabulary_of(uow.projects.get(learning.run.project_id))


def lost_words(learning: Learning, carried: Collection[int]) -> list[dict[str, str]]:
    """A notice where people's words speak of concepts that have no match."""
    spoken = {each.concept for each in learning.evidence.found.concepts}
    lost = sorted(spoken - set(carried))
    if not lost:
        return []
    names = ", ".join(learning.data.name(concept) for concept in lost[:5])
    more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
    text = f"{len(lost)} of {len(spoken)} judged concepts changed too much to carry words over: "
    return [notice("info", f"{text}{names}{more}.", "Look at them again after activating.")]


def finite(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures that JSON can hold."""
    return {name: float(value) for name, value in figures.items() if math.isfinite(value)}


def _items(learning: Learning) -> tuple[DiscoverItem, ...]:
    """The run's cases as the engine of discovery takes them."""
    from core.discovery import DiscoverItem

    data = learning.data
    rows = zip(data.images, data.labels_I, data.splits_I, strict=True)
    return tuple(
        DiscoverItem(sha256=image.sha256, label=int(label), split=split, group=image.group_name)
        for image, label, split in rows
    )
