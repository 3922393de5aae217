"""The steps of a reweighting run: snapshot, detectors, refit, evaluate, publish.

Verdicts are taken as they stand when the run begins and frozen. Cases whose marks teach a
detector never count in the held-out figures, neither before nor after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InsightError
from dashboard.services import feedback, run_data
from dashboard.services.engines import Engines
from dashboard.services.publishing import Publisher
from dashboard.services.run_body import Facts, Step, StepContext
from dashboard.services.run_data import TRAIN, VAL, RunData
from dashboard.services.run_scratch import Scratch
from dashboard.settings import Settings

if TYPE_CHECKING:
    from core.evaluation import EvalReport
    from core.reweighting import RejectedCue

DETECTORS, EVALUATION, GROUPS = "detectors.json", "evaluation.json", "groups.json"
GIVEN_GROUPS = "Groups are label and the group column that came with the images."
FOUND_GROUPS = (
    "Groups are label and presence of the rejected cues, as the detectors learnt from the "
    "verdicts see it."
)


class ReweightSteps:
    """The five steps over the application's parts."""

    def __init__(self, settings: Settings, engines: Engines, publisher: Publisher) -> None:
        self._settings = settings
        self._engines = engines
        self._publisher = publisher

    def steps(self) -> tuple[Step, ...]:
        """The steps in order, each with its part of the bar."""
        return (
            Step("snapshot", "freezing the verdicts", 0.0, 0.05, self.snapshot),
            Step("detectors", "learning the rejected cues", 0.05, 0.3, self.detectors),
            Step("refit", "reweighting and refitting", 0.3, 0.65, self.refit),
            Step("evaluate", "measuring before and after", 0.65, 0.8, self.evaluate),
            Step("publish", "publishing the candidate", 0.8, 1.0, self.publish),
        )

    def snapshot(self, context: StepContext) -> Facts:
        """Freezes the standing verdicts; the same verdicts give the same snapshot."""
        run = context.run
        with context.uow() as uow:
            version = uow.versions.get(run.base_version_id or "")
            taken = feedback.take_snapshot(uow, run.project_id, version.dictionary_hash)
            uow.runs.update(run.id, snapshot_id=taken.id)
            uow.commit()
        return {"id": taken.id, "hash": taken.hash, "verdicts": taken.verdicts}

    def detectors(self, context: StepContext) -> Facts:
        """Learns a detector per rejected cue from the marked regions, or refuses."""
        from core.reweighting import DetectorConfig, MarkedRegion, learn_rejected_cues

        data, payload = self._load(context)
        row_of = data.row_of()
        marks = [
            MarkedRegion(row_of[mark.image_sha256], mark.concept, mark.region_P, mark.value)
            for mark in feedback.marks_of(payload)
            if mark.image_sha256 in row_of
        ]
        cues = learn_rejected_cues(
            data.tokens_of,
            marks,
            background_rows=[int(row) for row in data.rows(TRAIN)],
            grid=data.bundle.manifest.encoder.grid,
            config=DetectorConfig(seed=context.run.seed),
            names=data.names,
        )
        self._scratch(context).write_json(DETECTORS, [cue.as_json() for cue in cues])
        kinds = [mark.verdict for mark in marks]
        return {
            "judged": sorted({mark.row for mark in marks}),
            "marks": {"spurious": kinds.count("spurious"), "correct": kinds.count("correct")},
            "cues": [_cue_fact(cue, data) for cue in cues],
        }

    def refit(self, context: StepContext) -> Facts:
        """Balances (label x rejected cue present) and refits the head on the same codes."""
        from core.reweighting import reweight

        data, _ = self._load(context)
        train, val = data.rows(TRAIN), data.rows(VAL)
        rows = np.concatenate([train, val])
        if not len(train):
            raise InsightError("no labelled image is in the train split")
        result = reweight(
            tokens_of=data.tokens_of,
            marks=(),
            cues=self._cues(context),
            rows_I=[int(row) for row in rows],
            pooled_IN=run_data.pooled(data, self._engines, rows),
            labels_I=data.labels_I[rows],
            classes=data.bundle.head.classes,
            validation_I=np.arange(len(rows)) >= len(train),
            seed=context.run.seed,
            names=data.names,
            progress=context.watch(),
            pooling=data.bundle.head.pooling,
        )
        scratch = self._scratch(context)
        scratch.write_head(result.head)
        groups = [
            {"label": g.label, "present": list(g.present), "n": g.n, "weight": g.weight}
            for g in result.groups
        ]
        scratch.write_json(GROUPS, groups)
        return {"train_groups": groups}

    def evaluate(self, context: StepContext) -> Facts:
        """Measures the base head and the new head on the same held-out cases and groups."""
        data, payload = self._load(context)
        rejected = feedback.rejected_concepts(payload)
        judged = set(context.facts["detectors"]["judged"])
        after = self._scratch(context).read_head()
        splits, sizes, accuracies = {}, {}, {}
        held_out = data.held_out()
        given = _has_groups(data, held_out)
        for number, split in enumerate(held_out):
            context.progress(number / len(held_out))
            rows = np.array([r for r in data.rows(split) if int(r) not in judged], dtype=np.int64)
            if not len(rows):
                continue
            groups = self._groups(context, data, rows, given)
            codes_IN = run_data.pooled(data, self._engines, rows)
            pair = _evaluate_pair(data, after, codes_IN, rows, groups, rejected)
            splits[split] = {"before": pair[0].metrics(), "after": pair[1].metrics()}
            sizes[split] = {name: groups.count(name) for name in sorted(set(groups))}
            accuracies[split] = _group_accuracies(*pair)
        details = {
            "groups_from": _say_groups(given, held_out),
            "cues": context.facts["detectors"]["cues"],
            "marks": context.facts["detectors"]["marks"],
            "train_groups": context.facts["refit"]["train_groups"],
            "group_sizes": sizes,
            "group_accuracy": accuracies,
            "rejected_concepts": list(rejected),
            "judged_cases_left_out": len(judged & {int(r) for r in data.rows(*held_out)}),
        }
        self._scratch(context).write_json(EVALUATION, {"splits": splits, "details": details})
        return {}

    def publish(self, context: StepContext) -> Facts:
        """Saves the immutable version, registers it as a candidate and ends the run."""
        from core.artifacts import save_bundle

        data, _ = self._load(context)
        scratch, run, base = self._scratch(context), context.run, data.bundle
        metrics = scratch.read_json(EVALUATION)
        folder = save_bundle(
            self._settings.versions_folder(run.project_id),
            sae=base.sae,
            head=scratch.read_head(),
            relations=base.relations,
            names=base.names,
            encoder=base.manifest.encoder,
            seed=run.seed,
            config={"base": dict(base.manifest.config), "detectors": scratch.read_json(DETECTORS)},
            data_hash=_data_hash(data),
            metrics={"splits": metrics["splits"]},
            kind="reweight",
            parent=base.manifest.version_hash,
            snapshot_hash=context.facts["snapshot"]["hash"],
            extra=base.extra,
        )
        version = self._publisher.publish(
            run.project_id, Path(folder), state="candidate", run_id=run.id,
            snapshot_id=context.facts["snapshot"]["id"], progress=context.watch(),
        )  # fmt: skip
        context.check()
        with context.uow() as uow:
            uow.runs.update(
                run.id, state="succeeded", progress=1.0, stage="done", metrics=metrics,
                result_version_id=version.id,
            )  # fmt: skip
            uow.audit.append(
                actor="worker", action="run.succeeded", entity="run", entity_id=run.id,
                detail={"version": version.hash},
            )  # fmt: skip
            uow.commit()
        return {"version": version.hash}

    def _load(self, context: StepContext) -> tuple[RunData, Mapping[str, Any]]:
        """The run's data and its frozen snapshot."""
        run = context.run
        data = run_data.load(context.uow, self._engines, run)
        payload: Mapping[str, Any] = {"cues": []}
        if run.snapshot_id is not None:
            with context.uow(read_only=True) as uow:
                payload = uow.snapshots.get(run.snapshot_id).payload
        return data, payload

    def _scratch(self, context: StepContext) -> Scratch:
        folder = self._settings.project_folder(context.run.project_id)
        return Scratch(folder / "runs" / context.workflow_id)

    def _cues(self, context: StepContext) -> tuple[RejectedCue, ...]:
        from core.reweighting import RejectedCue

        saved = self._scratch(context).read_json(DETECTORS)
        return tuple(RejectedCue.from_json(entry) for entry in saved)

    def _groups(
        self, context: StepContext, data: RunData, rows: NDArray[np.int64], given: bool
    ) -> list[str]:
        """A group name per row: from the ingest's group column, or found by the detectors."""
        from core.reweighting import group_names, presence

        labels, classes = data.labels_I[rows], data.bundle.head.classes
        if given:
            pairs = zip(rows, labels, strict=True)
            return [_given_group(classes[k], data.images[int(r)].group_name) for r, k in pairs]
        cues = self._cues(context)
        found_IR = presence(cues, data.tokens_of, [int(row) for row in rows])
        return list(group_names(labels, found_IR, classes, [_cue_name(c, data) for c in cues]))


