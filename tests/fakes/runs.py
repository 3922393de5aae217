"""Runs that advance by an eighth whenever they are looked at, with evidence and curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from core.errors import ConfigError
from dashboard.viewmodels import MetricRow, RunView
from dashboard.viewmodels.evidence import (
    ColumnEvidence,
    ConceptEvidence,
    EvidenceView,
    RaterEvidence,
)
from dashboard.viewmodels.runs import (
    CurveView,
    NoticeView,
    OptionView,
    StrategyScore,
    StrategyView,
)
from db.errors import NotFound
from tests.fakes.cases import HOSTILE, START, Book, uid

BASE, RESULT = "9f3c1ab7" * 8, "4be0c2d1" * 8
METRICS = tuple(
    MetricRow(split, key, label, unit, before, after, better, f"{label}, on held-out images")
    for split, key, label, unit, before, after, better in (
        ("validation", "accuracy", "Accuracy", "share", 0.94, 0.93, True),
        ("validation", "worst_group", "Worst group", "share", 0.41, 0.90, True),
        ("validation", "average_group", "Average of groups", "share", 0.71, 0.93, True),
        ("validation", "spurious_share", "Rejected concepts", "share", 0.38, 0.04, False),
        ("validation", "ece", "Calibration error", "share", 0.06, 0.03, False),
        ("test", "accuracy", "Accuracy", "share", 0.95, 0.94, True),
        ("test", "worst_group", "Worst group", "share", 0.44, 0.91, True),
    )
)
STRATEGIES = (
    StrategyView(
        "auto", "Automatic", "Tries what the verdicts can feed and keeps what does best.", "", True
    ),
    StrategyView(
        "groups", "Balance groups",
        "Learns to recognise what you rejected and makes it independent of the label.",
        "Kirichenko et al. 2023", True,
    ),
    StrategyView(
        "concept_penalty", "Penalise concepts",
        "Makes it costly to lean on what you rejected.", "Ross et al. 2017", True,
    ),
    StrategyView(
        "columns", "Balance columns", "Makes label and column independent.", "", False,
        "no column of the data was called spurious yet (Groups screen)",
    ),
)  # fmt: skip
OPTIONS = (
    OptionView("regions", "Regions per cue", "", "How many marked regions teach a detector",
               "whole", 40, 3, 200),
    OptionView("strength", "Strength", "", "How hard rejected concepts are pressed down", "number",
               1.0, 0.0, 100.0),
)  # fmt: skip
FINETUNE = (
    OptionView("what", "What is trained", "", "Which part of the encoder may change", "choice",
               "lora", choices=(("lora", "Low-rank adapters"), ("last", "The last blocks"))),
    OptionView("epochs", "Passes over the images", "passes", "More is slower", "whole", 8, 1, 200),
    OptionView("rate", "Learning rate", "", "Size of a step", "number", 1e-4, 1e-7, 1.0,
               extra=True),
    OptionView("rank", "Size of the adapters", "", "Adapters only", "whole", 8, 1, 256,
               extra=True, only=("what", "lora")),
    OptionView("bf16", "Half precision", "", "Faster where the processor can", "switch", False),
)  # fmt: skip


class FakeRuns:
    """Runs in the book."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.asked: dict[str, dict[str, Any]] = {}  # options of each run
        self.hold = False  # all runs stay where they are
        self.held: set[str] = set()  # or some

    def list(self, project_id: str) -> tuple[RunView, ...]:
        for id in self._book.runs:
            self.get(id)
        return tuple(sorted(self._book.runs.values(), key=lambda run: run.created_at, reverse=True))

    def get(self, run_id: str) -> RunView:
        if run_id not in self._book.runs:
            raise NotFound("run", run_id)
        run = self._book.runs[run_id]
        if run.state in {"queued", "running"} and not self.hold and run_id not in self.held:
            done = min(run.progress + 0.125, 1.0)
            run = replace(
                run, state="running", progress=done, stage="learning the rejected cues",
                started_at=run.created_at,
            )  # fmt: skip
            if done == 1.0:
                run = finished(run)
            self._book.runs[run_id] = run
        return run

    def strategies(self, project_id: str) -> tuple[StrategyView, ...]:
        if self._spurious():
            return STRATEGIES
        return tuple(
            replace(each, available=False, why_not="no cue was called spurious yet")
            for each in STRATEGIES
        )

    def strategy_options(self, strategy: str) -> tuple[OptionView, ...]:
        return OPTIONS if strategy == "groups" else ()

    def finetune_options(self, project_id: str) -> tuple[OptionView, ...]:
        return FINETUNE

    def evidence(self, project_id: str) -> EvidenceView:
        return evidence(self._book, self._spurious())

    def _spurious(self) -> int:
        return [verdict.value for _, _, verdict in self._book.verdicts].count("spurious")

    def start_reweight(
        self, *, id: str, project_id: str, reviewer_id: str | None, seed: int = 0,
        strategy: str = "auto", options: Mapping[str, Any] | None = None,
    ) -> RunView:  # fmt: skip
        if seed == 666:
            raise ConfigError("this seed is not allowed")
        self.asked[id] = dict(options or {})
        return self._queued(id, "reweight", seed, strategy)

    def start_finetune(
        self, *, id: str, project_id: str, reviewer_id: str | None, seed: int = 0,
        options: Mapping[str, Any] | None = None,
    ) -> RunView:  # fmt: skip
        self.asked[id] = dict(options or {})
        return self._queued(id, "finetune", seed, "")

    def _queued(self, id: str, kind: str, seed: int, strategy: str) -> RunView:
        run = RunView(
            id, kind, "queued", 0.0, "waiting for the worker", "", seed, "Dr Example",
            START + timedelta(hours=len(self._book.runs)), None, BASE, None, None, None,
            len(self._book.verdicts), (), strategy=strategy,
        )  # fmt: skip
        return self._book.runs.setdefault(id, run)

    def curves(self, run_id: str) -> tuple[CurveView, ...]:
        run = self._book.runs[run_id]
        if run.kind != "finetune":
            return ()
        steps = range(0, round(400 * run.progress), 10)
        return (
            _curve("train.loss", "Training", "nats", steps, 1.0, 0.1),
            _curve("val.loss", "Validation", "nats", steps, 1.05, 0.25),
            _curve("val.accuracy", "Accuracy", "share", steps, 0.5, 0.93),
        )

    def cancel(self, run_id: str, *_: Any) -> RunView:
        return self.set(
            run_id, state="cancelled", resumable=True, checkpoint="goes on at 30 %: step 120 of 400"
        )

    def restart(
        self, run_id: str, reviewer_id: str | None = None, *, anew: bool = False
    ) -> RunView:
        done = 0.0 if anew else self._book.runs[run_id].progress
        return self.set(run_id, state="queued", progress=done, message="", resumable=False)

    def past(self) -> None:
        """One run of each fate; those under way stay where they are."""
        started = {"project_id": "", "reviewer_id": None}
        self.start_finetune(id=uid("run", "tuned"), **started)
        self.set(uid("run", "tuned"), progress=0.3, started_at=START)
        self.cancel(uid("run", "tuned"))
        self.start_reweight(id=uid("run", "bad"), seed=1, strategy="groups", **started)
        self.set(
            uid("run", "bad"), state="failed", message="too few verdicts on the ruler",
            notices=(NoticeView("error", "Half of the words contradict each other.",
                                "Decide the disagreements on the Agreement screen."),),
        )  # fmt: skip
        self.start_finetune(id=uid("run", "going"), **started)
        self.set(
            uid("run", "going"), state="running", progress=0.6, stage="tuning", started_at=START
        )
        self.start_reweight(id=uid("run", "done"), **started)
        self._book.runs[uid("run", "done")] = finished(self._book.runs[uid("run", "done")])
        self.held.add(uid("run", "going"))

    def set(self, run_id: str, **changes: Any) -> RunView:
        self._book.runs[run_id] = replace(self._book.runs[run_id], **changes)
        return self._book.runs[run_id]


