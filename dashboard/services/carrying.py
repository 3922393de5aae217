"""Names that people gave, carried to the concepts of a dictionary that is discovered again.

A name is carried as one more event of the matched concept's append-only history: by the person who
gave it, with the former version and the match score as its reason. Its id follows from the concept
and the event that it repeats, so carrying again writes nothing. A name that a person gave to the
concept itself is never overwritten, and what could not be carried is listed with the reason.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, assert_never

from core.errors import BundleError
from dashboard.services.tuned_matches import matches_of
from db.errors import StaleWrite
from db.records import NameRecord, VersionRecord
from db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.artifacts import ModelBundle
    from core.name_matching import ConceptMatch, MatchConfig, Missed

ACTION = "names.carried"  # of the audit row
_SPACE = uuid.UUID("6f1d3c52-3a53-5d0e-9c7e-2f3b5a8d4e10")  # of the ids of carried names
_SHORT = 8  # characters of a version's hash in a reason


@dataclass(frozen=True)
class CarriedName:
    """A person's name that stands on a matched concept."""

    concept: int  # number in the new dictionary
    name: str
    reviewer: str | None
    score: float  # cosine of the two decoder directions
    from_version: str  # hash
    from_concept: int


@dataclass(frozen=True)
class LostName:
    """A person's name that stays behind on its former concept."""

    name: str
    reviewer: str | None
    from_version: str  # hash
    from_concept: int
    score: float | None  # best cosine found; None where nothing could be compared
    why: str  # plain words


@dataclass(frozen=True)
class NamesKept:
    """What became of the names that people gave on former dictionaries."""

    carried: tuple[CarriedName, ...] = ()
    lost: tuple[LostName, ...] = ()


@dataclass(frozen=True)
class Former:
    """An earlier dictionary of the project and how its concepts match, or why they cannot."""

    version: VersionRecord
    matches: Mapping[int, ConceptMatch]  # by old number; empty where `refused`
    refused: str = ""


class Bundles(Protocol):
    """What is needed of Engines."""

    def bundle(self, folder: str) -> ModelBundle:
        """The model version in a folder. Raises BundleError."""


def match_former(
    uow: UnitOfWork,
    engines: Bundles,
    project_id: str,
    bundle: ModelBundle,
    alive_N: NDArray[np.bool_],
    config: MatchConfig | None = None,
) -> tuple[Former, ...]:
    """Match a bundle's concepts with those of earlier dictionaries on which people named some.

    Reads only; the slow part of carrying, to be done before the transaction that writes.

    Args:
        alive_N: False for new concepts that fire in no image of the project.
        config: thresholds; None takes those of core.name_matching.

    Returns:
        Newest dictionary first. One of another encoder or dimension, or one whose files are
        damaged or gone, comes with the reason and without matches.
    """
    earlier = named_before(uow, project_id, bundle.manifest.dictionary_hash)
    return tuple(_match(uow, engines, each, bundle, alive_N, config) for each in earlier)


def named_before(uow: UnitOfWork, project_id: str, dictionary: str) -> list[VersionRecord]:
    """The newest version of each earlier dictionary on which a person's name stands."""
    return [
        version
        for version in _earlier(uow.versions.list(project_id), dictionary)
        if uow.concepts.names(project_id, version.dictionary_hash, person_only=True)
    ]


def _earlier(versions: Sequence[VersionRecord], dictionary: str) -> list[VersionRecord]:
    """The newest version of each dictionary that is older than this one, newest first."""
    newest: dict[str, VersionRecord] = {}
    first: dict[str, VersionRecord] = {}
    for version in versions:  # newest first
        newest.setdefault(version.dictionary_hash, version)
        first[version.dictionary_hash] = version
    known = first.get(dictionary)
    older = [
        hash
        for hash, version in first.items()
        if hash != dictionary and (known is None or version.created_at < known.created_at)
    ]
    return [newest[h] for h in sorted(older, key=lambda h: first[h].created_at, reverse=True)]


