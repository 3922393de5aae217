"""Trace: from a pixel of an overlay to the people behind the model, and back.

Every question reads a bounded number of rows: lists are cut, and the card says how many are left
out. A question that comes from the screen names who asks; nothing is told that the desk still hides
from them (trace_eyes).
"""

from __future__ import annotations

from core.errors import InsightError
from dashboard.services import (
    trace_back,
    trace_cases,
    trace_files,
    trace_find,
    trace_nodes,
    trace_place,
)
from dashboard.services.case_view import letter
from dashboard.services.engines import Engines
from dashboard.services.trace_eyes import PEERS, SHUT, Eyes
from dashboard.services.trace_nodes import facts, short
from dashboard.viewmodels.trace import TraceNode, TracePlace, TraceView
from db.errors import NotFound
from db.records import CaseRecord, VersionRecord
from db.trace_records import TracedWord
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

VERSIONS = 12  # of an image's cases, and of what a person shaped


class TraceService:
    """Answers where something comes from and what became of it."""

    def __init__(self, uow_factory: UnitOfWorkFactory, engines: Engines) -> None:
        self._uow = uow_factory
        self._engines = engines

    def pixel(
        self, case_id: str, x: float, y: float, *, cue: str | None = None,
        viewer: str | None = None,
    ) -> TraceView:  # fmt: skip
        """From a point in a case's picture to the people behind what is drawn there.

        Args:
            case_id: its id, or the beginning of it.
            x, y: shares of width and height from the upper left, [0, 1].
            cue: letter or id of one cue; None takes all that fire on the patch.
            viewer: reviewer id of who asks; None sees everything.

        Raises NotFound, ConfigError for a point outside the picture, Ambiguous, InsightError for a
        case that is closed to the viewer or was never explained.
        """
        with self._uow(read_only=True) as uow:
            case = uow.cases.get(trace_find.one(uow, ("case",), case_id, None).id)
            eyes = Eyes(uow, case.project_id, viewer)
            if not eyes.open_case(case.id):
                raise InsightError(SHUT)
            version = uow.versions.get(case.version_id)
            cues = uow.cues.list(case.id)
            place = trace_place.place_of(x, y, cues)
            shown = trace_place.chosen(cues, place, cue)
            exact = trace_place.activations(self._engines, case, version, place)
            nodes = [
                trace_nodes.image(case.image),
                trace_place.node(case, place),
                trace_nodes.encoder(version),
                *trace_cases.cues(uow, case, place, shown, exact, eyes),
                *trace_cases.beside(uow, version, shown, exact),
                trace_cases.decision(case, version),
                *self._making(uow, version, eyes),
                *self._files(uow, case),
            ]
        said = ", ".join(f"{letter(each.rank)} {each.shown_name}" for each in shown)
        sentence = (
            f"Row {place.row + 1}, column {place.column + 1} of {case.image.relpath}: "
            f"{said or 'no cue fires here'}."
        )
        return TraceView(f"pixel {x:g}, {y:g} of case {case.id}", sentence, tuple(nodes))

    def verdict(self, key: str, *, viewer: str | None = None) -> TraceView:
        """What a word was about, which snapshots hold it, and which cases changed with it."""
        with self._uow(read_only=True) as uow:
            word = uow.trace.word(key)
            if word is None:
                word = uow.trace.word(trace_find.one(uow, ("verdict",), key, None).id)
            if word is None:
                raise NotFound("word", key)
            eyes = Eyes(uow, word.project_id, viewer)
            if not self._may_hear(uow, word, eyes):
                raise InsightError(PEERS)
            nodes = [trace_nodes.word(word, _standing(uow, word))]
            nodes += self._about(uow, word, eyes)
            used = trace_back.uses(uow, word.project_id, word.id, eyes)
            nodes += used
        count = f"{len(used)} snapshot{'s' if len(used) != 1 else ''} of verdicts"
        sentence = f"{word.reviewer} said {word.value}; {count} hold it."
        return TraceView(f"{word.kind} {word.id}", sentence, tuple(nodes))

    def version(
        self, key: str, *, project_id: str | None = None, viewer: str | None = None
    ) -> TraceView:
        """What a version came from, which words shaped it, and which files tell of it."""
        with self._uow(read_only=True) as uow:
            found = uow.versions.get(trace_find.one(uow, ("version",), key, project_id).id)
            eyes = Eyes(uow, found.project_id, viewer)
            nodes = trace_back.chain(uow, found, eyes)
            nodes.insert(1, trace_nodes.encoder(found))
            run = trace_nodes.run(uow, found.run_id)
            nodes += [] if run is None else [run]
            listed, more = trace_files.of_version(uow, found)
            nodes += trace_cases.group("Files that tell of it", listed, more)
        words = "without anybody's words" if found.snapshot_id is None else "from people's words"
        sentence = f"Version {short(found.hash)} was made by {found.kind}, {words}."
        return TraceView(f"version {found.hash}", sentence, tuple(nodes))

    def snapshot(
        self, key: str, *, project_id: str | None = None, viewer: str | None = None
    ) -> TraceView:
        """Which words a snapshot froze, and what was made from it."""
        with self._uow(read_only=True) as uow:
            record = uow.snapshots.get(trace_find.one(uow, ("snapshot",), key, project_id).id)
            eyes = Eyes(uow, record.project_id, viewer)
            made = uow.trace.versions_of([record.id])
            nodes = [trace_back.content(uow, record, eyes)]
            nodes += [trace_back.effect(uow, each, eyes) for each in made]
        sentence = f"{record.verdicts} words; {len(made)} version(s) were made from them."
        return TraceView(f"snapshot {record.hash}", sentence, tuple(nodes))

    def image(
        self, key: str, *, project_id: str | None = None, viewer: str | None = None
    ) -> TraceView:
        """Every decision on an image, by its file's SHA-256, the beginning of it, or a file."""
        sha = trace_find.file_sha(key)
        with self._uow(read_only=True) as uow:
            record = uow.images.get(trace_find.one(uow, ("image",), sha or key, project_id).id)
            eyes = Eyes(uow, record.project_id, viewer)
            versions = uow.versions.list(record.project_id)[:VERSIONS]
            cases = [uow.cases.by_image(each.id, record.id) for each in versions]
            pairs = [(v, c) for v, c in zip(versions, cases, strict=True) if c is not None]
            if not all(eyes.open_case(case.id) for _, case in pairs):
                raise InsightError(SHUT)
            nodes = [trace_nodes.image(record)]
            nodes += [trace_cases.judged(uow, version, case, eyes) for version, case in pairs]
            listed, more = trace_files.of_case(uow, pairs[0][1]) if pairs else ((), 0)
            nodes += trace_cases.group("Files that hold it", listed, more)
        sentence = f"{record.relpath}: {len(pairs)} version(s) decided on it."
        return TraceView(f"image {record.sha256}", sentence, tuple(nodes))

    def person(
        self, name: str, *, project_id: str | None = None, viewer: str | None = None
    ) -> TraceView:
        """What somebody said, in how many words, and which versions it shaped."""
        with self._uow(read_only=True) as uow:
            reviewer = uow.reviewers.by_name(name)
            if reviewer is None:
                raise NotFound("reviewer", name)
            projects = [uow.projects.get(project_id)] if project_id else uow.projects.list()
            nodes = []
            for project in projects:
                counts = uow.trace.count_words(project.id, reviewer.id)
                if not sum(counts.values()):
                    continue
                eyes = Eyes(uow, project.id, viewer)
                heads = uow.trace.holding(project.id, reviewer.id, limit=VERSIONS)
                made = uow.trace.versions_of([head.id for head in heads])
                nodes.append(
                    TraceNode(
                        "person", f"{reviewer.name} in {project.name}", reviewer.name,
                        facts(*counts.items(), ("snapshots with these words", len(heads)),
                              ("versions they shaped", len(made))),
                        "", tuple(trace_back.effect(uow, each, eyes) for each in made[-VERSIONS:]),
                    )
                )  # fmt: skip
        sentence = f"{name} spoke in {len(nodes)} project(s)."
        return TraceView(f"person {name}", sentence, tuple(nodes))

    def export(self, key: str, *, project_id: str | None = None) -> TraceView:
        """Who took a file out and what it tells of, by the file's SHA-256 or the file itself."""
        sha = trace_find.file_sha(key)
        with self._uow(read_only=True) as uow:
            match = trace_find.one(uow, ("export",), sha or key, project_id)
            rows = uow.exports.by_hash(match.ref)
            nodes = [trace_nodes.export(row) for row in rows[:VERSIONS]]
            hashes = dict.fromkeys(row.version_hash for row in rows if row.version_hash)
            for each in list(hashes)[:VERSIONS]:
                found = uow.versions.by_hash(rows[0].project_id, each)
                nodes += [] if found is None else [trace_nodes.version(uow, found)]
        sentence = f"This file left the app {len(rows)} time(s)."
        return TraceView(f"export {match.ref}", sentence, tuple(nodes))

    def find(
        self, key: str, *, project_id: str | None = None, viewer: str | None = None
    ) -> TraceView:
        """Whatever a hash, an id, the beginning of one, or a person's name stands for.

        Raises NotFound, Ambiguous with what it fits.
        """
        with self._uow(read_only=True) as uow:
            match = trace_find.anything(uow, key, project_id)
        if match.kind == "person":
            return self.person(match.ref, project_id=project_id, viewer=viewer)
        if match.kind == "verdict":
            return self.verdict(match.id, viewer=viewer)
        if match.kind == "export":
            return self.export(match.ref, project_id=match.project_id)
        ask = {"version": self.version, "snapshot": self.snapshot, "image": self.image}[match.kind]
        return ask(match.ref, project_id=match.project_id, viewer=viewer)

    def place(self, case_id: str, *, viewer: str | None = None) -> TracePlace:
        """A case to point into. Raises NotFound."""
        with self._uow(read_only=True) as uow:
            case = uow.cases.get(case_id)
            cues = uow.cues.list(case_id)
            shut = "" if Eyes(uow, case.project_id, viewer).open_case(case_id) else SHUT
        rows, columns = (cues[0].grid_rows, cues[0].grid_cols) if cues else (1, 1)
        return TracePlace(
            case.id, case.image_id, "" if shut else case.image.relpath, case.image.width,
            case.image.height, rows, columns,
            () if shut else tuple((letter(cue.rank), cue.shown_name) for cue in cues),
            () if shut else tuple(cue.map_u8 for cue in cues), shut,
        )  # fmt: skip

    def _making(self, uow: UnitOfWork, version: VersionRecord, eyes: Eyes) -> list[TraceNode]:
        nodes = trace_back.chain(uow, version, eyes)
        run = trace_nodes.run(uow, version.run_id)
        return nodes if run is None else [*nodes, run]

    def _files(self, uow: UnitOfWork, case: CaseRecord) -> list[TraceNode]:
        listed, more = trace_files.of_case(uow, case)
        return trace_cases.group("Files that hold this case", listed, more)

    def _may_hear(self, uow: UnitOfWork, word: TracedWord, eyes: Eyes) -> bool:
        if eyes.own(word.reviewer_id):
            return True
        if word.case_id is None or word.cue_id is None:
            return False
        speakers = [each.reviewer_id for each in uow.verdicts.history(word.cue_id)]
        return eyes.open_words(speakers, word.case_id) and eyes.open_case(word.case_id)

    def _about(self, uow: UnitOfWork, word: TracedWord, eyes: Eyes) -> list[TraceNode]:
        """What a word speaks of: a cue in a case, a concept, a column."""
        nodes = []
        if word.case_id is not None:
            case = uow.cases.get(word.case_id)
            version = uow.versions.get(case.version_id)
            nodes += [trace_nodes.image(case.image), trace_cases.decision(case, version)]
        concept_id = word.concept_id
        if concept_id is None and word.cue_id is not None:
            concept_id = uow.cues.get(word.cue_id).concept_id
        if concept_id is not None:
            nodes.append(trace_nodes.concept(uow, uow.concepts.get(concept_id)))
        return nodes


def _standing(uow: UnitOfWork, word: TracedWord) -> str:
    """Whether a verdict still stands, in words."""
    if word.kind != "verdict" or word.cue_id is None:
        return ""
    rows = uow.verdicts.history(word.cue_id, word.reviewer_id)
    last = max(rows, key=lambda row: row.revision)
    if last.id == word.id:
        return "It stands."
    return f"Superseded by revision {last.revision}: {last.value}."
