"""The steps of a reweighting run: snapshot, evidence, cues, refit, judge, publish.

Verdicts are taken as they stand when the run begins and frozen. Cases on which anybody gave a
word never count in the held-out figures, neither before nor after.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import EncoderError
from dashboard.services import run_data
from dashboard.services.filled import FOLDER, Filler
from dashboard.services.judge_step import JUDGED, Side, keep_measured
from dashboard.services.learning_steps import (
    NOTICES,
    Learning,
    LearningSteps,
    need_training,
    notices_json,
)
from dashboard.services.run_body import Facts, Step, StepContext, notice
from dashboard.services.run_options import AUTO, asked_reweight

if TYPE_CHECKING:
    from core.heads import LinearHead
    from core.strategies import Outcome

OUTCOME = "outcome.json"
COUNTERFACTUAL = "counterfactual"  # strategies of that name look at changed pictures
NO_ENCODER = (
    "The encoder cannot be loaded, so rejected regions are filled in its tokens instead of in the "
    "pictures."
)


class ReweightSteps(LearningSteps):
    """The six steps over the application's parts."""

    def steps(self) -> tuple[Step, ...]:
        """The steps in order, each with its part of the bar."""
        return (
            *self.opening(),
            self.kept("refit", "refitting on what the verdicts say", 0.2, 0.75, self.refit),
            self.kept("judge", "measuring before and after", 0.75, 0.85, self.judge),
            Step("publish", "publishing the candidate", 0.85, 1.0, self.publish),
        )

    def refit(self, context: StepContext) -> Facts:
        """Lets the strategy that was asked for turn the evidence into a new head."""
        from core.strategies import fit_strategy

        learning = self.learning(context)
        need_training(learning.data)
        strategy = asked_reweight(learning.run.config).strategy
        filler, said = self._filler(context, learning, strategy)
        # Where no cue could be learnt the strategy tries again, and refuses in its own words.
        cues = None if context.facts["cues"]["problem"] else learning.cues()
        words = self.words(context, learning)
        data = self.fit_data(learning, filler=filler, cues=cues, words=words)
        try:
            outcome = fit_strategy(strategy, data, context.watch())
        finally:
            if filler is not None:
                filler.flush()
        learning.scratch.write_head(outcome.head)
        learning.scratch.write_json(OUTCOME, _outcome_json(outcome))
        return {"strategy": outcome.strategy, NOTICES: [*said, *notices_json(outcome.notes)]}

    def judge(self, context: StepContext) -> Facts:
        """Measures the base head and the new head on the same held-out cases and groups."""
        learning = self.learning(context)
        before = self._side(learning, learning.data.bundle.head)
        after = self._side(learning, learning.scratch.read_head())
        shown = learning.scratch.read_json(OUTCOME)["shown"]
        keep_measured(context, learning, before, after, {**self.details(context), **shown})
        return {}

    def publish(self, context: StepContext) -> Facts:
        """Saves the immutable version, registers it as a candidate and ends the run."""
        from core.artifacts import save_bundle

        learning = self.learning(context)
        run, base, scratch = learning.run, learning.data.bundle, learning.scratch
        metrics = scratch.read_json(JUDGED)
        folder = save_bundle(
            self.settings.versions_folder(run.project_id),
            sae=base.sae,
            head=scratch.read_head(),
            relations=base.relations,
            names=base.names,
            encoder=base.manifest.encoder,
            seed=run.seed,
            config={
                "base": dict(base.manifest.config),
                "asked": asked_reweight(run.config).as_json(),
                **scratch.read_json(OUTCOME)["config"],
            },
            data_hash=learning.inputs.data_hash,
            metrics={"splits": metrics["splits"]},
            kind="reweight",
            parent=base.manifest.version_hash,
            snapshot_hash=context.facts["snapshot"]["hash"],
            extra=base.extra,
        )
        return self.finish(context, Path(folder), metrics)

    def _side(self, learning: Learning, head: LinearHead) -> Side:
        def codes(rows: Any) -> Any:
            return run_data.pooled(learning.data, self.engines, rows)

        return Side(head, codes, learning.evidence.rejected)

    def _filler(
        self, context: StepContext, learning: Learning, strategy: str
    ) -> tuple[Filler | None, list[dict[str, str]]]:
        """What fills regions in pixels; None, and a word on it, where the encoder is not there."""
        if strategy not in (AUTO,) and COUNTERFACTUAL not in strategy:
            return None, []
        info = learning.data.bundle.manifest.encoder
        try:
            self.engines.encoder(info.spec, info.hash)
        except EncoderError as error:
            return None, [notice("info", NO_ENCODER, str(error))]
        with context.uow(read_only=True) as uow:
            root = Path(uow.projects.get(learning.run.project_id).root)
        return Filler(learning.data, self.engines, root, learning.scratch.path(FOLDER)), []


def _title(strategy: str) -> str:
    """How a strategy is called; "unfixed" is the model as it was, for comparison."""
    from core.strategies import STRATEGIES

    found = STRATEGIES.get(strategy)
    return found.title if found is not None else "As it was"


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    """What is kept of an outcome beside its head: what the version holds, and what is shown."""
    scores = [
        {
            "strategy": each.strategy,
            "title": _title(each.strategy),
            "score": each.score,
            "worst": each.worst,
            "ordinary": each.ordinary,
            "chosen": each.chosen,
            "why": each.why,
        }
        for each in outcome.scores
    ]
    groups = [
        {"label": g.label, "present": list(g.present), "value": g.value, "n": g.n,
         "weight": g.weight}
        for g in outcome.groups
    ]  # fmt: skip
    return {
        "config": {
            "strategy": outcome.strategy,
            "detectors": [cue.as_json() for cue in outcome.cues],
        },
        "shown": {
            "strategy": outcome.strategy,
            "strategy_title": _title(outcome.strategy),
            "train_groups": groups,
            "scores": scores,
            "outcome": dict(outcome.details),
        },
    }
