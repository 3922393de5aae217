"""A case as the Review screen shows it: rows folded into frozen view models.

Names are folded at view time: a rename shows everywhere at once, also in narratives and trees
that were stored before it. What the project hides from this reviewer is blanked here
(blinding.py), so that it never leaves the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, Protocol

from core.agreement import in_words, trust, trust_of_all
from core.narrative import disagreement
from core.qualifiers import Namesake, qualifiers
from core.regions import place_in_words
from core.types import Region
from dashboard.services import blinding
from dashboard.services.case_tree import case_nodes
from dashboard.services.folded import Folded
from dashboard.services.narrating import class_set, counterfactual, renarrate
from dashboard.services.project_settings import ProjectSettings
from dashboard.viewmodels import (
    AssessmentView,
    CaseView,
    ClassSetView,
    CueView,
    DrawingView,
    FlipView,
    LayerView,
    NodeView,
    NoteView,
    PeerView,
    RegionView,
    VerdictView,
    WhatIfView,
)
from db.desk_records import DrawingRecord, NoteRecord, PeerRecord
from db.feedback_records import AssessmentRecord, VerdictRecord
from db.hierarchy_records import HierarchyRecord
from db.records import CaseRecord, CueRecord, VersionRecord
from db.unit_of_work import UnitOfWork


class Levers(Protocol):
    """What is needed of WhatIfService."""

    def of(
        self, case: CaseRecord, version: VersionRecord, cues: Sequence[CueRecord],
        names: Mapping[int, str], ids: Mapping[int, str],
    ) -> WhatIfView | None:  # fmt: skip
        """What can be moved in a case."""


class Layers(Protocol):
    """What is needed of LayerService."""

    def available(
        self, case: CaseRecord, version: VersionRecord
    ) -> Sequence[tuple[str, str, Any, str]]:
        """Key, name, kind and one line about each picture that can be laid over a case."""


def build(
    uow: UnitOfWork,
    case_id: str,
    reviewer_id: str,
    *,
    rules: ProjectSettings | None = None,
    levers: Levers | None = None,
    layers: Layers | None = None,
    folded: Folded | None = None,
    case: CaseRecord | None = None,
) -> CaseView:
    """The view of an explained case, within an open (read-only) unit of work.

    Its place in the reviewer's own order is filled in by ReviewService. The tree and the names
    are those that people made of the hierarchy: a merged concept bears the name of the one that
    stands for it.
    """
    rules = rules or ProjectSettings()
    case = case or uow.cases.get(case_id)  # given where it was read in this transaction
    version = uow.versions.get(case.version_id)
    cues = uow.cues.list(case_id)
    explanation = case.explanation or {}
    now = (folded or Folded()).of(uow, case.project_id, version.dictionary_hash)
    nodes = case_nodes(explanation.get("tree", []), now)
    names, ids = _known(uow, folded or Folded(), now, version, _numbers(cues, nodes, explanation))
    cues = tuple(_renamed(cue, names) if cue.number in now.aliases else cue for cue in cues)
    assessment = uow.assessments.standing(case_id, reviewer_id)
    mine = assessment_view(assessment) if assessment else None
    hidden = blinding.hidden_now(rules.blind, mine)
    apart = qualifiers([*_namesakes(cues), *_others(nodes, names, {cue.number for cue in cues})])
    shown = CaseView(
        id=case.id,
        position=0,
        total=0,
        previous_id=None,
        next_id=None,
        reconstruction=float(explanation.get("reconstruction") or 0.0),
        other=float(explanation.get("other") or 0.0),
        cues=_cues(uow, cues, reviewer_id, apart, explanation),
        tree=_tree(nodes, names, ids, {cue.number: cue.id for cue in cues}, apart),
        narrative=renarrate(case, cues, names),
        class_set=class_set_view(explanation),
        flip=flip_view(explanation, names),
        trust=_trust(cues, explanation),
        assessment=mine,
        criteria=rules.criteria,
        reasons=rules.reasons,
        drawings=tuple(map(drawing_view, uow.drawings.standing(case_id, reviewer_id))),
        notes=_notes(uow.notes.of_case(case_id), reviewer_id, hidden),
        layers=tuple(_layers(layers, case, version)),
        what_if=levers.of(case, version, cues, names, ids) if levers else None,
        **_facts(case, version),
    )
    return blinding.blinded(shown, hidden)


def _numbers(
    cues: Sequence[CueRecord], nodes: Sequence[Mapping[str, Any]], explanation: Mapping[str, Any]
) -> set[int]:
    """Concepts whose names or ids a case shows: some of thousands."""
    found = {cue.number for cue in cues}
    flips = explanation.get("counterfactual") or {}
    found |= {int(change["concept"]) for change in flips.get("changes", [])}
    waiting = [*nodes, *explanation.get("tree", [])]
    while waiting:
        node = waiting.pop()
        found.add(int(node["concept"]))
        waiting.extend(node.get("children", ()))
    return found


def _known(
    uow: UnitOfWork,
    folded: Folded,
    now: HierarchyRecord,
    version: VersionRecord,
    numbers: Set[int],
) -> tuple[dict[int, str], dict[int, str]]:
    """Names that stand (merged concepts under their survivor's) and ids, by number."""
    wanted = numbers | {now.survivor(number) for number in numbers}
    found = folded.concepts(uow, version.project_id, version.dictionary_hash, wanted)
    names = {number: row.name for number, row in found.items() if row.name is not None}
    merged = {number: now.survivor(number) for number in numbers if number in now.aliases}
    names |= {number: names.get(to, f"concept {to}") for number, to in merged.items()}
    return names, {number: row.id for number, row in found.items()}


def _renamed(cue: CueRecord, names: Mapping[int, str]) -> CueRecord:
    return replace(cue, name=names.get(cue.number, cue.name))


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
        row.reviewer, tuple((key, int(points)) for key, points in row.ratings.items()),
    )  # fmt: skip


