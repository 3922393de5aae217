"""From data to version: what was made from what, as a graph that is laid out and can be read aloud.

A version comes from the data that it learnt from, the version it started from, the frozen verdicts
that its run used, and that run. Columns follow the longest way from what came first, so that every
arrow points to the right; within a column things stand in the order in which they were made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from core.errors import BundleError
from dashboard.services.trace_nodes import at as in_utc
from dashboard.services.version_rows import used_until
from dashboard.viewmodels.versions import LineageEdge, LineageNode, LineageView, NodeKind
from db.errors import NotFound
from db.feedback_records import RunRecord, SnapshotRecord
from db.records import VersionRecord
from db.unit_of_work import UnitOfWork

KINDS = {
    "discover": "Discovery", "reweight": "Reweighting", "finetune": "Fine-tuning",
    "evaluate": "Evaluation", "demo": "Demo",
}  # fmt: skip
DIGITS = 10  # of a hash, as everywhere on the screen


@dataclass(frozen=True)
class _Parts:
    """What the store has of a project's versions."""

    versions: tuple[VersionRecord, ...]  # oldest first
    runs: Mapping[str, RunRecord]
    snapshots: Mapping[str, SnapshotRecord]
    people: Mapping[str, str]
    images: int
    used_until: Mapping[str, datetime]  # version id -> when another took its place


def lineage_of(uow: UnitOfWork, project_id: str) -> LineageView:
    """The graph of a project, within an open unit of work."""
    versions = tuple(reversed(uow.versions.list(project_id)))
    parts = _Parts(
        versions,
        {v.run_id: run for v in versions if v.run_id and (run := _run(uow, v.run_id))},
        uow.snapshots.by_ids({v.snapshot_id for v in versions if v.snapshot_id}),
        {each.id: each.name for each in uow.reviewers.list()},
        uow.images.counts(project_id).total,
        used_until(uow.version_events.of_project(project_id)),
    )
    nodes: dict[str, LineageNode] = {}
    edges: list[LineageEdge] = []
    lines: list[str] = []
    by_hash = {version.hash: version for version in versions}
    for version in versions:
        lines.append(_grow(nodes, edges, version, parts, by_hash))
    placed = laid_out(list(nodes.values()), edges)
    active = next((v for v in versions if v.state == "active"), None)
    return LineageView(
        nodes=placed,
        edges=tuple(edges),
        columns=1 + max((node.column for node in placed), default=-1),
        rows=1 + max((node.row for node in placed), default=-1),
        text=tuple(lines),
        active=f"version:{active.id}" if active else None,
    )


def laid_out(nodes: Sequence[LineageNode], edges: Sequence[LineageEdge]) -> tuple[LineageNode, ...]:
    """Nodes with column (longest way from a source) and row (order of making in the column).

    Edges must not form a ring. Nodes that feed a version only stand right before what they feed.
    """
    into: dict[str, list[str]] = defaultdict(list)
    out: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        into[edge.target].append(edge.source)
        out[edge.source].append(edge.target)
    column: dict[str, int] = {}

    def place(node_id: str) -> int:
        if node_id not in column:
            column[node_id] = 1 + max((place(each) for each in into[node_id]), default=-1)
        return column[node_id]

    for node in nodes:
        place(node.id)
    for node in nodes:  # frozen verdicts come late: beside the run that used them, not at the start
        if not into[node.id] and node.kind == "snapshot" and out[node.id]:
            column[node.id] = max(0, min(column[each] for each in out[node.id]) - 1)
    row: dict[int, int] = defaultdict(int)
    found = []
    for node in nodes:
        at = column[node.id]
        found.append(replace(node, column=at, row=row[at]))
        row[at] += 1
    return tuple(found)


