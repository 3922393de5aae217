"""One card of a trace per thing that the store knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.encoders.spec import parse_spec
from core.errors import BundleError, EncoderError
from core.manifest import read_manifest
from dashboard.services.compared import ancestors
from dashboard.viewmodels.trace import TraceNode
from db.errors import NotFound
from db.governance_records import ExportRecord
from db.records import ConceptRecord, ImageRecord, VersionRecord
from db.trace_records import SnapshotHead, TracedWord
from db.unit_of_work import UnitOfWork

LAYER = {
    "projected": "the last block's patch tokens through the final norm and the projection",
    "maskclip-value": "the last block's value path (MaskCLIP): out_proj(V(ln_1 x))",
    "maskclip-residual": "the last block's value path with residual and MLP",
    "dinoised": "the value path with residual and MLP, averaged over alike patches",
}
KINDS = {"discover": "discovery", "reweight": "reweighting", "finetune": "fine-tuning"}
FIRST = "the data: it is the first version"
Facts = tuple[tuple[str, str], ...]


def facts(*pairs: tuple[str, Any]) -> Facts:
    """Label and value; what is empty or unknown is left out."""
    return tuple((label, str(value)) for label, value in pairs if value not in (None, "", ()))


def at(moment: datetime) -> str:
    """A time in UTC, to the minute."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def short(digest: str) -> str:
    """The first twelve characters."""
    return digest[:12]


def image(record: ImageRecord, place: str = "") -> TraceNode:
    """The picture that was looked at."""
    return TraceNode(
        "image", record.relpath, record.sha256,
        facts(
            ("sha256", record.sha256), ("size", f"{record.width} x {record.height} pixels"),
            ("label", record.label), ("split", record.split), ("group", record.group_name),
            ("ingested", at(record.created_at)), ("place", place),
        ),
    )  # fmt: skip


def encoder(version: VersionRecord) -> TraceNode:
    """What turned the picture into tokens, and where in it they were taken."""
    try:
        spec = parse_spec(version.encoder_spec)
        layer, options = LAYER[spec.dense], str(spec).partition("?")[2]
    except EncoderError as error:
        layer, options = str(error), ""
    found = _manifest(version)
    grid = "" if found is None else "{} x {}".format(*found.encoder.grid)
    return TraceNode(
        "encoder", f"Encoder {version.encoder_spec}", "",
        facts(
            ("layer", layer), ("options", options), ("hash", version.encoder_hash),
            ("patches", grid),
            ("dimensions", None if found is None else found.encoder.dim),
            ("input", None if found is None else f"{found.encoder.image_size} pixels"),
        ),
    )  # fmt: skip


def version(uow: UnitOfWork, record: VersionRecord, *, decided: bool = True) -> TraceNode:
    """A model version with what made it and what was decided on it."""
    found = _manifest(record)
    chain = " <- ".join(short(each.hash) for each in ancestors(uow, record))
    first = record.parent_hash is None
    title = f"Version {short(record.hash)} ({KINDS.get(record.kind, record.kind)}, {record.state})"
    note = "" if found is not None else "Its folder cannot be read, so its data are not known."
    return TraceNode(
        "version", title, record.hash,
        facts(
            ("hash", record.hash), ("comes from", FIRST if first else chain),
            ("seed", record.seed),
            ("dictionary", record.dictionary_hash),
            ("data", None if found is None else found.data_hash),
            ("snapshot", None if found is None else found.snapshot_hash),
            ("code", record.code_version), ("registered", at(record.created_at)),
        ),
        note,
        decisions(uow, record) if decided else (),
    )  # fmt: skip


def decisions(uow: UnitOfWork, record: VersionRecord) -> tuple[TraceNode, ...]:
    """What people decided about a version, with their reasons."""
    acts = {"activate": "made active", "rollback": "gone back to", "discard": "discarded"}
    done = [
        TraceNode(
            "decision", f"{acts[each.kind]} by {each.reviewer or 'the app'}", "",
            facts(("when", at(each.created_at)), ("reason", each.reason)),
        )
        for each in uow.version_events.of_version(record.id)[-5:]
    ]  # fmt: skip
    logged = [
        TraceNode(
            "decision", each.title, "",
            facts(
                ("choice", each.choice), ("reason", each.reason), ("by", each.reviewer),
                ("when", at(each.created_at)),
            ),
        )
        for subject_id in (record.id, record.hash)
        for each in uow.decisions.list(record.project_id, subject="version", subject_id=subject_id)
    ]  # fmt: skip
    return (*done, *logged[:5])


