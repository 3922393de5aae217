"""The cases of a report, a page at a time: the explanation as stored, with everyone's words.

A page is read in a handful of queries, whatever it holds. Names are those that stand now, as on
the desk; merged concepts bear the name of the one that stands for them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from core.agreement import FAIR, GOOD, in_words, trust, trust_in_words, trust_of_all
from core.narrative import disagreement
from core.qualifiers import Namesake, qualifiers
from core.regions import place_in_words
from core.types import Doubt, Region
from dashboard.services.case_view import (
    class_set_view,
    drawing_view,
    flip_view,
    letter,
    note_view,
)
from dashboard.services.folded import Folded
from dashboard.services.narrating import class_set, renarrate
from dashboard.services.report_scope import Resolved
from dashboard.viewmodels.desk import RegionView
from dashboard.viewmodels.report_content import (
    CaseContent,
    CueContent,
    Ruling,
    SaidOfCase,
    SaidOfCue,
)
from db.desk_records import AdjudicationRecord
from db.feedback_records import AssessmentRecord, VerdictRecord
from db.records import CaseRecord, CueRecord, VersionRecord
from db.report_records import CaseParts
from db.unit_of_work import UnitOfWork

EMPTY = CaseParts()
NOT_OPENED = (
    "Nobody has opened this case yet: it has a decision, but its cues were not worked out.",
)
RECONSTRUCTED = 0.5  # share of the tokens below which it is said


@dataclass(frozen=True)
class Page:
    """What a page of cases is made from."""

    versions: Mapping[str, VersionRecord]
    cues: Mapping[str, tuple[CueRecord, ...]]
    parts: Mapping[str, CaseParts]


def page(
    uow: UnitOfWork, found: Resolved, case_ids: Sequence[str], folded: Folded
) -> Iterator[CaseContent]:
    """The cases of one page, in the order given."""
    rows = uow.report.cases(case_ids)
    read = Page(
        uow.versions.by_ids({row.version_id for row in rows}),
        uow.cues.list_for(case_ids),
        uow.report.parts(found.selection, case_ids),
    )
    names = _names(uow, rows, read, folded)
    for row in rows:
        version = read.versions[row.version_id]
        yield _case(row, version, read, names[version.dictionary_hash])


def _names(
    uow: UnitOfWork, rows: Sequence[CaseRecord], read: Page, folded: Folded
) -> dict[str, dict[int, str]]:
    """Dictionary -> number -> name that stands, for every concept that the page speaks of."""
    numbers: defaultdict[str, set[int]] = defaultdict(set)
    project = ""
    for row in rows:
        project = row.project_id
        own = numbers[read.versions[row.version_id].dictionary_hash]
        own |= {cue.number for cue in read.cues[row.id]}
        flips = (row.explanation or {}).get("counterfactual") or {}
        own |= {int(change["concept"]) for change in flips.get("changes", [])}
    found = {}
    for dictionary, wanted in numbers.items():
        now = folded.of(uow, project, dictionary)
        known = folded.concepts(
            uow, project, dictionary, wanted | {now.survivor(number) for number in wanted}
        )
        names = {n: record.name for n, record in known.items() if record.name is not None}
        merged = {n: now.survivor(n) for n in wanted if n in now.aliases}
        found[dictionary] = {
            **names, **{n: names.get(to, f"concept {to}") for n, to in merged.items()}
        }  # fmt: skip
    return found


def _case(
    row: CaseRecord, version: VersionRecord, read: Page, names: Mapping[int, str]
) -> CaseContent:
    stored = row.explanation or {}
    cues = tuple(replace(cue, name=names.get(cue.number, cue.name)) for cue in read.cues[row.id])
    said, image = read.parts.get(row.id, EMPTY), row.image
    sure = _trust(cues, stored)
    return CaseContent(
        id=row.id,
        version=version.hash,
        image_id=image.id,
        image_name=image.relpath,
        image_sha256=image.sha256,
        width=image.width,
        height=image.height,
        label=image.label,
        split=image.split,
        group=image.group_name,
        prediction=row.prediction,
        confidence=row.confidence,
        probabilities=row.probabilities,
        logit=row.logit,
        bias=row.bias,
        explained=row.explanation is not None,
        class_set=class_set_view(stored),
        flip=flip_view(stored, names),
        narrative=renarrate(row, cues, names),
        uncertainty=_uncertainty(row, stored, sure),
        trust=sure,
        reconstruction=_number(stored.get("reconstruction")),
        other=_number(stored.get("other")),
        cues=_cues(cues, stored, said),
        assessments=tuple(map(_said_of_case, said.assessments)),
        ruling=_ruling(said.rulings, "case", row.id),
        drawings=tuple(map(drawing_view, said.drawings)),
        notes=tuple(map(note_view, said.notes)),
    )


def _cues(
    cues: Sequence[CueRecord], stored: Mapping[str, Any], said: CaseParts
) -> tuple[CueContent, ...]:
    words: defaultdict[str, list[VerdictRecord]] = defaultdict(list)
    for verdict in said.verdicts:
        words[verdict.cue_id].append(verdict)
    apart = qualifiers([_namesake(cue) for cue in cues])
    return tuple(
        CueContent(
            id=cue.id,
            letter=letter(rank),
            concept_id=cue.concept_id,
            concept=cue.number,
            name=cue.shown_name,
            qualifier=apart.get(cue.number, ""),
            level=cue.level,
            activation=cue.activation,
            contribution=cue.contribution,
            causal_effect=cue.causal_effect,
            trust=trust(cue.contribution, cue.causal_effect),
            doubts=_doubts(cue, stored),
            regions=tuple(RegionView(r.x0, r.y0, r.x1, r.y1, r.area) for r in cue.regions),
            verdicts=tuple(map(_said_of_cue, words[cue.id])),
            ruling=_ruling(said.rulings, "cue", cue.id),
            grid=(cue.grid_rows, cue.grid_cols),
            map_u8=cue.map_u8,
            region_bits=cue.region_bits,
        )
        for rank, cue in enumerate(cues)
    )


def _namesake(cue: CueRecord) -> Namesake:
    regions = [Region(r.x0, r.y0, r.x1, r.y1, r.area) for r in cue.regions]
    return Namesake(cue.number, cue.shown_name, (place_in_words(regions),))


def _doubts(cue: CueRecord, stored: Mapping[str, Any]) -> tuple[str, ...]:
    kept = stored.get("doubts", {}).get(str(cue.number))
    if kept:
        return tuple(in_words(cast(Doubt, each)) for each in kept)
    found = disagreement(cue.contribution, cue.causal_effect)
    return () if found is None else (found,)


def _trust(cues: Sequence[CueRecord], stored: Mapping[str, Any]) -> float | None:
    if not cues or stored.get("reconstruction") is None:
        return None
    return trust_of_all(
        [cue.contribution for cue in cues],
        [cue.causal_effect for cue in cues],
        float(stored["reconstruction"]),
    )


def _uncertainty(row: CaseRecord, stored: Mapping[str, Any], sure: float | None) -> tuple[str, ...]:
    """How sure the model is, and how sure the explanation is."""
    second = sorted((p for name, p in row.probabilities if name != row.prediction), reverse=True)
    lead = row.confidence - (second[0] if second else 0.0)
    told = [
        f"The model gives {row.prediction} a calibrated probability of {row.confidence:.2f}, "
        f"{lead:.2f} ahead of the next class."
    ]
    if row.explanation is None:
        return (*told, *NOT_OPENED)
    found = class_set(stored)
    if found is not None and len(found.classes) > 1:
        told.append(f"It cannot rule out {', '.join(found.classes)}. {found.note}".strip())
    if sure is not None:
        told.append(
            f"Confidence in the explanation is {trust_in_words(sure)} ({sure:.2f} of 1; {FAIR} is "
            f"fair, {GOOD} good): how far contributions and causal effects confirm each other."
        )
    explained = _number(stored.get("reconstruction"))
    if explained is not None and explained < RECONSTRUCTED:
        told.append(
            f"The concepts explain {100 * explained:.0f} % of what the encoder sees; a reason "
            "outside them cannot be among the cues."
        )
    return tuple(told)


def _said_of_cue(row: VerdictRecord) -> SaidOfCue:
    return SaidOfCue(
        row.id, row.reviewer, row.value, row.scope, row.reason, row.comment, row.revision,
        row.created_at,
    )  # fmt: skip


def _said_of_case(row: AssessmentRecord) -> SaidOfCase:
    return SaidOfCase(
        row.id, row.reviewer, row.agree, row.corrected_label,
        tuple((key, int(points)) for key, points in row.ratings.items()), row.comment, row.blind,
        row.revision, row.created_at,
    )  # fmt: skip


def _ruling(rows: Sequence[AdjudicationRecord], subject: str, key: str) -> Ruling | None:
    for row in rows:
        if row.subject == subject and row.subject_id == key:
            return Ruling(row.value, row.reason, row.reviewer, row.created_at)
    return None


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
