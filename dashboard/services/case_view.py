"""A case as the Review screen shows it: rows folded into frozen view models.

Names are folded at view time: a rename shows everywhere at once, also in narratives and trees
that were stored before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from core.agreement import in_words
from core.narrative import disagreement
from core.qualifiers import Namesake, qualifiers
from core.regions import place_in_words
from core.types import Region
from dashboard.services.narrating import class_set, counterfactual, renarrate
from dashboard.viewmodels import (
    AssessmentView,
    CaseView,
    ClassSetView,
    CueView,
    FlipView,
    NodeView,
    RegionView,
    VerdictView,
)
from db.feedback_records import AssessmentRecord, VerdictRecord
from db.records import CaseRecord, CueRecord, VersionRecord
from db.unit_of_work import UnitOfWork


def build(uow: UnitOfWork, case_id: str, reviewer_id: str) -> CaseView:
    """The view of an explained case, within an open (read-only) unit of work."""
    case = uow.cases.get(case_id)
    version = uow.versions.get(case.version_id)
    cues = uow.cues.list(case_id)
    mine = uow.verdicts.standing(case_id, reviewer_id)
    assessment = uow.assessments.standing(case_id, reviewer_id)
    names = uow.concepts.names(case.project_id, version.dictionary_hash)
    ids = uow.concepts.ids(case.project_id, version.dictionary_hash)
    place = uow.cases.neighbours(case_id)
    explanation = case.explanation or {}
    nodes = explanation.get("tree", [])
    apart = qualifiers([*_namesakes(cues), *_others(nodes, names, {cue.number for cue in cues})])
    return CaseView(
        id=case.id,
        position=place.position,
        total=place.total,
        previous_id=place.previous_id,
        next_id=place.next_id,
        reconstruction=float(explanation.get("reconstruction") or 0.0),
        other=float(explanation.get("other") or 0.0),
        cues=tuple(
            _cue(cue, rank, mine.get(cue.id), apart, _note(cue, explanation))
            for rank, cue in enumerate(cues)
        ),
        tree=_tree(nodes, names, ids, {cue.number: cue.id for cue in cues}, apart),
        narrative=renarrate(case, cues, names),
        class_set=_class_set(explanation),
        flip=_flip(explanation, names),
        assessment=assessment_view(assessment) if assessment else None,
        **_facts(case, version),
    )


def _facts(case: CaseRecord, version: VersionRecord) -> dict[str, Any]:
    image = case.image
    return {
        "image_id": image.id,
        "image_name": image.relpath,
        "image_sha256": image.sha256,
        "width": image.width,
        "height": image.height,
        "label": image.label,
        "split": image.split,
        "prediction": case.prediction,
        "confidence": case.confidence,
        "logit": case.logit,
        "bias": case.bias,
        "probabilities": case.probabilities,
        "version_hash": version.hash,
    }


def letter(rank: int) -> str:
    """A, B, ... Z, AA, AB, ... for 0, 1, ...

    >>> [letter(n) for n in (0, 25, 26, 27)]
    ['A', 'Z', 'AA', 'AB']
    """
    text = ""
    rank += 1
    while rank > 0:
        rank, digit = divmod(rank - 1, 26)
        text = chr(ord("A") + digit) + text
    return text


def verdict_view(row: VerdictRecord) -> VerdictView:
    """A verdict as shown."""
    return VerdictView(
        row.id, row.value, row.scope, row.reason, row.comment, row.revision, row.created_at,
        row.reviewer,
    )  # fmt: skip


def assessment_view(row: AssessmentRecord) -> AssessmentView:
    """An assessment as shown."""
    return AssessmentView(
        row.id, row.agree, row.corrected_label, row.comment, row.revision, row.created_at,
        row.reviewer,
    )  # fmt: skip


def _class_set(explanation: Mapping[str, Any]) -> ClassSetView | None:
    found = class_set(explanation)
    if found is None:
        return None
    return ClassSetView(found.classes, found.coverage, found.informed, found.note)


def _flip(explanation: Mapping[str, Any], names: Mapping[int, str]) -> FlipView | None:
    found = counterfactual(explanation, names)
    if found is None:
        return None
    changes = tuple((c.name, c.before, c.after) for c in found.changes)
    return FlipView(changes, found.prediction, found.lead, found.reread)


def _namesakes(cues: Sequence[CueRecord]) -> list[Namesake]:
    """The cues, told apart by where they lie if they bear one name."""
    return [
        Namesake(
            cue.number,
            cue.shown_name,
            (place_in_words([Region(r.x0, r.y0, r.x1, r.y1, r.area) for r in cue.regions]),),
        )
        for cue in cues
    ]


def _others(
    nodes: Sequence[Mapping[str, Any]], names: Mapping[int, str], cues: Set[int]
) -> list[Namesake]:
    """The nodes of the stored tree that are no cues, each once."""
    found: dict[int, Namesake] = {}
    for node in nodes:
        number = int(node["concept"])
        if number not in cues:
            found[number] = Namesake(number, names.get(number, f"concept {number}"))
        below = _others(node.get("children", []), names, cues)
        found |= {each.number: each for each in below}
    return list(found.values())


def _note(cue: CueRecord, explanation: Mapping[str, Any]) -> str | None:
    """The first doubt about a cue, in words; from its figures where none were stored."""
    stored = explanation.get("doubts", {}).get(str(cue.number))
    return in_words(stored[0]) if stored else disagreement(cue.contribution, cue.causal_effect)


def _cue(
    cue: CueRecord, rank: int, mine: VerdictRecord | None, apart: Mapping[int, str],
    note: str | None,
) -> CueView:  # fmt: skip
    return CueView(
        id=cue.id,
        letter=letter(rank),
        concept_id=cue.concept_id,
        concept=cue.number,
        name=cue.shown_name,
        named=cue.name is not None,
        level=cue.level,
        activation=cue.activation,
        contribution=cue.contribution,
        causal_effect=cue.causal_effect,
        grid=(cue.grid_rows, cue.grid_cols),
        map_u8=cue.map_u8,
        regions=tuple(RegionView(r.x0, r.y0, r.x1, r.y1, r.area) for r in cue.regions),
        # A withdrawn verdict is given too: its revision is what the next one is based on.
        mine=verdict_view(mine) if mine else None,
        agree_note=note,
        qualifier=apart.get(cue.number, ""),
    )


def _tree(
    nodes: Sequence[Mapping[str, Any]],
    names: Mapping[int, str],
    ids: Mapping[int, str],
    cues: Mapping[int, str],
    apart: Mapping[int, str],
) -> tuple[NodeView, ...]:
    views = []
    for node in nodes:
        number = int(node["concept"])
        if number not in ids:
            continue
        views.append(
            NodeView(
                concept_id=ids[number],
                concept=number,
                name=names.get(number, f"concept {number}"),
                kind=node["kind"],
                contribution=float(node["contribution"]),
                total=float(node["total"]),
                cue_id=cues.get(number),
                children=_tree(node.get("children", []), names, ids, cues, apart),
                qualifier=apart.get(number, ""),
            )
        )
    return tuple(views)
