"""Cards about one case: its decision, the cues on a patch, what people said of them."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.services import trace_back, trace_nodes, trace_place
from dashboard.services.case_view import letter
from dashboard.services.trace_eyes import PEERS, Eyes
from dashboard.services.trace_nodes import facts, short
from dashboard.services.trace_place import Place
from dashboard.viewmodels.trace import TraceNode
from db.records import CaseRecord, CueRecord, VersionRecord
from db.unit_of_work import UnitOfWork


def cues(
    uow: UnitOfWork, case: CaseRecord, place: Place, shown: Sequence[CueRecord],
    exact: dict[int, float] | None, eyes: Eyes,
) -> list[TraceNode]:  # fmt: skip
    """The cues on the patch: figure, concept with its names, words, people, versions."""
    words = uow.verdicts.standing_of_case(case.id)
    concepts = uow.concepts.by_ids([cue.concept_id for cue in shown])
    nodes = []
    for cue in shown:
        own = [word for word in words if word.cue_id == cue.id]
        told = eyes.open_words([word.reviewer_id for word in own], case.id)
        heard = []
        for word in own if told else ():
            found = uow.trace.word(word.id)
            used = trace_back.held(uow, case.project_id, word.id)
            heard += [] if found is None else [trace_nodes.word(found, "", used)]
        activation = None if exact is None else exact.get(cue.number, 0.0)
        nodes.append(
            TraceNode(
                "cue", f"Cue {letter(cue.rank)}: {cue.shown_name}", cue.id,
                facts(
                    ("on the overlay here",
                     f"{100 * trace_place.value(cue, place):.0f} % of its peak"),
                    ("in its region", "yes" if trace_place.on_region(cue, place) else "no"),
                    ("activation of this patch",
                     None if activation is None else f"{activation:.4f}"),
                    ("pooled activation", f"{cue.activation:.4f}"),
                    ("contribution", f"{cue.contribution:+.3f} logit"),
                    ("effect of taking it out", f"{cue.causal_effect:+.3f} logit"),
                    ("verdicts", len(own) if told else None),
                ),
                "" if told or not own else PEERS,
                (trace_nodes.concept(uow, concepts[cue.concept_id]), *heard),
            )
        )  # fmt: skip
    return nodes


def beside(
    uow: UnitOfWork, version: VersionRecord, cues: Sequence[CueRecord],
    exact: dict[int, float] | None,
) -> list[TraceNode]:  # fmt: skip
    """Concepts that fire on the patch and are none of the cues shown."""
    if exact is None:
        return [TraceNode("place", "Activations", "", (), trace_place.TOKENS)]
    shown = {cue.number for cue in cues}
    others = [(n, value) for n, value in exact.items() if n not in shown]
    if not others:
        return []
    names = uow.concepts.names(version.project_id, version.dictionary_hash)
    pairs = [(names.get(n, f"concept {n}"), f"{value:.4f}") for n, value in others]
    return [
        TraceNode(
            "place", "Further concepts that fire on this patch", "",
            facts(*pairs[: trace_place.ALSO]), "", (),
            max(0, len(pairs) - trace_place.ALSO),
        )
    ]  # fmt: skip


def decision(case: CaseRecord, version: VersionRecord) -> TraceNode:
    return TraceNode(
        "case", f"Decision: {case.prediction}", case.id,
        facts(
            ("confidence", f"{100 * case.confidence:.1f} %"),
            ("logit", f"{case.logit:.3f}"), ("label", case.image.label),
            ("by version", short(version.hash)), ("case", case.id),
        ),
    )  # fmt: skip


def judged(uow: UnitOfWork, version: VersionRecord, case: CaseRecord, eyes: Eyes) -> TraceNode:
    """A version's decision on an image, with what people said of it."""
    words = uow.verdicts.standing_of_case(case.id)
    cues = {cue.id: cue for cue in uow.cues.list(case.id)}
    heard = [
        TraceNode(
            "word", f"{word.reviewer}: {cues[word.cue_id].shown_name} is {word.value}", word.id
        )
        for word in words
        if word.cue_id in cues
        and eyes.open_words(
            [each.reviewer_id for each in words if each.cue_id == word.cue_id], case.id
        )
    ]
    listed, more = trace_nodes.cut(heard, trace_back.LISTED)
    return TraceNode(
        "case", f"Version {short(version.hash)}: {case.prediction}", case.id,
        facts(
            ("confidence", f"{100 * case.confidence:.1f} %"), ("label", case.image.label),
            ("state of the version", version.state), ("words on its cues", len(words)),
        ),
        PEERS if len(heard) < len(words) else "", listed, more,
    )  # fmt: skip


def group(title: str, nodes: tuple[TraceNode, ...], more: int) -> list[TraceNode]:
    if not nodes:
        return []
    return [TraceNode("export", title, "", (), "", nodes, more)]
