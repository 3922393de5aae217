"""What a run that is started now could do and would learn from: a preview, nothing is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from core.drawn import is_place
from dashboard.services import feedback
from dashboard.services.learning_steps import NO_WORDS
from dashboard.viewmodels.concept_names import told_apart
from dashboard.viewmodels.evidence import (
    ColumnEvidence,
    ConceptEvidence,
    EvidenceView,
    RaterEvidence,
)
from dashboard.viewmodels.runs import NoticeView, StrategyView
from db.records import VersionRecord
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

if TYPE_CHECKING:
    from core.strategies import FitData

NO_VERSION = "There is no model version yet: discover concepts first."


class RunForms:
    """Previews over the store."""

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    def evidence(self, project_id: str) -> EvidenceView:
        """What people said so far, as a run would read it."""
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            if version is None:
                return EvidenceView(0, 0, 0, 0, 0, 0, why_not=NO_VERSION)
            payload = feedback.current_payload(uow, project_id, version.dictionary_hash)
            names = _names(uow, version)
        return evidence_view(payload, names)

    def strategies(self, project_id: str) -> tuple[StrategyView, ...]:
        """Every strategy, "auto" first, each with what it still lacks."""
        from core.strategies import STRATEGIES

        data = self._light(project_id)
        found = []
        for key, strategy in STRATEGIES.items():
            why = NO_VERSION if data is None else (strategy.why_not(data) or "")
            found.append(
                StrategyView(key, strategy.title, strategy.line, strategy.paper, not why, why)
            )
        return tuple(sorted(found, key=lambda view: view.key != "auto"))

    def _light(self, project_id: str) -> FitData | None:
        """The feedback as strategies take it, over the marked cases alone and without any codes.

        Enough to say what is lacking, in a time that does not grow with the project.
        """
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            if version is None:
                return None
            payload = feedback.current_payload(uow, project_id, version.dictionary_hash)
            names = _names(uow, version)
            found = feedback.evidence_of(payload)
            columns = uow.images.column_values(project_id) if found.rejected_columns() else {}
        return light_data(found, version, names, columns)


def light_data(
    found: feedback.EvidenceSet,
    version: VersionRecord,
    names: Mapping[int, str],
    columns: Mapping[str, Mapping[str, str]],
) -> FitData:
    """See RunForms._light; one row per marked image, then one per image with column values."""
    import numpy as np
    from scipy.sparse import csr_array

    from core.cue_marks import MarkedRegion
    from core.strategies import FitData

    shas = list(dict.fromkeys(mark.image_sha256 for mark in found.marks))
    row_of = {sha: row for row, sha in enumerate(shas)}
    count = len(shas) + len(columns)
    rejected = found.rejected_columns()
    blank = [""] * len(shas)
    return FitData(
        pooled_IN=csr_array((count, max(names, default=0) + 1), dtype=np.float32),
        labels_I=np.zeros(count, dtype=np.int64),
        classes=tuple(version.classes),
        rows=tuple(range(count)),
        tokens_of=_none_here,
        codes_of=_none_here,
        marks=tuple(
            MarkedRegion(row_of[m.image_sha256], m.concept, m.region_P, m.value, m.weight)
            for m in found.marks
        ),
        concepts=dict(found.everywhere()),
        concepts_of_class=dict(found.of_classes(tuple(version.classes))),
        columns={
            name: [*blank, *(values.get(name, "") for values in columns.values())]
            for name in rejected
        },
        rejected_columns=dict(rejected),
        names=dict(names),
    )


def _none_here(*_: Any) -> Any:
    raise LookupError("a preview holds no tokens")


def evidence_view(payload: Mapping[str, Any], names: Mapping[int, str]) -> EvidenceView:
    """A snapshot's payload as the screen shows it."""
    found = feedback.evidence_of(payload)
    kinds = [mark.value for mark in found.marks]
    spoken = [word["value"] for cue in payload["cues"] for word in cue["verdicts"]]
    columns = tuple(
        ColumnEvidence(each.column, each.probability, each.people) for each in found.columns
    )
    ready = "spurious" in kinds or bool(found.rejected or found.rejected_columns())
    return EvidenceView(
        verdicts=len(spoken),
        spurious=spoken.count("spurious"),
        correct=spoken.count("correct"),
        unsure=spoken.count("unsure"),
        people=len(found.raters),
        regions=len(found.regions),
        places=sum(is_place(mark.concept) for mark in found.marks),
        concepts=_concepts(found, names),
        columns=tuple(sorted(columns, key=lambda each: (-each.probability, each.column))),
        raters=tuple(_rater(each) for each in found.raters),
        notices=tuple(NoticeView(n.level, n.text, n.advice) for n in found.notices),
        ready=ready,
        why_not="" if ready else f"{NO_WORDS[:1].upper()}{NO_WORDS[1:]}.",
    )


def _concepts(found: feedback.EvidenceSet, names: Mapping[int, str]) -> tuple[ConceptEvidence, ...]:
    marks: dict[int, int] = {}
    for mark in found.marks:
        marks[mark.concept] = marks.get(mark.concept, 0) + (mark.value == "spurious")
    shown = told_apart(
        {each.concept: names.get(each.concept, f"concept {each.concept}")
         for each in found.concepts}
    )  # fmt: skip
    rows = [
        ConceptEvidence(
            concept=each.concept,
            name=shown[each.concept],
            class_name=each.class_name,
            scope=each.scope,
            probability=each.probability,
            weight=each.weight,
            words=each.words,
            people=each.people,
            marks=marks.get(each.concept, 0),
        )
        for each in found.concepts
    ]
    return tuple(sorted(rows, key=lambda row: (-row.probability, row.name, row.class_name or "")))


SUSPECT: Final = {
    "random": "answers look like chance; not counted",
    "inverted": "answers look turned round; not counted",
    "one word": "always the same word; not counted",
    "contradicted": "contradicts the only other person; neither is counted until a third one says",
    "unproven": "too few words shared with others to tell",
}


def _rater(rater: feedback.RaterEvidence) -> RaterEvidence:
    known = rater.informedness
    return RaterEvidence(
        name=rater.reviewer,
        words=rater.words,
        reliability=None if known is None else (known + 1) / 2,
        weight=_weight(rater),
        counted=rater.counted,
        said=SUSPECT.get(rater.status, ""),
    )


def _weight(rater: feedback.RaterEvidence) -> float:
    """How much the words count: fully where nothing is known against them."""
    if not rater.counted:
        return 0.0
    return 1.0 if rater.informedness is None else max(rater.informedness, 0.0)


def _names(uow: UnitOfWork, version: VersionRecord) -> dict[int, str]:
    return uow.concepts.names(version.project_id, version.dictionary_hash)
