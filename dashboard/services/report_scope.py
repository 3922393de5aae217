"""What a report speaks of: a project, a version, a period, a class, a person, a case, or several.

Without a version named, the model's figures are those of the active version; words count under
every version, because a new version does not undo a review. The cases are then those of the active
version, and after them those of other versions on which somebody's word stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from core.errors import ConfigError, InsightError
from dashboard.services.roles import role_of
from dashboard.services.settings_of import roles_in, settings_in
from db.errors import NotFound
from db.people import person_id, person_key
from db.records import ProjectRecord, ReviewerRecord, VersionRecord
from db.report_records import Selection
from db.repositories.base import checked_id
from db.unit_of_work import UnitOfWork

PAGE = 100  # cases
_HASH = re.compile(r"[0-9a-f]{4,64}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
LONGEST = 200  # characters of a class or a name in a scope


@dataclass(frozen=True)
class ReportScope:
    """What is reported on. Every field that is set narrows it further.

    version     hash of a model version, or its first characters; None: the active one
    since       first day, UTC
    until       last day, UTC
    class_name  cases that are labelled or decided as this class
    reviewer    name of a person: their words, and the cases they spoke on
    case_id     one case
    """

    version: str | None = None
    since: date | None = None
    until: date | None = None
    class_name: str | None = None
    reviewer: str | None = None
    case_id: str | None = None

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> ReportScope:
        """A scope from text (a link, a schedule, an export's row); empty fields are not set.

        Raises ConfigError for a field that nobody knows or a value that cannot be meant.
        """
        strange = sorted(set(raw) - set(cls.__dataclass_fields__))
        if strange:
            known = ", ".join(cls.__dataclass_fields__)
            raise ConfigError(f"a report has no {strange[0]!r}; it is narrowed by {known}")
        since, until = _day(raw.get("since"), "since"), _day(raw.get("until"), "until")
        if since is not None and until is not None and until < since:
            raise ConfigError(f"the period ends ({until}) before it begins ({since})")
        return cls(
            version=_version(_text(raw.get("version"), "version")),
            since=since,
            until=until,
            class_name=_text(raw.get("class_name"), "class_name"),
            reviewer=_text(raw.get("reviewer"), "reviewer"),
            case_id=_case(_text(raw.get("case_id"), "case_id")),
        )

    def as_dict(self) -> dict[str, str]:
        """The fields that are set, as text; `parse` restores them."""
        return {key: str(value) for key, value in asdict(self).items() if value is not None}

    def sentence(self) -> str:
        """The scope in words.

        >>> ReportScope(class_name="naevus", until=date(2026, 3, 31)).sentence()
        "Cases labelled or decided as 'naevus'; words given until 2026-03-31."
        """
        what = "The whole project"
        if self.case_id is not None:
            what = f"The case {self.case_id}"
        elif self.class_name is not None:
            what = f"Cases labelled or decided as {self.class_name!r}"
        elif self.reviewer is not None or self.since is not None or self.until is not None:
            what = "Cases with a word of the review"
        parts = [what]
        if self.case_id is not None and self.class_name is not None:
            parts.append(f"if labelled or decided as {self.class_name!r}")
        if self.version is not None:
            parts.append(f"model version {self.version[:12]}")
        if self.reviewer is not None:
            parts.append(f"words of {self.reviewer}")
        if self.since is not None or self.until is not None:
            parts.append(f"words given {_period(self.since, self.until)}")
        return "; ".join(parts) + "."


@dataclass(frozen=True)
class Resolved:
    """A scope that was looked up in the store."""

    project: ProjectRecord
    version: VersionRecord | None  # whose decisions are told; None where there is none yet
    scope: ReportScope
    reviewer: ReviewerRecord | None
    selection: Selection

    def case_ids(self, uow: UnitOfWork) -> tuple[str, ...]:
        """Ids of the cases in a stable order: the version's queue, then other versions' cases.

        One query; about 100 bytes a case, whatever the cases hold.
        """
        return uow.report.case_ids(self.selection)

    @property
    def sentence(self) -> str:
        """The scope in words, with the person's name as it stands now."""
        name = self.reviewer.name if self.reviewer else None
        return replace(self.scope, reviewer=name).sentence()

    def as_record(self) -> dict[str, str]:
        """The scope as the store keeps it: a person by id, so that the name can be redacted.

        `ReportScope.parse` takes it back.
        """
        told = self.scope.as_dict()
        return told if self.reviewer is None else {
            **told, "reviewer": person_key(self.reviewer.id)
        }  # fmt: skip

    def pages(self, uow: UnitOfWork, size: int = PAGE) -> Iterator[tuple[str, ...]]:
        """The same ids, `size` at a time: read the cases themselves page by page."""
        ids = self.case_ids(uow)
        for start in range(0, len(ids), size):
            yield ids[start : start + size]


def resolve(
    uow: UnitOfWork, project: str, scope: ReportScope, *, only: ReviewerRecord | None = None
) -> Resolved:
    """Look a scope up.

    Args:
        project: id or name.
        only: narrow further to this person's words, on cases where their word on the whole case is
            in (a review that is still blind for them).

    Raises NotFound for an unknown project, version, person or case; ConfigError for a class that
    the project does not have, or a version prefix that fits several; Forbidden is not raised here.
    """
    found = uow.projects.find(project)
    version = _found_version(uow, found, scope)
    reviewer = _found_reviewer(uow, scope)
    if scope.class_name is not None and scope.class_name not in found.classes:
        raise ConfigError(
            f"{scope.class_name!r} is not a class of {found.name!r}: "
            f"choose one of {', '.join(found.classes)}"
        )
    if only is not None:
        if reviewer is not None and reviewer.id != only.id:
            raise InsightError(
                "this project is reviewed blind: until the review is closed you can report on your "
                "own words alone"
            )
        reviewer = only
    case = _found_case(uow, found, scope)
    if case is not None and scope.version is None and version is not None:
        version = uow.versions.get(case)  # a case has its own version
    return Resolved(found, version, scope, reviewer, Selection(
        project_id=found.id,
        version_id=version.id if version and (scope.version or case) else None,
        decides_id=version.id if version else None,
        since=_start(scope.since),
        until=_start(scope.until + timedelta(days=1)) if scope.until else None,
        class_name=scope.class_name,
        reviewer_id=reviewer.id if reviewer else None,
        case_id=scope.case_id,
        committed=only is not None,
    ))  # fmt: skip


def only_for(uow: UnitOfWork, project: str, person: ReviewerRecord | None) -> ReviewerRecord | None:
    """The person whose words alone may be told, or None: everybody's.

    Where a review is blind, only leads (and the program itself) see others' words in a report;
    whoever else asks gets their own, on the cases where their word on the whole case is in.

    Args:
        project: id or name.
        person: who asks; None: the program, by a schedule that a lead made.
    """
    if person is None:
        return None
    project_id = uow.projects.find(project).id
    role = role_of(person.id, roles_in(uow, project_id))
    return None if role == "lead" or not settings_in(uow, project_id).blind else person


def _found_version(
    uow: UnitOfWork, project: ProjectRecord, scope: ReportScope
) -> VersionRecord | None:
    if scope.version is None:
        return uow.versions.active(project.id)
    fits = [v for v in uow.versions.list(project.id) if v.hash.startswith(scope.version)]
    if not fits:
        raise NotFound(f"model version of {project.name!r} with hash", scope.version)
    if len(fits) > 1:
        raise ConfigError(
            f"{scope.version!r} fits {len(fits)} model versions: give more characters"
        )
    return fits[0]


def _found_reviewer(uow: UnitOfWork, scope: ReportScope) -> ReviewerRecord | None:
    if scope.reviewer is None:
        return None
    known = person_id(scope.reviewer)
    if known is not None:
        return uow.reviewers.get(known)
    reviewer = uow.reviewers.by_name(scope.reviewer)
    if reviewer is None:
        raise NotFound("reviewer", scope.reviewer)
    return reviewer


def _found_case(uow: UnitOfWork, project: ProjectRecord, scope: ReportScope) -> str | None:
    """The version of the case asked for, if one was."""
    if scope.case_id is None:
        return None
    case = uow.cases.get(scope.case_id)
    if case.project_id != project.id:
        raise NotFound(f"case of {project.name!r} with id", scope.case_id)
    return case.version_id


def _text(value: Any, name: str) -> str | None:
    if value is None:
        return None
    text = str(value).strip()
    if len(text) > LONGEST or any(ord(c) < 32 for c in text):
        raise ConfigError(f"{name} of a report: at most {LONGEST} characters of plain text")
    return text or None


def _version(text: str | None) -> str | None:
    if text is not None and not _HASH.fullmatch(text):
        raise ConfigError(
            f"version of a report: the first 4 or more characters of its hash, not {text!r}"
        )
    return text


def _case(text: str | None) -> str | None:
    return None if text is None else checked_id(text)


def _day(value: Any, name: str) -> date | None:
    if value is None or value == "":
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        if not _DAY.fullmatch(str(value)):
            raise ValueError
        day = date.fromisoformat(str(value))
    except ValueError:
        raise ConfigError(f"{name} of a report: a day as 2026-03-31, not {value!r}") from None
    if day == date.max:
        raise ConfigError(f"{name} of a report: {day} is out of range")
    return day


def _start(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


def _period(since: date | None, until: date | None) -> str:
    if since is None:
        return f"until {until}"
    return f"since {since}" if until is None else f"from {since} to {until}"