def _match(
    uow: UnitOfWork,
    engines: Bundles,
    version: VersionRecord,
    bundle: ModelBundle,
    alive_N: NDArray[np.bool_],
    config: MatchConfig | None,
) -> Former:
    import numpy as np

    from core.name_matching import Directions, match_concepts

    info = bundle.manifest.encoder
    if version.encoder_hash != info.hash:
        parent = uow.versions.by_hash(version.project_id, bundle.manifest.parent or "")
        tuned = matches_of(bundle)
        if tuned is None or parent is None or parent.dictionary_hash != version.dictionary_hash:
            return Former(version, {}, "its version was made with another encoder")
        return Former(version, tuned)
    try:
        old = engines.bundle(version.folder)
    except BundleError as error:
        return Former(version, {}, f"its version cannot be read ({error})")
    if old.sae.d != bundle.sae.d:
        return Former(version, {}, "its version has another dimension")
    stored = uow.concepts.by_number(version.project_id, version.dictionary_hash)
    fires_O = np.array([k in stored and stored[k].frequency > 0 for k in range(old.sae.n)])
    found = match_concepts(
        Directions(old.sae.decoder_ND.numpy(), version.encoder_hash, fires_O),
        Directions(bundle.sae.decoder_ND.numpy(), info.hash, alive_N),
        config=config,
    )
    return Former(version, {match.old: match for match in found})


def carry(uow: UnitOfWork, version: VersionRecord, former: Sequence[Former]) -> NamesKept:
    """Append the names of matched concepts and the audit row, within an open transaction.

    Args:
        version: registered, its concepts stored.
        former: of `match_former`.

    Returns:
        Every name that came to the new dictionary, now or before, and every one that did not.
    """
    histories = [
        uow.concepts.name_events(f.version.project_id, f.version.dictionary_hash) for f in former
    ]
    winners, lost = _decide(_sources(former, histories))
    known = {event.id for each in histories for events in each.values() for event in events}
    target = _Target(uow, version, known)
    carried: list[CarriedName] = []
    for concept, source in winners.items():
        hindrance = target.take(concept, source)
        if hindrance is None:
            carried.append(source.carried(concept))
        else:
            lost.append(source.lost(hindrance))
    kept = NamesKept(tuple(carried), tuple(lost))
    _audit(uow, version, kept, wrote=target.wrote)
    return kept


@dataclass(frozen=True)
class _Source:
    """A person's name that stands on a concept of a former dictionary."""

    event: NameRecord
    origin: NameRecord  # the event by which a person gave the name, where this one was carried
    former: Former
    age: int  # of the dictionary: 0 = newest
    number: int

    @property
    def match(self) -> ConceptMatch | None:
        return self.former.matches.get(self.number)

    @property
    def target(self) -> int | None:
        """The matched new concept, if any."""
        return None if self.match is None else self.match.new

    @property
    def rank(self) -> tuple[Any, ...]:
        """The last word a person gave comes first; then what was seen last."""
        return -self.origin.created_at.timestamp(), self.age, self.number

    @property
    def score(self) -> float | None:
        return None if self.match is None else self.match.score

    def carried(self, concept: int) -> CarriedName:
        return CarriedName(
            concept, self.event.name, self.event.reviewer, self.score or 0.0,
            self.former.version.hash, self.number,
        )  # fmt: skip

    def lost(self, why: str) -> LostName:
        return LostName(
            self.event.name, self.event.reviewer, self.former.version.hash, self.number,
            self.score, why,
        )  # fmt: skip

    def missed(self) -> str:
        """Why there is no match."""
        if self.match is None or self.match.missed is None:
            return self.former.refused or "it was not compared"
        return _words(self.match.missed)


def _words(missed: Missed) -> str:
    match missed:
        case "weak":
            return "no new concept is similar enough"
        case "ambiguous":
            return "two concepts are about as similar"
        case "taken":
            return "the similar new concepts match other concepts better"
        case _:
            assert_never(missed)


def _sources(
    former: Sequence[Former], histories: Sequence[Mapping[int, Sequence[NameRecord]]]
) -> list[_Source]:
    """The names that stand on former dictionaries, less those that a person replaced later."""
    repeats = _repeats([tuple(events) for each in histories for events in each.values()])
    standing = [
        _Source(events[-1], _origin(events[-1], repeats), former[age], age, number)
        for age, each in enumerate(histories)
        for number, events in each.items()
        if events[-1].source == "person"
    ]
    overruled = _overruled(histories, repeats)
    return [source for source in standing if source.event.id not in overruled]


