"""The steps that every run shares that learns from verdicts, and how a step finds its inputs.

snapshot   freezes verdicts and cases; the same verdicts give the same snapshot
evidence   what the verdicts say, of which cases, and what there is to say about them
cues       checks the words and learns to recognise what was rejected; what is wrong with either is
           kept, and the step that needs the words decides: most refuse, a strategy that a person
           chose by hand follows them and says so (docs/decisions/0045)

Each keeps what it made beside the frozen inputs. A step that finds its own result there, left by
an attempt that was killed or cancelled, takes it as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import FeedbackError, InsightError, TooFewVerdicts
from dashboard.services import feedback, run_fit, run_inputs
from dashboard.services.engines import Engines
from dashboard.services.publishing import Publisher
from dashboard.services.run_body import Facts, Step, StepContext, notice
from dashboard.services.run_data import TRAIN, RunData
from dashboard.services.run_fit import Columns, Evidence, columns_of, read_evidence
from dashboard.services.run_inputs import INPUTS, Inputs
from dashboard.services.run_options import LEAST_CASES
from dashboard.services.run_scratch import Scratch
from dashboard.settings import Settings
from db.feedback_records import RunRecord

if TYPE_CHECKING:
    from core.reweighting import RejectedCue
    from core.strategies import FitData, Notice
    from core.strategies.data import Checked

CUES, COLUMNS = "cues.json", "columns.json"
NO_WORDS = (
    "nothing was called spurious yet: mark cues on the Review screen (key X), the same cue in at "
    f"least {LEAST_CASES} cases, draw what must not count (key I), or reject a metadata "
    "column on the Groups screen"
)
TOO_FEW, REFUSED = "too few", "refused"  # kinds of problems with the cues
NOTICES = "notices"  # the key of a step's facts under which it says something


@dataclass(frozen=True)
class Learning:
    """What a step works on."""

    run: RunRecord
    data: RunData
    evidence: Evidence
    inputs: Inputs
    scratch: Scratch

    def cues(self) -> tuple[RejectedCue, ...]:
        """The cues that the step "cues" has learnt."""
        from core.reweighting import RejectedCue

        return tuple(RejectedCue.from_json(each) for each in self.scratch.read_json(CUES))

    def columns(self) -> Columns:
        """The rejected columns, as frozen."""
        return Columns(**self.scratch.read_json(COLUMNS))


class LearningSteps:
    """Shared steps over the application's parts."""

    def __init__(self, settings: Settings, engines: Engines, publisher: Publisher) -> None:
        self.settings = settings
        self.engines = engines
        self.publisher = publisher

    def opening(self) -> tuple[Step, ...]:
        """The steps with which every learning run begins, up to 0.2 of the bar."""
        return (
            Step("snapshot", "freezing the verdicts", 0.0, 0.03, self.snapshot),
            self.kept("evidence", "weighing what people said", 0.03, 0.05, self.evidence),
            self.kept("cues", "learning the rejected cues", 0.05, 0.2, self.cues),
        )

    def kept(
        self, name: str, stage: str, low: float, high: float, work: Callable[[StepContext], Facts]
    ) -> Step:
        """A step whose result is kept beside the run's inputs and found again."""
        return Step(name, stage, low, high, partial(self._once, name, work))

    def _once(self, name: str, work: Callable[[StepContext], Facts], context: StepContext) -> Facts:
        scratch, file = self.scratch(context), f"step-{name}.json"
        if not scratch.has(file):
            scratch.write_json(file, work(context))
        facts: Facts = scratch.read_json(file)
        for said in facts.get(NOTICES, ()):
            context.notice(**said)
        return facts

    def snapshot(self, context: StepContext) -> Facts:
        """Freezes verdicts and cases, or takes those that a stopped attempt froze."""
        run = context.run
        former = self._former(run)
        with context.uow() as uow:
            version = uow.versions.get(run.base_version_id or "")
            if former is not None and run.snapshot_id is not None:
                taken = uow.snapshots.get(run.snapshot_id)
            else:
                taken = feedback.take_snapshot(uow, run.project_id, version.dictionary_hash)
                uow.runs.update(run.id, snapshot_id=taken.id)
            uow.commit()
        inputs = former
        if inputs is None or inputs.snapshot != taken.hash:
            inputs = run_inputs.freeze(
                run_inputs.present(context.uow, self.engines, run), taken.hash
            )
        key = inputs.key(run)
        run_inputs.keep(folder_of(self.settings, run, key), inputs)
        _drop_others(self.settings, run, key)
        with context.uow() as uow:
            uow.runs.update(run.id, metrics={"work": {"folder": key}})
            uow.commit()
        return {"id": taken.id, "hash": taken.hash, "verdicts": taken.verdicts, "folder": key}

    def evidence(self, context: StepContext) -> Facts:
        """Reads the evidence, freezes the rejected columns, and says what there is to say."""
        learning = self.learning(context)
        found = learning.evidence
        _refuse_nothing(found)
        with context.uow(read_only=True) as uow:
            values = uow.images.column_values(learning.run.project_id)
        columns = columns_of(learning.data, found, values)
        learning.scratch.write_json(COLUMNS, columns.as_json())
        kinds = [mark.verdict for mark in found.marks]
        return {
            "judged": sorted(found.judged),
            "marks": {"spurious": kinds.count("spurious"), "correct": kinds.count("correct")},
            "rejected": list(found.rejected),
            "columns": sorted(columns.cases),
            NOTICES: notices_json(found.notices),
        }

    def cues(self, context: StepContext) -> Facts:
        """Checks the words and learns a detector per rejected cue; what cannot be learnt is told,
        not fatal here.

        The strategy that needs the cue refuses with the same words.
        """
        from core.strategies.cues import learn_cues
        from core.strategies.sanity import checked

        learning = self.learning(context)
        data = self.fit_data(learning)
        words = checked(data, context.watch())
        cues: tuple[RejectedCue, ...] = ()
        notes: Sequence[Notice] = ()
        problem, kind = "", ""
        try:
            learnt = learn_cues(replace(data, words=words), context.watch())
            cues, notes = learnt.cues, learnt.notes
        except FeedbackError as error:
            problem, kind = str(error), TOO_FEW if isinstance(error, TooFewVerdicts) else REFUSED
        learning.scratch.write_json(CUES, [cue.as_json() for cue in cues])
        return {
            "cues": [_cue_fact(cue, learning.data) for cue in cues],
            NOTICES: notices_json(notes),
            "problem": problem,
            "kind": kind,
            "words": words.as_json(),
        }

    def words(self, context: StepContext, learning: Learning) -> Checked:
        """What the step "cues" found when it checked the words."""
        from core.strategies.data import Checked
        from core.strategies.sanity import checked

        kept = context.facts["cues"].get("words")
        if kept is None:  # the step was done before steps kept it
            return checked(self.fit_data(learning), context.watch())
        return Checked.from_json(kept)

    def fit_data(self, learning: Learning, **more: Any) -> FitData:
        """The run's data as strategies take them; see run_fit.fit_data."""
        return run_fit.fit_data(
            learning.run, learning.data, learning.evidence, self.engines, learning.columns(),
            **more,
        )  # fmt: skip

    def learning(self, context: StepContext) -> Learning:
        """The frozen inputs, read from the store and the run's folder."""
        run, scratch = context.run, self.scratch(context)
        inputs = Inputs.from_json(scratch.read_json(INPUTS))
        data = run_inputs.restore(context.uow, self.engines, run, inputs)
        payload: Mapping[str, Any] = {"cues": []}
        if run.snapshot_id is not None:
            with context.uow(read_only=True) as uow:
                payload = uow.snapshots.get(run.snapshot_id).payload
        return Learning(run, data, read_evidence(payload, data), inputs, scratch)

    def details(self, context: StepContext) -> dict[str, Any]:
        """What the steps so far have to say about the evidence; JSON-ready."""
        facts = context.facts
        return {
            "cues": facts["cues"]["cues"],
            "cues_problem": facts["cues"]["problem"],
            "cues_problem_kind": facts["cues"].get("kind", ""),
            "marks": facts["evidence"]["marks"],
            "columns": facts["evidence"]["columns"],
            NOTICES: context.run.metrics.get("details", {}).get(NOTICES, []),
        }

    def finish(self, context: StepContext, folder: Path, metrics: dict[str, Any]) -> Facts:
        """Registers a saved bundle as the run's candidate, ends the run and tidies up."""
        run, frozen = context.run, context.facts["snapshot"]
        version = self.publisher.publish(
            run.project_id, folder, state="candidate", run_id=run.id, snapshot_id=frozen["id"],
            progress=context.watch(),
        )  # fmt: skip
        context.check()
        with context.uow() as uow:
            uow.runs.update(
                run.id, state="succeeded", progress=1.0, stage="done", metrics=metrics,
                result_version_id=version.id,
            )  # fmt: skip
            uow.audit.append(
                actor="worker", action="run.succeeded", entity="run", entity_id=run.id,
                detail={"version": version.hash}, project_id=run.project_id,
            )  # fmt: skip
            uow.commit()
        forget(self.settings, run.project_id, run.id)
        return {"version": version.hash}

    def scratch(self, context: StepContext) -> Scratch:
        """The folder of this run on these inputs."""
        return folder_of(self.settings, context.run, str(context.facts["snapshot"]["folder"]))

    def _former(self, run: RunRecord) -> Inputs | None:
        """The inputs that a stopped attempt of this run froze; None where it starts anew."""
        key = run.metrics.get("work", {}).get("folder")
        if key is None:
            return None
        scratch = folder_of(self.settings, run, str(key))
        return Inputs.from_json(scratch.read_json(INPUTS)) if scratch.has(INPUTS) else None