def drawing_view(row: DrawingRecord) -> DrawingView:
    """A drawing as shown."""
    points = tuple((float(x), float(y)) for x, y in row.points)
    return DrawingView(
        row.id, row.kind, row.shape, points, row.note, row.cue_id, row.reviewer, row.created_at
    )


def note_view(row: NoteRecord) -> NoteView:
    """A note as shown."""
    return NoteView(row.id, row.kind, row.text, row.payload, row.reviewer, row.created_at)


def _notes(rows: Sequence[NoteRecord], reviewer_id: str, hidden: Set[str]) -> tuple[NoteView, ...]:
    """Everybody's notes; only one's own while anything is hidden, since they may tell it."""
    return tuple(note_view(row) for row in rows if not hidden or row.reviewer_id == reviewer_id)


def _layers(layers: Layers | None, case: CaseRecord, version: VersionRecord) -> list[LayerView]:
    """Without addresses: the screen signs them, since pictures are fetched outside the session."""
    found = layers.available(case, version) if layers else ()
    return [LayerView(key, name, kind, "", about) for key, name, kind, about in found]


def _trust(cues: Sequence[CueRecord], explanation: Mapping[str, Any]) -> float | None:
    if not cues or explanation.get("reconstruction") is None:
        return None
    return trust_of_all(
        [cue.contribution for cue in cues],
        [cue.causal_effect for cue in cues],
        float(explanation["reconstruction"]),
    )


def class_set_view(explanation: Mapping[str, Any]) -> ClassSetView | None:
    """The conformal set of a stored explanation; None where it holds none."""
    found = class_set(explanation)
    if found is None:
        return None
    return ClassSetView(found.classes, found.coverage, found.informed, found.note)


def flip_view(explanation: Mapping[str, Any], names: Mapping[int, str]) -> FlipView | None:
    """The counterfactual of a stored explanation; None where it holds none."""
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


def _cues(
    uow: UnitOfWork,
    cues: Sequence[CueRecord],
    reviewer_id: str,
    apart: Mapping[int, str],
    explanation: Mapping[str, Any],
) -> tuple[CueView, ...]:
    case_id = cues[0].case_id if cues else ""
    mine = uow.verdicts.standing(case_id, reviewer_id)
    peers = uow.verdicts.peers(case_id, reviewer_id)
    return tuple(
        _cue(
            cue, rank, mine.get(cue.id), apart, _note(cue, explanation), peers.get(cue.id, ())
        )
        for rank, cue in enumerate(cues)
    )  # fmt: skip


def _cue(
    cue: CueRecord, rank: int, mine: VerdictRecord | None, apart: Mapping[int, str],
    note: str | None, peers: Sequence[PeerRecord],
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
        trust=trust(cue.contribution, cue.causal_effect),
        peers=tuple(PeerView(p.reviewer, p.value, p.scope, p.reason) for p in peers),
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
