"""Collections of pinned cases: for teaching newcomers, and for gathering evidence of a hypothesis.

A pin keeps the case as it was (study_freeze); taking it out is a row of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol
from uuid import UUID, uuid5

from core.errors import ConfigError
from dashboard.services.names import clean_name
from dashboard.services.narrating import renarrate
from dashboard.services.project_settings import ProjectSettings
from dashboard.services.prose import clean_prose
from dashboard.services.study_freeze import freeze, thaw, veiled
from dashboard.viewmodels.studies import CollectionKind, CollectionView, PinView, StudyView
from db.desk_records import CollectionRecord, PinRecord
from db.errors import NotFound
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

MAX_TITLE = 120  # characters


class Rules(Protocol):
    """What is needed of the project settings' service."""

    def of(self, project_id: str) -> ProjectSettings:
        """The rules that stand."""

    def require(self, project_id: str, reviewer_id: str, role: str) -> None:
        """Raises Forbidden where the reviewer has no such role."""


class CaseExplainer(Protocol):
    """What is needed of ExplainService."""

    def explain_case(self, case_id: str) -> None:
        """Persists the cues of a case once; a second call changes nothing."""


class StudyService:
    """Collections, pins and what stands in them."""

    def __init__(self, uow: UnitOfWorkFactory, roles: Rules, explain: CaseExplainer) -> None:
        self._uow, self._roles, self._explain = uow, roles, explain

    def collections(
        self, project_id: str, kind: CollectionKind | None = None
    ) -> tuple[CollectionView, ...]:
        """The project's collections, newest first."""
        with self._uow(read_only=True) as uow:
            rows = uow.studies.list(project_id, kind)
        return tuple(collection_view(row) for row in sorted(rows, key=lambda row: -row.seq))

    def study(
        self, project_id: str, collection_id: str, reviewer_id: str | None = None
    ) -> StudyView:
        """A collection with its pins, oldest first. Raises NotFound.

        Args:
            reviewer_id: who looks. In a blind project the cases on which their own word is not
                in yet come without what is hidden. None shows all (for programs).
        """
        with self._uow(read_only=True) as uow:
            collection = collection_of(uow, project_id, collection_id)
            rows = uow.studies.pins(collection_id)
            pins = tuple(map(thaw, rows))
            knows = True
            if reviewer_id is not None:
                blind = self._roles.of(project_id).blind
                pins = tuple(veiled(pin, hidden_of(uow, pin, reviewer_id, blind)) for pin in pins)
                knows = _knows(uow, collection, rows, reviewer_id)
        return StudyView(collection_view(collection), pins, knows)

    def create(
        self,
        *,
        id: str,
        project_id: str,
        reviewer_id: str,
        title: str,
        about: str = "",
        kind: CollectionKind = "study",
    ) -> CollectionView:
        """Makes a collection. Raises ConfigError for a title that is empty, long or taken."""
        with self._uow() as uow:
            row = _create(uow, id, project_id, reviewer_id, title, about, kind)
            uow.commit()
        return collection_view(row)

    def pin(
        self,
        *,
        id: str,
        collection_id: str | None = None,
        title: str = "",
        case_id: str,
        reviewer_id: str,
        note: str = "",
        kind: CollectionKind = "study",
    ) -> PinView:
        """Pins a case with its explanation, verdicts and a note; the same id again is harmless.

        Args:
            collection_id: None takes the collection of that title and kind, made if need be.

        Raises ConfigError where the case is in the collection already, NotFound.
        """
        text = clean_prose(note, "the note")
        with self._uow(read_only=True) as uow:
            explained = uow.cases.get(case_id).explanation is not None
        if not explained:
            self._explain.explain_case(case_id)
        with self._uow() as uow:
            case = uow.cases.get(case_id)
            known = _known_pin(uow, id)
            if known is None:
                to = collection_id or _by_title(uow, id, case.project_id, reviewer_id, title, kind)
                collection_of(uow, case.project_id, to)
                if any(pin.case_id == case_id for pin in uow.studies.pins(to)):
                    raise ConfigError("this case is in that collection already")
                known = _pin(uow, id, to, case_id, reviewer_id, text)
            uow.commit()
        return thaw(known)

    def unpin(self, *, id: str, project_id: str, pin_id: str, reviewer_id: str) -> None:
        """Takes a pin out; one's own, or as annotator anyone's. Raises Forbidden, NotFound."""
        with self._uow(read_only=True) as uow:
            pin = uow.studies.pin_of(pin_id)
        if pin.project_id != project_id:
            raise NotFound("pin", pin_id)
        if pin.reviewer_id != reviewer_id:
            self._roles.require(project_id, reviewer_id, "annotator")
        with self._uow() as uow:
            before = {each.id for each in uow.studies.pins(pin.collection_id)}
            row = uow.studies.unpin(id=id, pin_id=pin_id, reviewer_id=reviewer_id)
            if pin_id in before:
                uow.audit.append(
                    actor=row.reviewer, action="study.unpinned", entity="collection",
                    entity_id=pin.collection_id, detail={"pin": pin_id, "case": pin.case_id},
                    project_id=project_id,
                )  # fmt: skip
            uow.commit()