def folder_of(settings: Settings, run: RunRecord, key: str) -> Scratch:
    """Where the work of a run on the inputs of that key lies."""
    return Scratch(settings.project_folder(run.project_id) / "runs" / run.id / key)


def forget(settings: Settings, project_id: str, run_id: str) -> None:
    """Removes all intermediate files of a run that has succeeded."""
    Scratch(settings.project_folder(project_id) / "runs" / run_id).clear()


def _refuse_nothing(evidence: Evidence) -> None:
    """Raises FeedbackError, with what the evidence says of itself, where nothing is rejected."""
    spurious = any(mark.verdict == "spurious" for mark in evidence.marks)
    if spurious or evidence.rejected or evidence.found.rejected_columns():
        return
    warnings = [f"{n.text} {n.advice}".strip() for n in evidence.notices if n.level == "warning"]
    raise FeedbackError(" ".join(warnings) or NO_WORDS)


def notices_json(notes: Sequence[Notice]) -> list[dict[str, str]]:
    """The engine's notices as facts keep them."""
    return [notice(each.level, each.text, each.advice) for each in notes]


def _drop_others(settings: Settings, run: RunRecord, key: str) -> None:
    """Removes the work of former attempts on other inputs: nothing will ever ask for it."""
    place = settings.project_folder(run.project_id) / "runs" / run.id
    for other in place.iterdir():
        if other.name != key:
            Scratch(other).clear()


def need_training(data: RunData) -> None:
    """Raises InsightError where no labelled case is there to learn from."""
    if not len(data.rows(TRAIN)):
        raise InsightError("no labelled image is in the train split")


def cue_name(cue: RejectedCue, data: RunData) -> str:
    """The names of a cue's first concepts."""
    return " + ".join(dict.fromkeys(data.name(concept) for concept in cue.concepts[:3]))


def _cue_fact(cue: RejectedCue, data: RunData) -> dict[str, Any]:
    return {
        "name": cue_name(cue, data),
        "concepts": [int(concept) for concept in cue.concepts],
        "heldback_auc": float(cue.heldback_auc),
        "regions": int(cue.regions),
    }
