"""What the screens must show, worked out from the log alone, slowly and in plain Python.

Nothing here shares code with the store: lists, dictionaries, and loops over everything.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from db.log import LoggedEvent
from tests.property.people import CONCEPTS, Desk

State = dict[str, Any]
EDGES = {(2, 0): "is-a", (3, 0): "part-of", (4, 1): "is-a", (5, 2): "is-a"}  # of people.make_desk
WANTED = (2, 1, 1)


def state(desk: Desk, log: Sequence[LoggedEvent]) -> State:
    """Everything that stands after those events, taken one after the other."""
    of = defaultdict(list)
    for event in log:
        of[event.table].append(event)
    said = _latest(of["verdicts"], "cue_id", "reviewer_id")
    verdicts = {key: row["value"] for key, row in said.items() if row["value"] != "withdrawn"}
    assessed = {
        key: (row["agree"], tuple(sorted(row["ratings"].items())))
        for key, row in _latest(of["assessments"], "case_id", "reviewer_id").items()
        if not row["blank"]
    }
    case_of = {cue: desk.cases[at // CONCEPTS] for at, cue in enumerate(desk.cues)}
    words = {(case_of[cue], who) for cue, who in verdicts} | set(assessed)
    queue = _queue(of["queue_marks"])
    given = {
        key
        for key, row in _latest(of["assignments"], "case_id", "assignee_id").items()
        if row["assigned"]
    }
    return {
        "verdicts": verdicts,
        "assessments": assessed,
        "drawings": _drawings(of["drawings"]),
        "undo": {who: _undoable(log, who) for who in desk.people},
        "names": {
            key: row["name"] for key, row in _latest(of["concept_names"], "concept_id").items()
        },
        "marks": {
            key
            for key, row in _latest(of["concept_marks"], "concept_id", "kind").items()
            if row["value"]
        },
        "classes": {
            key: row["value"]
            for key, row in _latest(
                of["class_verdicts"], "concept_id", "class_name", "reviewer_id"
            ).items()
            if row["value"] != "withdrawn"
        },
        "columns": {
            key: row["value"]
            for key, row in _latest(of["column_verdicts"], "column_name", "reviewer_id").items()
            if row["value"] != "withdrawn"
        },
        "versions": _versions(desk, of["version_events"]),
        "notes": {e.id for e in of["notes"] if not e.values["removes"]}
        - {e.values["removes"] for e in of["notes"]},
        "hierarchy": _hierarchy(desk, of["proposals"], of["proposal_decisions"]),
        "tallies": _tallies(desk, verdicts),
        "words": words,
        "queue marks": queue,
        "assignments": given,
        "mine": {who: sum(person == who for _case, person in words) for who in desk.people},
        "team": sum(
            sum(case == each for each, _who in words) >= WANTED[at]
            for at, case in enumerate(desk.cases)
        ),
        "open": {who: _open(desk, who, words, queue, given) for who in desk.people},
    }


def _latest(events: list[LoggedEvent], *key: str) -> dict[Any, dict[str, Any]]:
    found = {}
    for event in events:
        own = tuple(event.values[name] for name in key)
        found[own if len(own) > 1 else own[0]] = event.values
    return found


def _versions(desk: Desk, events: list[LoggedEvent]) -> dict[str, str]:
    states = dict.fromkeys(desk.versions, "candidate") | {desk.versions[0]: "active"}
    for event in events:
        version = event.values["version_id"]
        if event.values["kind"] == "discard":
            states[version] = "discarded"
            continue
        states = {key: "candidate" if was == "active" else was for key, was in states.items()}
        states[version] = "active"
    return states


def _drawings(events: list[LoggedEvent]) -> set[str]:
    undone = {event.values["undoes"] for event in events}
    erased = {event.values["removes"] for event in events if event.id not in undone}
    return (
        {event.id for event in events if not event.values["removes"] and not event.values["undoes"]}
        - undone
        - erased
    )


def _undoable(log: Sequence[LoggedEvent], who: str) -> str | None:
    acts = [
        event
        for event in log
        if event.table in ("verdicts", "assessments", "drawings")
        and event.values["reviewer_id"] == who
    ]
    stack: list[str] = []
    for event in acts:
        if event.values["undoes"]:
            assert stack.pop() == event.values["undoes"], "undo takes the latest"
        else:
            stack.append(event.id)
    return stack[-1] if stack else None


def _queue(events: list[LoggedEvent]) -> set[tuple[str, str, str]]:
    """(case, reviewer, kind) of marks that stand."""
    stands: set[tuple[str, str, str]] = set()
    for event in events:
        case, who, kind = (event.values[key] for key in ("case_id", "reviewer_id", "kind"))
        if kind != "resolve":
            stands.add((case, who, kind))
            continue
        stands = {
            mark for mark in stands if mark[0] != case or (mark[2] == "skip" and mark[1] != who)
        }
    return stands


def _open(
    desk: Desk,
    who: str,
    words: set[tuple[str, str]],
    queue: set[tuple[str, str, str]],
    given: set[tuple[str, str]],
) -> list[int]:
    found = []
    for at, case in enumerate(desk.cases):
        others = {person for each, person in words | given if each == case} - {who}
        aside = (case, who, "skip") in queue or (case, who, "escalate") in queue
        place = (case, who) in given or len(others) < WANTED[at]
        if (case, who) not in words and not aside and place:
            found.append(at)
    return found


def _tallies(desk: Desk, verdicts: dict[Any, str]) -> dict[int, tuple[int, int, int]]:
    number = {cue: at % CONCEPTS for at, cue in enumerate(desk.cues)}
    values = [(number[cue], value) for (cue, _who), value in verdicts.items()]
    return {
        each: (
            values.count((each, "correct")),
            values.count((each, "spurious")),
            values.count((each, "unsure")),
        )
        for each in range(CONCEPTS)
    }


def _hierarchy(
    desk: Desk, proposals: list[LoggedEvent], decisions: list[LoggedEvent]
) -> dict[str, Any]:
    number = {concept: at for at, concept in enumerate(desk.concepts)} | {None: None}
    said = {event.id: event.values for event in proposals}
    standing: dict[str, LoggedEvent] = {}
    for event in decisions:
        standing[event.values["proposal_id"]] = event
    edges: dict[tuple[int, int], tuple[str, str]] = {
        edge: (kind, "model") for edge, kind in EDGES.items()
    }
    merged: dict[int, int] = {}
    splits: dict[int, tuple[str, ...]] = {}
    skipped = set()
    order = {event.id: at for at, event in enumerate(decisions)}
    for event in sorted(standing.values(), key=lambda each: order[each.id]):
        if not event.values["accepted"]:
            continue
        proposal = said[event.values["proposal_id"]]
        concept, target = number[proposal["concept_id"]], number[proposal["target_id"]]
        assert concept is not None
        after = dict(edges)
        moved = {concept: target} if proposal["kind"] == "merge" and target is not None else {}
        if proposal["kind"] == "parent":
            after = {edge: word for edge, word in edges.items() if edge[0] != concept}
            if target is not None:
                after[concept, target] = (proposal["relation_kind"], "person")
        elif moved:
            after = _without(edges, concept, target)
        if concept in merged or target in merged or _has_cycle(after):
            skipped.add(event.values["proposal_id"])
            continue
        edges = after
        merged |= moved
        if proposal["kind"] == "split":
            splits[concept] = tuple(proposal["parts"])
        elif moved:
            splits.pop(concept, None)
    return {
        "edges": {(*edge, *word) for edge, word in edges.items()},
        "aliases": {each: _end(merged, each) for each in merged},
        "splits": splits,
        "skipped": skipped,
        "revision": len(decisions),
    }


def _without(
    edges: dict[tuple[int, int], tuple[str, str]], gone: int, target: Any
) -> dict[tuple[int, int], tuple[str, str]]:
    """Edges after `gone` became `target`: its children go along; a target below it moves up."""
    kept = {edge: word for edge, word in edges.items() if gone not in edge}
    for (child, parent), word in edges.items():
        if parent == gone and child != target:
            kept.setdefault((child, target), word)
    if (target, gone) in edges:
        for (child, parent), word in edges.items():
            if child == gone:
                kept.setdefault((target, parent), word)
    return kept


def _has_cycle(edges: dict[tuple[int, int], Any]) -> bool:
    left = set(edges)
    while left:
        children = {child for child, _parent in left}
        parents = {parent for _child, parent in left}
        tops = parents - children
        if not tops:
            return True
        left = {edge for edge in left if edge[1] not in tops}
    return False


def _end(merged: dict[int, int], number: int) -> int:
    while number in merged:
        number = merged[number]
    return number