def hidden_of(
    uow: UnitOfWork, pin: PinView, reviewer_id: str, blind: Iterable[str]
) -> frozenset[str]:
    """What the project hides of a pinned case from this reviewer at this moment."""
    blind = frozenset(blind)
    if not blind:
        return blind
    word = uow.assessments.standing(pin.case_id, reviewer_id)
    said = word is not None and (word.agree is not None or word.corrected_label is not None)
    return frozenset() if said else blind


def _knows(
    uow: UnitOfWork, collection: CollectionRecord, pins: Sequence[PinRecord], reviewer_id: str
) -> bool:
    """Whether looking spoils nothing: no case study, or pinned or trained with by this person."""
    if collection.kind != "study" or any(pin.reviewer_id == reviewer_id for pin in pins):
        return True
    answered = {row.pin_id for row in uow.studies.answers(collection.id, reviewer_id)}
    return bool(pins) and answered >= {pin.id for pin in pins}


def collection_view(row: CollectionRecord) -> CollectionView:
    """A collection as shown."""
    return CollectionView(
        row.id, row.title, row.about, row.kind, row.pins, row.reviewer, row.created_at
    )


def collection_of(uow: UnitOfWork, project_id: str, collection_id: str) -> CollectionRecord:
    """The collection, if it is the project's; else NotFound."""
    row = uow.studies.get(collection_id)
    if row.project_id != project_id:
        raise NotFound("collection", collection_id)
    return row


def _create(
    uow: UnitOfWork, id: str, project_id: str, reviewer_id: str, title: str, about: str,
    kind: CollectionKind,
) -> CollectionRecord:  # fmt: skip
    clean = clean_name(title, "the title", limit=MAX_TITLE)
    text = clean_prose(about, "the description")
    same = _titled(uow, project_id, clean, kind)
    if same is not None and same.id != id:
        raise ConfigError(f"there is a collection called {same.title!r} already")
    row = uow.studies.create(
        id=id, project_id=project_id, reviewer_id=reviewer_id, title=clean, about=text, kind=kind
    )
    if same is None:
        uow.audit.append(
            actor=row.reviewer, action="collection.made", entity="collection", entity_id=row.id,
            detail={"title": clean, "kind": kind}, project_id=project_id,
        )  # fmt: skip
    return row


def _by_title(
    uow: UnitOfWork, pin_id: str, project_id: str, reviewer_id: str, title: str,
    kind: CollectionKind,
) -> str:  # fmt: skip
    clean = clean_name(title, "the title", limit=MAX_TITLE)
    same = _titled(uow, project_id, clean, kind)
    if same is not None:
        return same.id
    # A repeat of the same pin makes no second collection.
    made = str(uuid5(UUID(pin_id), "collection"))
    return _create(uow, made, project_id, reviewer_id, clean, "", kind).id


def _titled(
    uow: UnitOfWork, project_id: str, title: str, kind: CollectionKind
) -> CollectionRecord | None:
    wanted = title.casefold()
    rows = uow.studies.list(project_id, kind)
    return next((row for row in rows if row.title.casefold() == wanted), None)


def _known_pin(uow: UnitOfWork, pin_id: str) -> PinRecord | None:
    try:
        return uow.studies.pin_of(pin_id)
    except NotFound:
        return None


def _pin(
    uow: UnitOfWork, id: str, collection_id: str, case_id: str, reviewer_id: str, note: str
) -> PinRecord:
    case = uow.cases.get(case_id)
    version = uow.versions.get(case.version_id)
    cues = uow.cues.list(case_id)
    names = uow.concepts.names(case.project_id, version.dictionary_hash)
    latest = {each.reviewer_id: each for each in uow.assessments.history(case_id)}
    row = uow.studies.pin(
        id=id, collection_id=collection_id, case_id=case_id, reviewer_id=reviewer_id, note=note,
        frozen=freeze(
            case, version, cues, narrative=renarrate(case, cues, names),
            verdicts=uow.verdicts.standing_of_case(case_id), assessments=latest.values(),
            decided=_decided(uow, [case_id, *(cue.id for cue in cues)]),
        ),
    )  # fmt: skip
    uow.audit.append(
        actor=row.reviewer, action="study.pinned", entity="collection", entity_id=collection_id,
        detail={"pin": row.id, "case": case_id}, project_id=case.project_id,
    )  # fmt: skip
    return row


def _decided(uow: UnitOfWork, subject_ids: list[str]) -> dict[str, str]:
    """Adjudications that stand on the case and its cues."""
    found = {}
    for at, subject_id in enumerate(subject_ids):
        history = uow.adjudications.history("cue" if at else "case", subject_id)
        if history and history[-1].value != "withdrawn":
            found[subject_id] = history[-1].value
    return found
