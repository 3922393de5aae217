"""Two people who say something of every kind, in words that no file should stumble over."""

import json
import shutil
from dataclasses import astuple
from pathlib import Path
from typing import Any

from dashboard.bootstrap import build
from dashboard.settings import Settings
from db.records import ReviewerRecord, new_id
from tests.integration.services.world import World, judge, make_world, reviewer

HOSTILE = (
    '=HYPERLINK("http://x","y")',
    "+1\r\n'-2",
    '<script>alert(1)</script> "quoted", comma',
    "\u202eright to left \U0001f41d \u0662",
    "-" + "x" * 9000,
    "\ttab\rreturn\nline",
)
SMALL = {"train": 24, "test": 8}


def small_world(folder: Any, seed: int = 0) -> World:
    """The same images and the same version for the same seed, in a workspace of its own."""
    return make_world(folder, seed=seed, splits=SMALL)


def copied(world: World, folder: Path) -> World:
    """A workspace of its own with what a world holds now; pictures and bundles are shared."""
    shutil.copytree(world.settings.workspace, folder)
    settings = Settings.load(folder, environ={})
    return World(build(settings), settings, world.project_id, world.version_hash)


def person(world: World, name: str = "Ada") -> ReviewerRecord:
    """A signed-in reviewer."""
    reviewer_id = reviewer(world, name)
    with world.services.uow(read_only=True) as uow:
        return uow.reviewers.get(reviewer_id)


def speak(world: World) -> None:
    """Verdicts, assessments, drawings, notes, names, words on classes and columns."""
    ada, ben = person(world), person(world, "=Ben, O'Neil")
    judge(world, ada.id, 5)
    judge(world, ben.id, 3)
    services = world.services
    with services.uow(read_only=True) as uow:
        verdicts = uow.verdicts.standing_of_project(world.project_id)
        version = uow.versions.active(world.project_id)
        assert version is not None
        numbers = uow.concepts.ids(world.project_id, version.dictionary_hash)
    with services.uow() as uow:
        for at, text in enumerate(HOSTILE):
            cue = verdicts[at % len(verdicts)]
            stands = uow.verdicts.standing(cue.case_id, ben.id).get(cue.cue_id)
            uow.verdicts.append(
                id=new_id(), cue_id=cue.cue_id, reviewer_id=ben.id, value="unsure", scope="class",
                reason=None, comment=text, based_on=stands.revision if stands else 0,
            )  # fmt: skip
            uow.notes.add(
                id=new_id(), project_id=world.project_id, reviewer_id=ada.id, kind="note",
                text=text, case_id=cue.case_id,
            )  # fmt: skip
            uow.concepts.add_name(
                id=new_id(), concept_id=numbers[2], name=f"=name {at} <b>,\"",
                based_on=uow.concepts.get(numbers[2]).revision, reviewer_id=ben.id, reason=text,
            )  # fmt: skip
        _speak_once(uow, world, ada, verdicts[0], numbers)
        uow.commit()


def _speak_once(uow: Any, world: World, ada: ReviewerRecord, cue: Any, numbers: Any) -> None:
    project_id = world.project_id
    uow.assessments.append(
        id=new_id(), case_id=cue.case_id, reviewer_id=ada.id, based_on=0, agree=False,
        corrected_label="naevus", ratings={"clarity": 4}, comment=HOSTILE[0], blind=True,
    )  # fmt: skip
    box, lasso = ((0.1, 0.2), (0.5, 1 / 3)), ((0.1, 0.1), (0.9, 0.1), (0.5, 0.7))
    for kind, shape, points, cue_id in (
        ("missed", "box", box, cue.cue_id), ("missed", "lasso", lasso, None),
        ("spurious", "box", box, None),
    ):  # fmt: skip
        uow.drawings.draw(
            id=new_id(), case_id=cue.case_id, reviewer_id=ada.id, kind=kind, shape=shape,
            points=points, note=HOSTILE[1], cue_id=cue_id,
        )  # fmt: skip
    gone = uow.drawings.draw(
        id=new_id(), case_id=cue.case_id, reviewer_id=ada.id, kind="here", shape="box", points=box
    )
    uow.drawings.erase(id=new_id(), drawing_id=gone.id, reviewer_id=ada.id)
    uow.class_verdicts.append(
        id=new_id(), concept_id=numbers[2], class_name="melanoma", reviewer_id=ada.id,
        value="spurious", comment=HOSTILE[2], based_on=0,
    )  # fmt: skip
    uow.column_verdicts.append(
        id=new_id(), project_id=project_id, column_name="=site", reviewer_id=ada.id,
        value="correct", comment=HOSTILE[3], based_on=0,
    )  # fmt: skip
    uow.notes.add(
        id=new_id(), project_id=project_id, reviewer_id=ada.id, kind="hypothesis", text="a rule",
        payload={"sliders": {"2": 0.5}, "deep": [1, [2, None]]}, concept_id=numbers[1],
    )  # fmt: skip
    uow.notes.add(
        id=new_id(), project_id=project_id, reviewer_id=ada.id, kind="note", text="of all"
    )


def said(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """What stands, without ids that differ from store to store."""
    project_id = world.project_id
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.active(project_id)
        assert version is not None
        dictionary = version.dictionary_hash
        cases = {case.id: case.image.sha256 for case in uow.cases.list(version.id)}
        cues = {c.id: c.number for found in uow.cues.list_for(cases).values() for c in found}
        concepts = {v: k for k, v in uow.concepts.ids(project_id, dictionary).items()}
        events = uow.concepts.name_events(project_id, dictionary)
        return {
            "verdicts": sorted(
                (v.id, cases[v.case_id], cues[v.cue_id], v.reviewer, v.value, v.scope, v.reason,
                 v.comment, v.created_at)
                for v in uow.verdicts.standing_of_project(project_id)
            ),
            "assessments": sorted(
                (a.id, cases[a.case_id], a.reviewer, a.agree, a.corrected_label,
                 tuple(a.ratings.items()), a.comment, a.blind, a.created_at)
                for a in uow.assessments.standing_of_project(project_id)
            ),
            "drawings": sorted(
                (d.id, cases[d.case_id], cues.get(d.cue_id or ""), d.reviewer, d.kind, d.shape,
                 d.points, d.note, d.created_at)
                for d in uow.drawings.standing_of_project(project_id)
            ),
            "classes": [
                (c.id, concepts[c.concept_id], c.class_name, c.reviewer, c.value, c.reason,
                 c.comment, c.created_at)
                for c in uow.class_verdicts.standing(project_id)
            ],
            "columns": [
                (c.id, c.column_name, c.reviewer, c.value, c.reason, c.comment, c.created_at)
                for c in uow.column_verdicts.standing(project_id)
            ],
            "names": [
                (e.id, number, e.revision, e.name, e.reviewer, e.reason, e.created_at)
                for number, found in sorted(events.items()) for e in found
            ],
            "notes": sorted(
                (n.id, cases.get(n.case_id or "", ""), concepts.get(n.concept_id or "", -1),
                 n.reviewer, n.kind, n.text, json.dumps(n.payload, sort_keys=True), n.created_at)
                for n in uow.notes.list(project_id)
            ),
            "tallies": [
                astuple(t)[1:] for t in uow.concepts.tallies(project_id, dictionary)
            ],
        }  # fmt: skip
