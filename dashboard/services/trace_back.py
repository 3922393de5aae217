"""From words to versions and back: what a snapshot holds, and what became of a word.

A version learns from all words of its snapshot at once. So what can be told of one word is: which
snapshots hold it and what it counted for in them, which versions were made from those, and which
cases these versions decide otherwise than the version before. What the word did alone is not known,
and every card that lists cases says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.drawn import PLACE
from dashboard.services.evidence_places import places_in
from dashboard.services.trace_eyes import PEERS, Eyes
from dashboard.services.trace_nodes import at, facts, people, short, version
from dashboard.viewmodels.trace import TraceNode
from db.feedback_records import SnapshotRecord
from db.records import VersionRecord
from db.trace_records import Flip, SnapshotHead
from db.unit_of_work import UnitOfWork

LISTED = 12  # cues, cases or exports on one card
SNAPSHOTS = 8  # snapshots of a word that are looked into
ALONE = (
    "A version learns from all words of its snapshot together: what this word did alone is not "
    "known."
)


def uses(uow: UnitOfWork, project_id: str, word_id: str, eyes: Eyes) -> tuple[TraceNode, ...]:
    """The snapshots that hold a word, what it counted for, and what was made from them."""
    heads = uow.trace.holding(project_id, word_id, limit=SNAPSHOTS)
    return tuple(_use(uow, head, word_id, eyes) for head in heads)


def held(uow: UnitOfWork, project_id: str, word_id: str) -> tuple[TraceNode, ...]:
    """The same in short: which snapshots, and which versions. Reads no snapshot's content."""
    heads = uow.trace.holding(project_id, word_id, limit=SNAPSHOTS)
    return tuple(
        TraceNode(
            "snapshot", f"in snapshot {short(head.hash)} ({head.verdicts} words)", head.hash, (),
            "", tuple(
                TraceNode("effect", f"shaped version {short(each.hash)} ({each.state})", each.hash)
                for each in uow.trace.versions_of([head.id])
            ),
        )
        for head in heads
    )  # fmt: skip


def _use(uow: UnitOfWork, head: SnapshotHead, word_id: str, eyes: Eyes) -> TraceNode:
    record = uow.snapshots.get(head.id)
    counted = tuple(
        TraceNode("evidence", title, "", said)
        for title, said in entries_of(record.payload, word_id)
    )
    made = tuple(effect(uow, each, eyes) for each in uow.trace.versions_of([head.id]))
    note = "" if made else "No version was made from it (yet)."
    return TraceNode(
        "snapshot", f"Snapshot {short(head.hash)} ({head.verdicts} words)", head.hash,
        facts(("hash", head.hash), ("frozen", at(head.created_at))), note, (*counted, *made),
    )  # fmt: skip


def effect(uow: UnitOfWork, made: VersionRecord, eyes: Eyes) -> TraceNode:
    """What a version decides otherwise than the version it comes from, on the project's cases."""
    parent = uow.versions.by_hash(made.project_id, made.parent_hash or "")
    title = f"Version {short(made.hash)} ({made.kind}, {made.state})"
    if parent is None:
        return TraceNode("effect", title, made.hash, (), "It has no version before it.")
    found = uow.trace.flips(parent.id, made.id, limit=LISTED)
    shown = () if eyes.blind else tuple(_changed(flip) for flip in found.first)
    return TraceNode(
        "effect", title, made.hash,
        facts(
            ("started from", short(parent.hash)),
            ("decides otherwise", f"{found.turned} of {found.cases} cases"),
            ("wrong before, right now", found.righted),
            ("right before, wrong now", found.broken),
        ),
        ALONE, shown, found.turned - len(shown),
    )  # fmt: skip


def _changed(flip: Flip) -> TraceNode:
    confidence = f"{flip.before_confidence:.2f} -> {flip.after_confidence:.2f}"
    return TraceNode(
        "changed", f"{flip.relpath}: {flip.before} -> {flip.after}", flip.case_id,
        facts(("label", flip.label or "no label"), ("confidence", confidence)),
    )  # fmt: skip


def shaped(uow: UnitOfWork, made: VersionRecord, eyes: Eyes) -> TraceNode | None:
    """Which words shaped a version; None for one that was made without any."""
    if made.snapshot_id is None:
        return None
    record = uow.snapshots.get(made.snapshot_id)
    return content(uow, record, eyes)


def content(uow: UnitOfWork, record: SnapshotRecord, eyes: Eyes) -> TraceNode:
    """A snapshot with what it holds: per cue the words and what they say together."""
    payload = record.payload
    names = uow.concepts.names(record.project_id, str(payload.get("dictionary_hash", "")))
    known = people(uow)
    cues = sorted(payload.get("cues", ()), key=lambda cue: -float(cue.get("weight") or 0.0))
    nodes = [_cue(uow, record.project_id, cue, names, known, eyes) for cue in cues[:LISTED]]
    nodes += [_place(uow, record.project_id, p, known, eyes) for p in places_in(payload)[:LISTED]]
    nodes += [_column(column, known, eyes) for column in payload.get("columns", ())[:LISTED]]
    nodes += [_rater(rater, known) for rater in payload.get("raters", ())[:LISTED]]
    kinds = [str(cue.get("outcome", "counted")) for cue in cues]
    tally = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
    return TraceNode(
        "snapshot", f"Snapshot {short(record.hash)} ({record.verdicts} words)", record.hash,
        facts(
            ("hash", record.hash), ("frozen", at(record.created_at)),
            ("cues with words", tally or "none"),
            ("words on classes", len(payload.get("claims", ()))),
            ("drawings", len(payload.get("regions", ()))),
            ("dictionary", payload.get("dictionary_hash")),
        ),
        "The words that weigh most come first.", tuple(nodes), max(0, len(cues) - LISTED),
    )  # fmt: skip


