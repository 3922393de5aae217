"""The rows of the tables, read from the store page by page: bounded memory, no query per case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import Any

from dashboard.services.data_forms import Row, iso
from dashboard.services.report_scope import Resolved
from db.desk_records import ClassVerdictRecord, DrawingRecord, NoteRecord
from db.feedback_records import AssessmentRecord, VerdictRecord
from db.records import CaseRecord, ConceptRecord, CueRecord
from db.report_records import CaseParts
from db.run_records import ColumnVerdictRecord
from db.unit_of_work import UnitOfWork

Tabled = tuple[str, Row]  # table, row


@dataclass(frozen=True)
class Page:
    """Some cases with their cues and what was said of them."""

    cases: tuple[CaseRecord, ...]
    versions: Mapping[str, tuple[str, str]]  # version id -> its hash, its dictionary's
    cues: Mapping[str, tuple[CueRecord, ...]]  # by case id
    parts: Mapping[str, CaseParts]  # by case id

    def rows(self) -> Iterator[Tabled]:
        """The rows of these cases."""
        for case in self.cases:
            version, dictionary = self.versions[case.version_id]
            key = {
                "version": version, "image_sha256": case.image.sha256, "image": case.image.relpath,
            }  # fmt: skip
            yield "cases", key | _case(case)
            cues = {cue.id: cue for cue in self.cues.get(case.id, ())}
            for cue in cues.values():
                yield "cues", key | _cue(cue, dictionary)
            yield from _said(self.parts.get(case.id, CaseParts()), case, cues, key, dictionary)


def pages(uow: UnitOfWork, resolved: Resolved, size: int = 100) -> Iterator[Page]:
    """The cases of a scope in their stable order, a page at a time."""
    versions = {
        each.id: (each.hash, each.dictionary_hash)
        for each in uow.versions.list(resolved.project.id)
    }
    for ids in resolved.pages(uow, size):
        yield Page(
            uow.report.cases(ids), versions, uow.cues.list_for(ids),
            uow.report.parts(resolved.selection, ids),
        )  # fmt: skip


def project_rows(uow: UnitOfWork, resolved: Resolved) -> Iterator[Tabled]:
    """The rows that belong to no case: concepts, names, words on classes and columns, notes."""
    project_id, wanted = resolved.project.id, dictionaries(uow, resolved)
    by_id: dict[str, ConceptRecord] = {}
    for dictionary in wanted:
        by_number = uow.concepts.by_number(project_id, dictionary)
        for number in sorted(by_number):
            concept = by_number[number]
            by_id[concept.id] = concept
            yield "concepts", _concept_key(concept) | {
                "level": concept.level, "frequency": concept.frequency,
                "model_name": concept.model_name,
            }  # fmt: skip
        yield from _names(uow, resolved, dictionary)
    if resolved.scope.case_id is not None:
        return
    for word in _narrowed(uow.class_verdicts.standing(project_id), resolved):
        fits = resolved.scope.class_name in (None, word.class_name)
        if word.concept_id in by_id and fits:
            yield "class_verdicts", _concept_key(by_id[word.concept_id]) | _class(word)
    for column in _narrowed(uow.column_verdicts.standing(project_id), resolved):
        yield "column_verdicts", {"column_name": column.column_name} | _valued(column)
    for note in _narrowed(uow.notes.list(project_id), resolved):
        if note.case_id is None and (note.concept_id is None or note.concept_id in by_id):
            found = by_id.get(note.concept_id or "")
            yield (
                "notes",
                {"version": None, "image_sha256": None, "image": None}
                | _note(
                    note, found.dictionary_hash if found else None, found.number if found else None
                ),
            )


def dictionaries(uow: UnitOfWork, resolved: Resolved) -> tuple[str, ...]:
    """Hashes of the dictionaries in scope: that of the version named, or every one."""
    if resolved.scope.version is not None and resolved.version is not None:
        return (resolved.version.dictionary_hash,)
    versions = uow.versions.list(resolved.project.id)
    return tuple(sorted({each.dictionary_hash for each in versions}))


def _names(uow: UnitOfWork, resolved: Resolved, dictionary: str) -> Iterator[Tabled]:
    """What people called the concepts, oldest first: the last one of each stands."""
    events = uow.concepts.name_events(resolved.project.id, dictionary)
    for number in sorted(events):
        for each in _narrowed(events[number], resolved):
            if each.source == "person" and each.reviewer is not None:
                yield "names", {
                    "id": each.id, "dictionary": dictionary, "concept": number,
                    "name": each.name, "reason": each.reason, "reviewer": each.reviewer,
                    "given_at": iso(each.created_at),
                }  # fmt: skip


def _narrowed(words: Iterable[Any], resolved: Resolved) -> Iterator[Any]:
    """Those by the person and in the period of the scope."""
    chosen = resolved.selection
    for each in words:
        early = chosen.since is not None and each.created_at < chosen.since
        late = chosen.until is not None and each.created_at >= chosen.until
        if not early and not late and chosen.reviewer_id in (None, each.reviewer_id):
            yield each


def _case(case: CaseRecord) -> dict[str, Any]:
    image = case.image
    return {
        "width": image.width, "height": image.height, "label": image.label, "split": image.split,
        "group": image.group_name, "prediction": case.prediction, "confidence": case.confidence,
        "logit": case.logit, "bias": case.bias, "probabilities": case.probabilities,
        "explained": case.explanation is not None,
    }  # fmt: skip


def _cue(cue: CueRecord, dictionary: str) -> dict[str, Any]:
    return {
        "dictionary": dictionary, "concept": cue.number, "concept_name": cue.name,
        "rank": cue.rank, "activation": cue.activation, "contribution": cue.contribution,
        "causal_effect": cue.causal_effect, "grid_rows": cue.grid_rows,
        "grid_cols": cue.grid_cols, "regions": [astuple(each) for each in cue.regions],
    }  # fmt: skip


def _concept_key(concept: ConceptRecord) -> dict[str, Any]:
    return {
        "dictionary": concept.dictionary_hash, "concept": concept.number,
        "concept_name": concept.name,
    }  # fmt: skip


def _said(
    parts: CaseParts, case: CaseRecord, cues: Mapping[str, CueRecord], key: Row, dictionary: str
) -> Iterator[Tabled]:
    for verdict in parts.verdicts:
        cue = cues[verdict.cue_id]
        yield "verdicts", {
            **key, "dictionary": dictionary, "concept": cue.number, "concept_name": cue.name,
            "prediction": case.prediction, "label": case.image.label, "scope": verdict.scope,
            "revision": verdict.revision, **_valued(verdict),
        }  # fmt: skip
    for word in parts.assessments:
        yield "assessments", {**key, **_assessment(word)}
    for drawing in parts.drawings:
        about = cues.get(drawing.cue_id or "")
        yield "drawings", {
            **key, "dictionary": dictionary if about else None,
            "concept": about.number if about else None, **_drawing(drawing),
        }  # fmt: skip
    for note in parts.notes:
        shown = next((cue for cue in cues.values() if cue.concept_id == note.concept_id), None)
        yield "notes", {
            **key, **_note(note, dictionary if shown else None, shown.number if shown else None),
        }  # fmt: skip


def _valued(word: VerdictRecord | ClassVerdictRecord | ColumnVerdictRecord) -> dict[str, Any]:
    return {
        "id": word.id, "value": word.value, "reason": word.reason, "comment": word.comment,
        "reviewer": word.reviewer, "given_at": iso(word.created_at),
    }  # fmt: skip


def _class(word: ClassVerdictRecord) -> dict[str, Any]:
    return {"class_name": word.class_name} | _valued(word)


def _assessment(word: AssessmentRecord) -> dict[str, Any]:
    return {
        "id": word.id, "agree": word.agree, "corrected_label": word.corrected_label,
        "ratings": word.ratings, "comment": word.comment, "blind": word.blind,
        "revision": word.revision, "reviewer": word.reviewer, "given_at": iso(word.created_at),
    }  # fmt: skip


def _drawing(drawing: DrawingRecord) -> dict[str, Any]:
    return {
        "id": drawing.id, "kind": drawing.kind, "shape": drawing.shape, "points": drawing.points,
        "note": drawing.note, "reviewer": drawing.reviewer, "given_at": iso(drawing.created_at),
    }  # fmt: skip


def _note(note: NoteRecord, dictionary: str | None, concept: int | None) -> dict[str, Any]:
    return {
        "id": note.id, "dictionary": dictionary, "concept": concept, "kind": note.kind,
        "text": note.text, "payload": note.payload, "reviewer": note.reviewer,
        "given_at": iso(note.created_at),
    }  # fmt: skip