def _grow(
    nodes: dict[str, LineageNode], edges: list[LineageEdge], version: VersionRecord,
    parts: _Parts, by_hash: Mapping[str, VersionRecord],
) -> str:  # fmt: skip
    """Adds a version with all it came from; the line that says so."""
    data, parent = _data(version, parts), by_hash.get(version.parent_hash or "")
    run, snapshot = parts.runs.get(version.run_id or ""), parts.snapshots.get(
        version.snapshot_id or ""
    )  # fmt: skip
    nodes.setdefault(data.id, data)
    target = f"version:{version.id}"
    until = None if version.state == "active" else parts.used_until.get(version.id)
    stands = f"was in use until {in_utc(until)}" if until else version.state
    said = [f"Version {version.hash[:DIGITS]} ({KINDS[version.kind].lower()}, {stands})"]
    through = target
    if snapshot is not None:
        node = _snapshot(snapshot)
        nodes.setdefault(node.id, node)
    if run is not None:
        through = f"run:{run.id}"
        nodes.setdefault(through, _run_node(run, parts))
        edges.append(LineageEdge(through, target, "made"))
        said.append(f"made by a run{_asked(run, parts)}")
    if parent is not None:
        _link(edges, f"version:{parent.id}", through, "started from")
        said.append(f"from version {parent.hash[:DIGITS]}")
    if snapshot is not None:
        _link(edges, f"snapshot:{snapshot.hash}", through, "verdicts used")
        said.append(f"with {snapshot.verdicts} verdicts (snapshot {snapshot.hash[:DIGITS]})")
    _link(edges, data.id, through, "learnt from")
    said.append(f"on {data.title[:1].lower()}{data.title[1:]}")
    node = _node(
        target, "version", version.hash[:DIGITS], f"{KINDS[version.kind]}, seed {version.seed}",
        version.state, version.created_at, version.id,
    )  # fmt: skip
    nodes[target] = replace(node, used_until=until)
    return ", ".join(said) + "."


def _link(edges: list[LineageEdge], source: str, target: str, label: str) -> None:
    edge = LineageEdge(source, target, label)
    if edge not in edges:
        edges.append(edge)


def _data(version: VersionRecord, parts: _Parts) -> LineageNode:
    """The images, labels and splits that a version was made from."""
    from core.manifest import read_manifest

    try:
        found = read_manifest(Path(version.folder)).data_hash
    except BundleError:
        line = "the version's folder cannot be read, so its data are not known"
        return _node("data:unknown", "data", "Data not known", line, "", None, "")
    line = f"project has {parts.images:,} images"
    return _node(f"data:{found}", "data", f"Data {found[:DIGITS]}", line, "", None, found)


def _snapshot(record: SnapshotRecord) -> LineageNode:
    return _node(
        f"snapshot:{record.hash}", "snapshot", f"{record.verdicts} verdicts",
        f"snapshot {record.hash[:DIGITS]}", "", record.created_at, record.hash,
    )  # fmt: skip


def _run_node(run: RunRecord, parts: _Parts) -> LineageNode:
    strategy = str(run.config.get("strategy", ""))
    name = parts.people.get(run.requested_by or "")
    line = ", ".join(filter(None, [name and f"by {name}", f"seed {run.seed}", strategy]))
    return _node(f"run:{run.id}", "run", KINDS[run.kind], line, run.state, run.created_at, run.id)


def _asked(run: RunRecord, parts: _Parts) -> str:
    name = parts.people.get(run.requested_by or "")
    return f", asked for by {name}" if name else ""


def _node(
    id: str, kind: NodeKind, title: str, line: str, state: str, at: datetime | None, ref: str
) -> LineageNode:
    return LineageNode(id, kind, title, line, state, at, 0, 0, ref)


def _run(uow: UnitOfWork, run_id: str) -> RunRecord | None:
    try:
        return uow.runs.get(run_id)
    except NotFound:
        return None


def sources(edges: Iterable[LineageEdge], node_id: str) -> tuple[str, ...]:
    """Everything that a node came from, directly or not."""
    into: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        into[edge.target].append(edge.source)
    found: dict[str, None] = {}
    todo = list(into[node_id])
    while todo:
        each = todo.pop(0)
        if each not in found:
            found[each] = None
            todo += into[each]
    return tuple(found)