def run(uow: UnitOfWork, run_id: str | None) -> TraceNode | None:
    """The run that made a version; None where there was none."""
    if run_id is None:
        return None
    try:
        record = uow.runs.get(run_id)
    except NotFound:
        return None
    who = "the program"
    if record.requested_by is not None:
        who = uow.reviewers.get(record.requested_by).name
    said = ", ".join(f"{name}: {value}" for name, value in record.config.items())
    return TraceNode(
        "run", f"Run {record.id[:8]} ({KINDS.get(record.kind, record.kind)}, {record.state})",
        record.id,
        facts(
            ("id", record.id), ("asked for by", who), ("seed", record.seed),
            ("settings", said), ("started", at(record.created_at)), ("message", record.message),
        ),
    )  # fmt: skip


def snapshot(head: SnapshotHead) -> TraceNode:
    """Frozen verdicts, without their content."""
    return TraceNode(
        "snapshot", f"Snapshot {short(head.hash)} ({head.verdicts} words)", head.hash,
        facts(("hash", head.hash), ("words", head.verdicts), ("frozen", at(head.created_at))),
    )  # fmt: skip


def concept(uow: UnitOfWork, record: ConceptRecord, *, more: Sequence[TraceNode] = ()) -> TraceNode:
    """A concept with everything it was ever called."""
    names = [
        TraceNode(
            "name", each.name, "",
            facts(
                ("by", each.reviewer or each.source), ("when", at(each.created_at)),
                ("reason", each.reason),
            ),
        )
        for each in uow.concepts.name_history(record.id)[-8:]
    ]  # fmt: skip
    model = record.model_name or "none: the model abstained"
    first = TraceNode(
        "name", model, "",
        facts(
            ("by", "the model"), ("score", f"{record.score:.2f}"),
            ("margin", f"{record.margin:.2f}"),
        ),
    )  # fmt: skip
    return TraceNode(
        "concept", f"Concept {record.number}: {record.shown_name}", "",
        facts(
            ("number", record.number), ("level", record.level),
            ("fires in", f"{100 * record.frequency:.1f} % of the images"),
            ("dictionary", record.dictionary_hash),
        ),
        "",
        (first, *names, *more),
    )  # fmt: skip


def word(found: TracedWord, note: str = "", children: Sequence[TraceNode] = ()) -> TraceNode:
    """What somebody said."""
    return TraceNode(
        "word", f"{found.reviewer}: {found.value}", found.id,
        facts(
            ("kind", found.kind), ("of", found.about), ("reason", found.reason),
            ("comment", found.comment), ("revision", found.revision),
            ("when", at(found.created_at)), ("id", found.id),
        ),
        note,
        tuple(children),
    )  # fmt: skip


def export(record: ExportRecord) -> TraceNode:
    """A file that left the app."""
    who = record.reviewer or ("a schedule" if record.schedule_id else "the program")
    scope = ", ".join(f"{name}: {value}" for name, value in sorted(record.scope.items()))
    return TraceNode(
        "export", f"{record.kind} as {record.format}", record.sha256,
        facts(
            ("sha256", record.sha256), ("by", who),
            ("when", at(record.created_at)), ("scope", scope or "everything"),
            ("size", f"{record.size} bytes"),
        ),
    )  # fmt: skip


def cut(nodes: Sequence[TraceNode], most: int) -> tuple[tuple[TraceNode, ...], int]:
    """The first ones, and how many are left out."""
    return tuple(nodes[:most]), max(0, len(nodes) - most)


def _manifest(record: VersionRecord) -> Any:
    try:
        return read_manifest(Path(record.folder))
    except BundleError:
        return None


def people(uow: UnitOfWork) -> Mapping[str, str]:
    """Reviewer id -> name."""
    return {each.id: each.name for each in uow.reviewers.list()}
