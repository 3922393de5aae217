"""What the store's queries say stands: the same picture as in reference.py, read with SQL."""

from db.unit_of_work import UnitOfWork
from tests.integration.db.builders import DICTIONARY
from tests.property.people import Desk
from tests.property.reference import State


def screen(uow: UnitOfWork, desk: Desk) -> State:
    """Everything that stands, as the repositories read it."""
    project, version = desk.project_id, desk.version_id
    names = {person.id: person.name for person in uow.reviewers.list()}
    by_name = {name: person for person, name in names.items()}
    rows = uow.queue.page(version, desk.people[0]).items
    places = [uow.queue.place(row.case_id, desk.people[0]) for row in rows]
    folded = uow.hierarchy.folded(project, DICTIONARY)
    acts = {who: uow.undo.undoable(project, who) for who in desk.people}
    progress = {who: uow.queue.progress(version, who) for who in desk.people}
    marks = uow.concept_marks.numbers(project, DICTIONARY)
    return {
        "verdicts": {
            (each.cue_id, each.reviewer_id): each.value
            for each in uow.verdicts.standing_of_project(project)
        },
        "assessments": {
            (each.case_id, each.reviewer_id): (each.agree, tuple(sorted(each.ratings.items())))
            for each in uow.assessments.standing_of_project(project)
        },
        "drawings": {each.id for each in uow.drawings.standing_of_project(project)},
        "undo": {who: None if act is None else act.id for who, act in acts.items()},
        "names": {
            each.concept_id: each.name
            for events in uow.concepts.name_events(project, DICTIONARY).values()
            for each in events[-1:]
        },
        "marks": {
            (desk.concepts[number], kind) for kind, found in marks.items() for number in found
        },
        "classes": {
            (each.concept_id, each.class_name, each.reviewer_id): each.value
            for each in uow.class_verdicts.standing(project)
        },
        "columns": {
            (each.column_name, each.reviewer_id): each.value
            for each in uow.column_verdicts.standing(project)
        },
        "versions": _states(uow, project),
        "notes": {each.id for each in uow.notes.list(project)},
        "hierarchy": {
            "edges": {(edge.child, edge.parent, edge.kind, edge.source) for edge in folded.edges},
            "aliases": folded.aliases,
            "splits": folded.splits,
            "skipped": {each.proposal_id for each in folded.skipped},
            "revision": folded.revision,
        },
        "tallies": {
            item.concept.number: (item.correct, item.spurious, item.unsure)
            for item in uow.concepts.list(project, DICTIONARY).items
        },
        "words": {
            (row.case_id, who)
            for who in desk.people
            for row in uow.queue.page(version, who).items
            if row.done
        },
        "queue marks": {
            (place.case_id, mark.reviewer_id, mark.kind) for place in places for mark in place.marks
        },
        "assignments": {(row.case_id, by_name[n]) for row in rows for n in row.assigned_to},
        "mine": {who: each.mine for who, each in progress.items()},
        "team": progress[desk.people[0]].team,
        "open": {who: _open(uow, desk, who) for who in desk.people},
    }


def _states(uow: UnitOfWork, project: str) -> dict[str, str]:
    """Version -> state; the project points at the one that is active."""
    found = {each.id: each.state for each in uow.versions.list(project)}
    active = [key for key, state in found.items() if state == "active"]
    assert active == [uow.projects.get(project).active_version_id]
    return found


def _open(uow: UnitOfWork, desk: Desk, who: str) -> list[int]:
    """Open places found by walking; page and probe must find the same."""
    walked: list[int] = []
    at = uow.queue.next_open(desk.version_id, who)
    while at is not None:
        walked.append(at.queue_order)
        at = uow.queue.next_open(desk.version_id, who, after=at.queue_order)
    listed = uow.queue.page(desk.version_id, who, state="open")
    assert [row.queue_order for row in listed.items] == walked
    assert listed.total == len(walked)
    probed = uow.queue.open_among(desk.version_id, who, range(len(desk.cases)))
    assert [each.queue_order for each in probed] == walked
    back = uow.queue.previous_open(desk.version_id, who, before=len(desk.cases), or_mine=False)
    assert (back.queue_order if back else None) == (walked[-1] if walked else None)
    return walked