def evidence(book: Book, spurious: int) -> EvidenceView:
    """What the fakes' verdicts come to."""
    if not book.verdicts:
        return EvidenceView(
            0, 0, 0, 0, 0, 0, ready=False,
            why_not="Mark at least one cue as spurious first (Review, key X).",
        )  # fmt: skip
    correct = [verdict.value for _, _, verdict in book.verdicts].count("correct")
    name = HOSTILE if book.hostile else "ruler"
    return EvidenceView(
        len(book.verdicts), spurious, correct, 0, 2, 3,
        (
            ConceptEvidence(41, name, None, "everywhere", 0.97, 0.94, 9, 3, 8),
            ConceptEvidence(49, "colour sticker", "naevus", "class", 0.88, 0.76, 6, 2, 5),
            ConceptEvidence(44, "streaks", None, "here", 0.04, 0.92, 7, 3, 0),
            ConceptEvidence(45, "hair", None, "here", 0.52, 0.04, 4, 2, 2),
        ),
        (ColumnEvidence("camera", 0.91, 2),),
        (
            RaterEvidence("Dr Example", 14, 0.94, 1.0, True, ""),
            RaterEvidence("Dr Coin", 12, 0.52, 0.0, False, "as good as guessing: does not count"),
        ),
        (
            NoticeView("warning", "Dr Coin's words are as good as guessing.",
                       "They count for nothing; talk it over with them."),
            NoticeView("info", "People are even on 1 cue: used for nothing."),
        ),
        ready=spurious > 0,
        why_not="" if spurious else "Mark at least one cue as spurious first (Review, key X).",
        places=1,
    )  # fmt: skip


def _curve(
    series: str, label: str, unit: str, steps: range, first: float, last: float
) -> CurveView:
    points = tuple((step, last + (first - last) * math.exp(-step / 90)) for step in steps)
    return CurveView(series, label, unit, f"{label} over the steps.", points)


def finished(run: RunView) -> RunView:
    """What a run has when it is done."""
    began = run.started_at or run.created_at
    return replace(
        run, state="succeeded", stage="done", finished_at=began + timedelta(minutes=2),
        result_version=RESULT, result_state="candidate", snapshot_hash="77aa" * 16,
        metrics=METRICS,
        notices=(
            NoticeView("warning", "Few regions of the colour sticker were marked.",
                       "Mark three more and run again."),
        ),
        scores=() if run.strategy != "auto" else (
            StrategyScore("groups", "Balance groups", 0.93, "share", True, "best score"),
            StrategyScore("concept_penalty", "Penalise concepts", 0.88, "share", False, ""),
            StrategyScore("columns", "Balance columns", None, "share", False,
                          "no column was called spurious"),
        ),
        details={
            "cues": [{"name": "ruler", "concepts": [3], "heldback_auc": 0.98, "regions": 8}],
            "train_groups": [
                {"label": "melanoma", "present": [True], "n": 412, "weight": 0.55},
                {"label": "melanoma", "present": [False], "n": 21, "weight": 0.45},
            ],
            "groups_from": "Groups are label and the group column that came with the images.",
            "group_sizes": {"test": {"melanoma, with ruler": 80, "melanoma, without": 9}},
            "group_accuracy": {
                "test": {"melanoma, with ruler": [0.99, 0.94], "melanoma, without": [0.44, 0.91]}
            },
        },
    )  # fmt: skip