def _repeats(histories: Sequence[Sequence[NameRecord]]) -> dict[str, NameRecord]:
    """Id of a carried event -> the event that it repeats."""
    events = {event.id: event for history in histories for event in history}
    return {
        repeat: event
        for concept in {event.concept_id for event in events.values()}
        for event in events.values()
        if (repeat := carried_id(concept, event.id)) in events
    }


def _origin(event: NameRecord, repeats: Mapping[str, NameRecord]) -> NameRecord:
    while event.id in repeats:
        event = repeats[event.id]
    return event


def _overruled(
    histories: Iterable[Mapping[int, Sequence[NameRecord]]], repeats: Mapping[str, NameRecord]
) -> set[str]:
    """Events that were carried to a concept on which another name stands now."""
    return {
        repeats[event.id].id
        for each in histories
        for events in each.values()
        for event in events[:-1]
        if event.id in repeats
    }


def _decide(sources: Iterable[_Source]) -> tuple[dict[int, _Source], list[LostName]]:
    """New concept -> the name that it is to get, and the names that are lost.

    Names of one lineage (given on one concept, perhaps carried since) count as one; where two
    lineages meet in one new concept, the name given last goes on.
    """
    lineages: dict[str, list[_Source]] = {}
    for source in sorted(sources, key=lambda s: s.rank):
        lineages.setdefault(source.origin.concept_id, []).append(source)
    winners: dict[int, _Source] = {}
    lost = []
    for kin in lineages.values():
        best = next((source for source in kin if source.target is not None), None)
        if best is None:
            nearest = max(kin, key=lambda s: -2.0 if s.score is None else s.score)
            lost.append(nearest.lost(nearest.missed()))
        elif best.target in winners:
            lost.append(best.lost("a later name was carried to the concept that it matches"))
        elif best.target is not None:
            winners[best.target] = best
    return winners, lost


def carried_id(concept_id: str, event_id: str) -> str:
    """The id of the event by which a concept gets the name of another event."""
    return str(uuid.uuid5(_SPACE, f"{concept_id}/{event_id}"))


class _Target:
    """The concepts of the new dictionary, which get names."""

    def __init__(self, uow: UnitOfWork, version: VersionRecord, former_events: Set[str]) -> None:
        where = version.project_id, version.dictionary_hash
        self._uow = uow
        self._former_events = former_events
        self._ids = uow.concepts.ids(*where)
        self._events = uow.concepts.name_events(*where)
        self.wrote = 0

    def take(self, number: int, source: _Source) -> str | None:
        """Append the name unless it came before; else say what stands against it."""
        concept_id, events = self._ids[number], self._events.get(number, ())
        own = carried_id(concept_id, source.event.id)
        if {own, carried_id(concept_id, source.origin.id)} & {event.id for event in events}:
            return None
        last = events[-1] if events else None
        if last is not None and not self._may_replace(last):
            return f"{last.reviewer or 'somebody'} named concept {number} {last.name!r}"
        try:
            self._uow.concepts.add_name(
                id=own, concept_id=concept_id, name=source.event.name,
                based_on=last.revision if last else 0, source="person",
                reviewer_id=source.event.reviewer_id, reason=_reason(source),
            )  # fmt: skip
        except StaleWrite:
            return f"somebody is naming concept {number} at this moment"
        self.wrote += 1
        return None

    def _may_replace(self, event: NameRecord) -> bool:
        """Whether a name is the model's or was carried, and so is no person's word on this one."""
        repeats = (carried_id(event.concept_id, known) for known in self._former_events)
        return event.source == "model" or event.id in repeats


def _reason(source: _Source) -> str:
    version = source.former.version.hash[:_SHORT]
    own = f": {source.origin.reason}" if source.origin.reason else ""
    return f"carried over from version {version}, match {source.score or 0.0:.2f}{own}"


def _audit(uow: UnitOfWork, version: VersionRecord, kept: NamesKept, *, wrote: int) -> None:
    """One row per registration that changed something, or that lost names and is the first."""
    said = uow.audit.list(entity="version", entity_id=version.id, limit=1000)
    first = not any(row.action == ACTION for row in said)
    if wrote or (first and kept.lost):
        uow.audit.append(
            actor="engine", action=ACTION, entity="version", entity_id=version.id,
            detail=asdict(kept), project_id=version.project_id,
        )  # fmt: skip
