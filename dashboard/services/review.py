"""The desk: what a reviewer sees of a case, and what a reviewer says about it.

What is shown is a fold over append-only rows. Every write is one transaction that holds its
audit row, carries an id made by the client (a repeat is harmless) and the revision it was based
on (a lost update is refused with StaleWrite). Verdicts, words on cases and drawings form one stack
per reviewer and project, which `undo` pops at any depth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from core.errors import ConfigError, InsightError
from dashboard.services import blinding, case_view, queue_walk, review_log
from dashboard.services.engines import read_verified
from dashboard.services.folded import Folded
from dashboard.services.names import clean_name
from dashboard.services.project_settings import ProjectSettings
from dashboard.services.prose import clean_prose
from dashboard.services.queue_rows import queue_rows
from dashboard.services.settings_of import settings_in
from dashboard.viewmodels import (
    AssessmentView,
    CaseView,
    DrawingView,
    NoteView,
    QueueRow,
    Scope,
    VerdictValue,
    VerdictView,
)
from dashboard.viewmodels.marks import DrawingKind, NoteKind, Shape
from dashboard.viewmodels.queue import UndoneView
from db.errors import NotFound
from db.records import CaseRecord, ImageRecord, utc_now
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

JPEG_SUFFIXES = frozenset({".jpg", ".jpeg"})
POINTS = range(1, 6)  # of a rating


class CaseExplainer(Protocol):
    """What the desk needs of ExplainService."""

    def explain_case(self, case_id: str) -> None:
        """Persists the cues of a case once; a second call changes nothing."""


class ReviewService:
    """Sign in, look at cases, give verdicts and assessments, draw, note, undo."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        explain: CaseExplainer,
        *,
        levers: case_view.Levers | None = None,
        layers: case_view.Layers | None = None,
        folded: Folded | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Without `levers` and `layers` cases have no what-if and no further pictures."""
        self._uow = uow
        self._explain = explain
        self._levers = levers
        self._layers = layers
        self._folded = folded or Folded()
        self._now = now

    def sign_in(self, name: str) -> str:
        """The reviewer's id; a new reviewer is entered. Raises ConfigError for a bad name."""
        clean = clean_name(name, "your name")
        with self._uow() as uow:
            known = uow.reviewers.by_name(clean)
            reviewer = known or uow.reviewers.get_or_create(clean)
            if known is None:
                uow.audit.append(
                    actor=clean, action="reviewer.signed_in", entity="reviewer",
                    entity_id=reviewer.id,
                )  # fmt: skip
            uow.commit()
        return reviewer.id

    def queue(self, project_id: str, reviewer_id: str) -> tuple[QueueRow, ...]:
        """Every case of the active version in this reviewer's order, as they may see it.

        For scripts; screens read a page at a time (QueueService). Empty before the first version.
        """
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            if version is None:
                return ()
            rules, total = settings_in(uow, project_id), uow.cases.total(version.id)
            found = uow.queue.page(version.id, reviewer_id, limit=total, now=self._now())
            rows = queue_rows(uow, found, reviewer_id, rules, total)
        return tuple(sorted(rows, key=lambda row: row.position))

    def case(self, project_id: str, case_id: str | None, reviewer_id: str) -> CaseView:
        """A case with its cues, explained now if it was not yet.

        Args:
            case_id: None gives the first case without my verdict, else the very first.

        Raises:
            InsightError: the project has no model version or no case yet.
            NotFound: there is no such case in this project.
        """
        with self._uow(read_only=True) as uow:
            found = self._find_case(uow, project_id, case_id, reviewer_id)
            if found.explanation is not None:
                return self._shown(uow, found, reviewer_id)
        self._explain.explain_case(found.id)
        with self._uow(read_only=True) as uow:
            return self._shown(uow, uow.cases.get(found.id), reviewer_id)

    def _shown(self, uow: UnitOfWork, case: CaseRecord, reviewer_id: str) -> CaseView:
        rules = settings_in(uow, case.project_id)
        shown = case_view.build(
            uow, case.id, reviewer_id, rules=rules, levers=self._levers, layers=self._layers,
            folded=self._folded, case=case,
        )  # fmt: skip
        stop = queue_walk.stop(uow, case.id, reviewer_id, rules, self._now())
        place = stop.place
        if shown.hidden & {"prediction", "labels"}:
            place = replace(place, reason="")  # it may speak of either
        return replace(
            shown, position=stop.position, total=place.total, previous_id=stop.previous_id,
            next_id=stop.next_id, place=place,
        )  # fmt: skip

    def give_verdict(
        self,
        *,
        id: str,
        cue_id: str,
        reviewer_id: str,
        value: VerdictValue,
        scope: Scope = "here",
        reason: str | None = None,
        comment: str = "",
        based_on: int,
    ) -> VerdictView:
        """Appends a verdict on a cue.

        Args:
            id: uuid made by the client; the same id with the same content changes nothing.
            based_on: revision of my verdict that stands on the cue, 0 for none.

        Raises:
            StaleWrite: something newer stands. Conflict: the id was used for something else.
            ConfigError: an unknown reason or a comment that is too long.
        """
        text = clean_prose(comment, "the comment")
        with self._uow() as uow:
            known = uow.verdicts.find(id) is not None
            row = uow.verdicts.append(
                id=id, cue_id=cue_id, reviewer_id=reviewer_id, value=value, scope=scope,
                reason=reason, comment=text, based_on=based_on,
            )  # fmt: skip
            rules = settings_in(uow, row.project_id)
            if reason is not None and reason not in rules.reasons:
                words = ", ".join(rules.reasons)
                raise ConfigError(f"the reason must be one of {words}, not {reason!r}")
            if not known:
                review_log.verdict(uow, row)
                queue_walk.renew(uow, row.case_id, reviewer_id, rules, self._now())
            uow.commit()
        return case_view.verdict_view(row)

    def undo(self, reviewer_id: str, project_id: str, id: str) -> UndoneView | None:
        """Takes back my latest act that is not taken back yet; None when none is left.

        An act is a verdict, a word on a case, a drawing or the erasing of one. What stood before
        it is restored. Called again with a new id it goes one further back; called again with the
        same id it changes nothing. An undo itself is never undone.
        """
        with self._uow() as uow:
            known = review_log.is_known(uow, id)
            act = uow.undo.undo(id=id, reviewer_id=reviewer_id, project_id=project_id)
            if act is not None and not known:
                review_log.undone(uow, act)
            uow.commit()
        if act is None:
            return None
        return UndoneView(act.id, act.kind, act.case_id, act.cue_id, act.value or "")

    def assess(
        self,
        *,
        id: str,
        case_id: str,
        reviewer_id: str,
        agree: bool | None,
        corrected_label: str | None,
        comment: str,
        based_on: int,
        ratings: Mapping[str, int] | Sequence[tuple[str, int]] = (),
    ) -> AssessmentView:
        """Appends a word on the whole case; same rules as `give_verdict`.

        Args:
            corrected_label: the right class where I disagree; my own label while the prediction
                is hidden from me.
            ratings: criterion key -> 1 to 5.

        Raises ConfigError for a label that is not a class of the version, a rating by no
        criterion of the project, or agreement with a prediction that is hidden.
        """
        text = clean_prose(comment, "the comment")
        with self._uow() as uow:
            case = uow.cases.get(case_id)
            _check_label(corrected_label, uow.versions.get(case.version_id).classes)
            rules = settings_in(uow, case.project_id)
            points = _ratings(ratings, rules)
            before = _before(uow, id, case_id, reviewer_id)
            blind = _is_blind(before, rules)
            if blind and "prediction" in rules.blind and agree is not None:
                raise ConfigError(
                    "the prediction is hidden: give your own label first, then it is shown"
                )
            known = uow.assessments.find(id) is not None
            row = uow.assessments.append(
                id=id, case_id=case_id, reviewer_id=reviewer_id, agree=agree,
                corrected_label=corrected_label, ratings=points, comment=text,
                based_on=based_on, blind=blind,
            )  # fmt: skip
            if not known:
                review_log.assessment(uow, row)
                queue_walk.renew(uow, case_id, reviewer_id, rules, self._now())
            uow.commit()
        return case_view.assessment_view(row)

    def draw(
        self,
        *,
        id: str,
        case_id: str,
        reviewer_id: str,
        cue_id: str | None,
        kind: DrawingKind,
        shape: Shape,
        points: Sequence[Sequence[float]],
        note: str = "",
    ) -> DrawingView:
        """Keeps a place drawn on the image; a repeat with the same id changes nothing.

        Args:
            points: (x, y) in fractions of the image: two corners of a box, or a lasso.

        Raises InvalidValue for impossible points, Conflict for an id used otherwise.
        """
        text = clean_prose(note, "the note")
        with self._uow() as uow:
            known = uow.drawings.find(id) is not None
            row = uow.drawings.draw(
                id=id, case_id=case_id, reviewer_id=reviewer_id, kind=kind, shape=shape,
                points=points, note=text, cue_id=cue_id,
            )  # fmt: skip
            if not known:
                review_log.drawing(uow, row, "drawing.made")
                rules = settings_in(uow, row.project_id)
                queue_walk.renew(uow, case_id, reviewer_id, rules, self._now())
            uow.commit()
        return case_view.drawing_view(row)

    def erase(self, *, id: str, drawing_id: str, reviewer_id: str) -> None:
        """Takes a drawing of mine away; it stays in the history and undo brings it back.

        Raises NotFound, InvalidValue for somebody else's, Conflict where it is gone already.
        """
        with self._uow() as uow:
            known = uow.drawings.find(id) is not None
            row = uow.drawings.erase(id=id, drawing_id=drawing_id, reviewer_id=reviewer_id)
            if not known:
                review_log.drawing(uow, row, "drawing.erased")
            uow.commit()

    def note(
        self,
        *,
        id: str,
        case_id: str,
        reviewer_id: str,
        kind: NoteKind,
        text: str,
        payload: Mapping[str, Any] | None = None,
    ) -> NoteView:
        """Keeps a remark on a case, with what was set when it was made (a what-if's sliders).

        Raises ConfigError for an empty note without payload or one that is too long.
        """
        clean = clean_prose(text, "the note")
        if not clean and not payload:
            raise ConfigError("the note is empty")
        with self._uow() as uow:
            case = uow.cases.get(case_id)
            known = any(row.id == id for row in uow.notes.of_case(case_id))
            row = uow.notes.add(
                id=id, project_id=case.project_id, reviewer_id=reviewer_id, kind=kind,
                text=clean, payload=dict(payload or {}), case_id=case_id,
            )  # fmt: skip
            if not known:
                review_log.note(uow, row)
            uow.commit()
        return case_view.note_view(row)

    def image_bytes(self, image_id: str, max_side: int = 1024) -> tuple[bytes, str]:
        """The image fitted into max_side x max_side pixels, with its MIME type.

        A JPEG file comes back as JPEG (it has no exact pixels to lose), anything else as PNG.
        The file is read with the same guards as on ingest, and must still be the same picture:
        nobody judges one that was exchanged.

        Raises InputError when the file has gone, was altered or lies outside its project.
        """
        from core.images import jpeg_bytes, png_bytes, thumbnail

        with self._uow(read_only=True) as uow:
            image = uow.images.get(image_id)
            root = Path(uow.projects.get(image.project_id).root)
        small = thumbnail(read_verified(root, image), max(16, min(max_side, 4096)))
        if Path(image.relpath).suffix.lower() in JPEG_SUFFIXES:
            return jpeg_bytes(small), "image/jpeg"
        return png_bytes(small), "image/png"

    def image_record(self, image_id: str) -> ImageRecord:
        """What the store knows of an image. Raises NotFound."""
        with self._uow(read_only=True) as uow:
            return uow.images.get(image_id)

    def _find_case(
        self, uow: UnitOfWork, project_id: str, case_id: str | None, reviewer_id: str
    ) -> CaseRecord:
        found = uow.cases.get(case_id or self._first_case(uow, project_id, reviewer_id))
        if found.project_id != project_id:
            raise NotFound("case", found.id)
        return found

    def _first_case(self, uow: UnitOfWork, project_id: str, reviewer_id: str) -> str:
        version = uow.versions.active(project_id)
        if version is None:
            raise InsightError(
                "this project has no model version yet; discover its concepts first "
                "(insight discover --project NAME)"
            )
        rules = settings_in(uow, project_id)
        first = queue_walk.first(uow, version.id, reviewer_id, rules, self._now())
        if first is None:
            raise InsightError("this project has no cases yet; ingest images first")
        return first


