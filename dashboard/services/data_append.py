"""Words that were looked up are appended, each as its own table wants it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import ConfigError
from dashboard.services.data_find import Placed
from dashboard.services.data_words import Word
from db.records import utc_now
from db.repositories.word_reads import Stood
from db.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Standing:
    """What stands of the things that some words speak of, by the same people."""

    project_id: str
    people: Mapping[str, str]  # name -> id
    cues: Mapping[tuple[str, int], str]
    latest: dict[tuple[str, str], Stood]  # thing, person -> the latest word


Append = Callable[[UnitOfWork, Placed, Standing], None]


def append_all(uow: UnitOfWork, project_id: str, table: str, placed: Sequence[Placed]) -> int:
    """Append words of one table in this transaction and say how many.

    Raises ConfigError for a word that is not to be appended, StoreError for one that the store
    refuses: nothing of the transaction is then to be kept.
    """
    names = sorted({each.word.reviewer for each in placed})
    people = {name: uow.reviewers.get_or_create(name).id for name in names}
    cases = {each.case.case_id for each in placed if each.case is not None}
    cues = uow.words.cues(cases) if table in ("verdicts", "drawings") else {}
    stands = Standing(project_id, people, cues, {})
    stands.latest.update(_LATEST[table](uow, placed, stands))
    for each in placed:
        _APPEND[table](uow, each, stands)
    return len(placed)


def _based_on(stands: Standing, thing: str, word: Word, said: str) -> int:
    """The revision that the word follows; it then stands itself.

    Raises ConfigError where the same person said something later.
    """
    person = stands.people[word.reviewer] if word.table != "names" else ""
    stood = stands.latest.get((thing, person))
    at = word.given_at
    if stood is not None and at is not None and stood.created_at > at:
        raise ConfigError(f"a later {said} stands here: this one is not put over it")
    revision = 0 if stood is None else stood.revision
    stands.latest[thing, person] = Stood(revision + 1, at or utc_now())
    return revision


def _key(each: Placed, stands: Standing) -> dict[str, Any]:
    word = each.word
    return {
        "id": word.id, "reviewer_id": stands.people[word.reviewer], "created_at": word.given_at,
    }  # fmt: skip


def _cue(each: Placed, stands: Standing) -> str:
    assert each.case is not None  # a word on a cue names its case: see data_words
    cue = stands.cues.get((each.case.case_id, each.word["concept"]))
    if cue is None:
        number, path = each.word["concept"], each.case.relpath
        raise ConfigError(f"concept {number} is not among the cues of {path!r:.120}")
    return cue


def _verdict(uow: UnitOfWork, each: Placed, stands: Standing) -> None:
    cue, word = _cue(each, stands), each.word
    uow.verdicts.append(
        **_key(each, stands), cue_id=cue, value=word["value"], scope=word["scope"],
        reason=word["reason"], comment=word["comment"],
        based_on=_based_on(stands, cue, word, "verdict of this person on this cue"),
    )  # fmt: skip


def _assessment(uow: UnitOfWork, each: Placed, stands: Standing) -> None:
    assert each.case is not None
    word, case_id = each.word, each.case.case_id
    uow.assessments.append(
        **_key(each, stands), case_id=case_id, agree=word["agree"],
        corrected_label=word["corrected_label"], ratings=word["ratings"], comment=word["comment"],
        blind=word["blind"],
        based_on=_based_on(stands, case_id, word, "assessment of this person of this case"),
    )  # fmt: skip


def _class(uow: UnitOfWork, each: Placed, stands: Standing) -> None:
    word, concept = each.word, each.concept_id
    assert concept is not None
    thing = f"{concept} {word['class_name']}"
    uow.class_verdicts.append(
        **_key(each, stands), concept_id=concept, class_name=word["class_name"],
        value=word["value"], reason=word["reason"], comment=word["comment"],
        based_on=_based_on(stands, thing, word, "word of this person on this class"),
    )  # fmt: skip


def _column(uow: UnitOfWork, each: Placed, stands: Standing) -> None:
    word = each.word
    uow.column_verdicts.append(
        **_key(each, stands), project_id=stands.project_id, column_name=word["column_name"],
        value=word["value"], reason=word["reason"], comment=word["comment"],
        based_on=_based_on(
            stands, word["column_name"], word, "word of this person on this column"
        ),
    )  # fmt: skip


def _name(uow: UnitOfWork, each: Placed, stands: Standing) -> None:
    word, concept = each.word, each.concept_id
    assert concept is not None
    uow.concepts.add_name(
        **_key(each, stands),
        concept_id=concept,
        name=word["name"],
        reason=word["reason"] or "",
        based_on=_based_on(stands, concept, word, "name"),
    )


def _drawing(uow: UnitOfWork, each: Placed, stands: Standing) -> None:
    assert each.case is not None
    word = each.word
    uow.drawings.draw(
        **_key(each, stands), case_id=each.case.case_id, kind=word["kind"], shape=word["shape"],
        points=word["points"], note=word["note"],
        cue_id=_cue(each, stands) if each.concept_id is not None else None,
    )  # fmt: skip


def _note(uow: UnitOfWork, each: Placed, stands: Standing) -> None:
    word = each.word
    uow.notes.add(
        **_key(each, stands), project_id=stands.project_id, kind=word["kind"], text=word["text"],
        payload=word["payload"], case_id=each.case.case_id if each.case else None,
        concept_id=each.concept_id,
    )  # fmt: skip


_APPEND: dict[str, Append] = {
    "verdicts": _verdict, "assessments": _assessment, "class_verdicts": _class,
    "column_verdicts": _column, "names": _name, "drawings": _drawing, "notes": _note,
}  # fmt: skip
Latest = dict[tuple[str, str], Stood]


def _cue_words(uow: UnitOfWork, placed: Sequence[Placed], stands: Standing) -> Latest:
    keys = ((each.case.case_id, each.word["concept"]) for each in placed if each.case)
    return uow.words.latest_verdicts(stands.cues[key] for key in keys if key in stands.cues)


def _case_words(uow: UnitOfWork, placed: Sequence[Placed], stands: Standing) -> Latest:
    return uow.words.latest_assessments(each.case.case_id for each in placed if each.case)


def _class_words(uow: UnitOfWork, placed: Sequence[Placed], stands: Standing) -> Latest:
    return {
        (f"{concept} {name}", person): Stood(word.revision, word.created_at)
        for person in stands.people.values()
        for (concept, name), word in uow.class_verdicts.mine(stands.project_id, person).items()
    }


def _column_words(uow: UnitOfWork, placed: Sequence[Placed], stands: Standing) -> Latest:
    return {
        (column, person): Stood(word.revision, word.created_at)
        for person in stands.people.values()
        for column, word in uow.column_verdicts.mine(stands.project_id, person).items()
    }


def _names(uow: UnitOfWork, placed: Sequence[Placed], stands: Standing) -> Latest:
    found = uow.words.latest_names(each.concept_id for each in placed if each.concept_id)
    return {(concept, ""): stood for concept, stood in found.items()}


def _nothing(uow: UnitOfWork, placed: Sequence[Placed], stands: Standing) -> Latest:
    return {}


_LATEST: dict[str, Callable[[UnitOfWork, Sequence[Placed], Standing], Latest]] = {
    "verdicts": _cue_words, "assessments": _case_words, "class_verdicts": _class_words,
    "column_verdicts": _column_words, "names": _names, "drawings": _nothing, "notes": _nothing,
}  # fmt: skip
