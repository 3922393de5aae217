"""The app's own queue over the phantoms: the same code from facts to places, without a store.

What a workspace would hold of the training phantoms (decisions, labels, pooled codes, words) is
handed to `dashboard.services.queue_planning`, which plans with the project's default settings: the
first plan before any word, then the open cases anew while the reviewer works, by the rule of
`dashboard.services.queue_learning`. What a new workspace does not have is not there either: no case
is explained before it is opened, one person reviews, nobody marked a concept as an artefact.

Legend: I training phantoms; N concepts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.phantom_project import Reviewer, Said, World
from core.artifacts import ModelBundle
from core.cue_marks import MarkedRegion
from dashboard.services import feedback, queue_planning, queue_scores
from dashboard.services.project_settings import ProjectSettings
from dashboard.services.queue_learning import is_due
from db.desk_records import CaseFacts, QueuePlace
from db.feedback_records import MarkRecord
from db.records import VersionRecord

WHO = "reviewer"


@dataclass(frozen=True, eq=False)
class InMemory:
    """Pooled codes and the model version, as the queue asks for them."""

    world: World

    def bundle(self, folder: str) -> ModelBundle:
        """The shipped model version, whatever the folder."""
        return self.world.bundle

    def pooled_store(self, project_id: str, bundle: ModelBundle) -> Any:
        """The codes of the world's training phantoms."""
        return self

    def missing(self, shas: Iterable[str]) -> list[str]:
        """Nothing is missing."""
        return []

    def rows(self, shas: Sequence[str]) -> Any:
        """CSR float32 [I, N] of those keys."""
        return csr_matrix(self.world.pooled_IN[[int(sha) for sha in shas]])


@dataclass
class AppQueue:
    """A project's queue: what was served and said so far, and the order of what is open."""

    world: World
    rules: ProjectSettings
    waiting: list[QueuePlace] = field(default_factory=list)
    begun: list[QueuePlace] = field(default_factory=list)
    marks: list[MarkedRegion] = field(default_factory=list)
    planned_at: int = 0  # words that the latest plan knew

    def plan(self) -> None:
        """Order the cases that nobody has begun, by all that was said so far."""
        facts, version = self._facts(), _version(self.world)
        codes = InMemory(self.world)
        begun = {place.case_id for place in self.begun}
        if begun:
            served = Counter(place.reason.partition(":")[0] for place in self.begun)
            free = frozenset(row.case_id for row in facts.rows) - begun
            self.waiting, _ = queue_planning.open_places(
                facts,
                version,
                self.rules,
                codes,
                free=free,
                served=served,
                named=lambda numbers: {},
            )
        else:
            self.waiting, _ = queue_planning.places(facts, version, self.rules, codes)
        self.planned_at = len(self.marks)

    def serve(self) -> int:
        """Open the next case: its row."""
        if is_due(self.rules.replan_words, self.planned_at, len(self.marks)):
            self.plan()
        place = self.waiting.pop(0)
        self.begun.append(place)
        return int(place.case_id)

    def _facts(self) -> queue_scores.Facts:
        probability_IC = self.world.bundle.head.probabilities(self.world.pooled_IN)
        words = self._evidence()
        judged: dict[int, list[int]] = {}
        for mark in self.marks:
            judged.setdefault(mark.concept, []).append(int(mark.verdict == "spurious"))
        return queue_scores.Facts(
            rows=tuple(self._case(int(row), probability_IC[row]) for row in self.world.train),
            figures=(),
            reconstructions={},
            disputed={},
            judged={concept: (sum(said), len(said)) for concept, said in judged.items()},
            artefacts=frozenset(),
            concepts=self.world.bundle.head.n,
            spoken=frozenset(place.case_id for place in self.begun),
            words=words,
        )

    def _case(self, row: int, probability_C: Any) -> CaseFacts:
        classes = self.world.bundle.head.classes
        best = int(np.argmax(probability_C))
        key = f"{row:06d}"
        return CaseFacts(
            case_id=key, image_id=key, sha256=key, relpath=f"{key}.png",
            label=classes[self.world.labels_I[row]], split="train", prediction=classes[best],
            confidence=float(probability_C[best]),
            probabilities=tuple(zip(classes, map(float, probability_C), strict=True)),
            queue_order=row, wanted=1, explained=False,
        )  # fmt: skip

    def _evidence(self) -> dict[int, tuple[float, float]]:
        """What the words say of each concept, as a snapshot taken now would hold it."""
        if not self.marks:
            return {}
        records = [self._record(number, mark) for number, mark in enumerate(self.marks)]
        order = {record.verdict_id: number for number, record in enumerate(records)}
        return queue_scores.words_of(feedback.build_payload("phantoms", records, order))

    def _record(self, number: int, mark: MarkedRegion) -> MarkRecord:
        rows, columns = self.world.bundle.manifest.encoder.grid
        key = f"{mark.row:06d}"
        classes = self.world.bundle.head.classes
        logits_C = self.world.bundle.head.logits(self.world.pooled_IN[[mark.row]])[0]
        return MarkRecord(
            verdict_id=f"{number:06d}", revision=1, cue_id=f"{key}/{mark.concept}",
            reviewer_id=WHO, reviewer=WHO, value=mark.verdict, scope="here", reason=None,
            image_id=key, image_sha256=key, prediction=classes[int(np.argmax(logits_C))],
            version_hash="", dictionary_hash="phantoms", concept=mark.concept, grid_rows=rows,
            grid_cols=columns, region_bits=np.packbits(mark.region_P).tobytes(),
        )  # fmt: skip


def served(
    world: World, reviewer: Reviewer, budget: int, rules: ProjectSettings | None = None
) -> Said:
    """The first `budget` verdicts, in the order in which the app serves the cases."""
    return served_all(world, reviewer, [budget], rules)[budget]


def served_all(
    world: World, reviewer: Reviewer, budgets: Sequence[int], rules: ProjectSettings | None = None
) -> dict[int, Said]:
    """The same for several budgets of one review: the larger go on where the smaller end.

    The default rules stand, but for the seed of the plan, which is the world's.
    """
    queue = AppQueue(world, rules or ProjectSettings(seed=world.seed))
    queue.plan()
    found: dict[int, Said] = {}
    while len(found) < len(budgets):
        queue.marks += reviewer.words(queue.serve())
        for budget in budgets:
            if budget not in found and (len(queue.marks) >= budget or not queue.waiting):
                seen = tuple(int(place.case_id) for place in queue.begun)
                found[budget] = Said(tuple(queue.marks[:budget]), len(seen), seen)
    return found


def _version(world: World) -> VersionRecord:
    manifest = world.bundle.manifest
    return VersionRecord(
        id="phantoms", project_id="phantoms", hash="", parent_hash=None, kind="discover",
        state="active", dictionary_hash=manifest.dictionary_hash, encoder_spec="demo",
        encoder_hash=manifest.encoder.hash, folder="", seed=0,
        classes=tuple(world.bundle.head.classes), metrics={}, snapshot_id=None, run_id=None,
        code_version="", created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