def _check_label(label: str | None, classes: Sequence[str]) -> None:
    if label is not None and label not in classes:
        raise ConfigError(f"{label!r} is not a class; choose one of {', '.join(classes)}")


def _ratings(
    given: Mapping[str, int] | Sequence[tuple[str, int]], rules: ProjectSettings
) -> dict[str, int]:
    """Ratings by criterion, in the order of the criteria."""
    points = dict(given)
    keys = [each.key for each in rules.criteria]
    strange = sorted(set(points) - set(keys))
    if strange:
        raise ConfigError(f"{strange[0]!r} is no criterion of this project ({', '.join(keys)})")
    bad = next((key for key, value in points.items() if value not in POINTS), None)
    if bad is not None:
        raise ConfigError(f"a rating is 1 to 5; {bad} has {points[bad]!r}")
    return {key: int(points[key]) for key in keys if key in points}


def _before(uow: UnitOfWork, id: str, case_id: str, reviewer_id: str) -> tuple[AssessmentView, ...]:
    """My words on a case before the event of that id, so that a repeat sees what it saw."""
    found = []
    for row in uow.assessments.history(case_id, reviewer_id):
        if row.id == id:
            break
        found.append(case_view.assessment_view(row))
    return tuple(found)


def _is_blind(before: Sequence[AssessmentView], rules: ProjectSettings) -> bool:
    """Whether something of the case was hidden and never shown yet."""
    return bool(rules.blind) and not any(map(blinding.word_is_in, before))