def _cue(
    uow: UnitOfWork, project_id: str, cue: Mapping[str, Any], names: Mapping[int, str],
    known: Mapping[str, str], eyes: Eyes,
) -> TraceNode:  # fmt: skip
    number, sha = int(cue["concept"]), str(cue["image_sha256"])
    words = list(cue.get("verdicts", ()))
    found = uow.images.by_sha256(project_id, sha)
    where = f"image {short(sha)}" if found is None or eyes.blind else found.relpath
    name = names.get(number, f"concept {number}")
    if not eyes.open_words([str(word["reviewer"]) for word in words]):
        return TraceNode("evidence", f"{name} in {where}", sha, (), PEERS)
    return TraceNode(
        "evidence", f"{name} in {where}: {cue.get('outcome', 'counted')}", sha,
        facts(
            ("probability that it is spurious", cue.get("probability")),
            ("weight", cue.get("weight")), ("class", cue.get("class")),
            ("decided by a lead", cue.get("decided")),
        ),
        "", tuple(_said(word, known) for word in words),
    )  # fmt: skip


def _place(
    uow: UnitOfWork, project_id: str, place: Mapping[str, Any], known: Mapping[str, str],
    eyes: Eyes,
) -> TraceNode:  # fmt: skip
    sha = str(place["image_sha256"])
    found = uow.images.by_sha256(project_id, sha)
    where = f"image {short(sha)}" if found is None or eyes.blind else found.relpath
    if not eyes.open_words([str(who) for who in (*place["people"], *place["against"])]):
        return TraceNode("evidence", f"{PLACE} in {where}", sha, (), PEERS)
    return TraceNode(
        "evidence", f"{PLACE} in {where}: {place['outcome']}", sha,
        facts(
            ("probability that it is spurious", place["probability"]), ("weight", place["weight"]),
            ("rejected by", _names(place["people"], known)),
            ("called a sign by", _names(place["against"], known) or None),
            ("drawings", len(place["drawings"])),
        ),
    )  # fmt: skip


def _names(people: Sequence[str], known: Mapping[str, str]) -> str:
    return ", ".join(known.get(who, "someone who is not in the store any more") for who in people)


def _said(word: Mapping[str, Any], known: Mapping[str, str]) -> TraceNode:
    who = known.get(str(word["reviewer"]), "someone who is not in the store any more")
    return TraceNode(
        "word", f"{who}: {word['value']}", str(word["id"]),
        facts(("scope", word.get("scope")), ("reason", word.get("reason"))),
    )  # fmt: skip


def _column(column: Mapping[str, Any], known: Mapping[str, str], eyes: Eyes) -> TraceNode:
    words = column.get("words", ())
    shown = eyes.all or eyes.viewer in [word["reviewer"] for word in words]
    return TraceNode(
        "evidence", f"column {column['column']}: {column.get('outcome', '')}", "",
        facts(("probability that it is spurious", column.get("probability")),
              ("weight", column.get("weight"))),
        "" if shown else PEERS, tuple(_said(word, known) for word in words) if shown else (),
    )  # fmt: skip


def _rater(rater: Mapping[str, Any], known: Mapping[str, str]) -> TraceNode:
    who = known.get(str(rater["reviewer_id"]), str(rater.get("reviewer", "")))
    counted = "counted" if rater.get("counted") else "not counted"
    return TraceNode(
        "person", who, who,
        facts(
            ("words", rater.get("words")), ("in this snapshot", counted),
            ("status", rater.get("status")), ("compared with others", rater.get("compared")),
        ),
    )  # fmt: skip


def entries_of(
    payload: Mapping[str, Any], word_id: str
) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    """Every place of a snapshot that holds a word: what it was part of and what that counted."""
    for cue in payload.get("cues", ()):
        if _holds(cue.get("verdicts", ()), word_id):
            yield (
                f"on a cue, together: {cue.get('outcome', 'counted')}",
                facts(
                    ("probability that it is spurious", cue.get("probability")),
                    ("weight", cue.get("weight")), ("words on it", len(cue.get("verdicts", ()))),
                ),
            )  # fmt: skip
    for claim in payload.get("claims", ()):
        if _holds(claim.get("words", ()), word_id):
            where = f"in class {claim['class']}" if claim.get("class") else "everywhere"
            yield (
                f"on concept {claim['concept']} {where}",
                facts(("probability that it is spurious", claim.get("probability")),
                      ("weight", claim.get("weight"))),
            )  # fmt: skip
    for column in payload.get("columns", ()):
        if _holds(column.get("words", ()), word_id):
            yield (
                f"on column {column['column']}: {column.get('outcome', '')}",
                facts(("weight", column.get("weight"))),
            )
    for region in payload.get("regions", ()):
        if str(region.get("id")) == word_id:
            yield (f"a drawing ({region.get('kind', '')})", facts(("weight", region.get("weight"))))
    for place in places_in(payload):
        if word_id in place["drawings"]:
            yield (
                f"on a {PLACE}, together: {place['outcome']}",
                facts(
                    ("probability that it is spurious", place["probability"]),
                    ("weight", place["weight"]), ("drawings of it", len(place["drawings"])),
                ),
            )  # fmt: skip


def _holds(words: Sequence[Mapping[str, Any]], word_id: str) -> bool:
    return any(str(word.get("id")) == word_id for word in words)


def chain(uow: UnitOfWork, made: VersionRecord, eyes: Eyes) -> list[TraceNode]:
    """A version, what it decides otherwise, and the words that shaped it."""
    nodes = [version(uow, made)]
    if made.parent_hash is not None:
        nodes.append(effect(uow, made, eyes))
    words = shaped(uow, made, eyes)
    return nodes if words is None else [*nodes, words]