def _evaluate_pair(
    data: RunData,
    after: Any,
    codes_IN: Any,
    rows: NDArray[np.int64],
    groups: Sequence[str],
    rejected: Sequence[int],
) -> tuple[EvalReport, EvalReport]:
    from core.evaluation import evaluate

    labels = data.labels_I[rows]
    return (
        evaluate(data.bundle.head, codes_IN, labels, groups, rejected),
        evaluate(after, codes_IN, labels, groups, rejected),
    )


def _group_accuracies(before: EvalReport, after: EvalReport) -> dict[str, list[float | None]]:
    """Group -> accuracy before and after; small groups are listed too."""
    later = {g.name: g.accuracy for g in (*after.groups, *after.left_out)}
    return {g.name: [g.accuracy, later.get(g.name)] for g in (*before.groups, *before.left_out)}


def _has_groups(data: RunData, splits: Sequence[str]) -> bool:
    """Whether every held-out case came with a group: a mixture of both would say nothing."""
    rows = data.rows(*splits)
    return len(rows) > 0 and all(data.images[int(row)].group_name for row in rows)


def _given_group(label: str, group: str | None) -> str:
    """Label and group in one name; a group that begins with its label is left as it is."""
    return group if group and group.startswith(label) else f"{label}, {group}"


def _say_groups(given: bool, held_out: Sequence[str]) -> str:
    text = GIVEN_GROUPS if given else FOUND_GROUPS
    if tuple(held_out) == (TRAIN,):
        text += " There is no held-out split: these are training cases, so trust them little."
    return text


def _cue_name(cue: RejectedCue, data: RunData) -> str:
    return " + ".join(dict.fromkeys(data.name(concept) for concept in cue.concepts[:3]))


def _cue_fact(cue: RejectedCue, data: RunData) -> dict[str, Any]:
    return {
        "name": _cue_name(cue, data),
        "concepts": [int(concept) for concept in cue.concepts],
        "heldback_auc": float(cue.heldback_auc),
        "regions": int(cue.regions),
    }


def _data_hash(data: RunData) -> str:
    from core.artifacts import canonical_hash

    rows = zip(data.images, data.labels_I, data.splits_I, strict=True)
    return canonical_hash(sorted([i.sha256, int(k), s] for i, k, s in rows))
