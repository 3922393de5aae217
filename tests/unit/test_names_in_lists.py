"""Lists that may hold two concepts of one name say which is which."""

from __future__ import annotations

from dataclasses import replace

from dashboard.services import report_example
from dashboard.services.judged import ConceptMark, Judged
from dashboard.services.judging_views import Known, judgement_view
from dashboard.services.report_html import _spurious
from dashboard.views import report_page
from dashboard.views.chrome import ended, sentence
from dashboard.views.text import sure
from db.records import ConceptRecord


def concept(number: int, name: str | None) -> ConceptRecord:
    return ConceptRecord(
        id=f"id-{number}", project_id="p", dictionary_hash="d" * 64, number=number, level=0,
        frequency=0.5, model_name=name, score=0.9, margin=0.2, runners_up=(), name=name, revision=0,
    )  # fmt: skip


def test_weights_of_a_run() -> None:
    marks = tuple(ConceptMark(n, 0, 0.1, 0.0, -0.5, False) for n in (1, 14, 27, 3, 99))
    known = {n: concept(n, name) for n, name in ((1, "ruler"), (14, "sticker"), (27, "Ruler"))}
    known[3] = concept(3, None)
    view = judgement_view(
        Judged(("a", "b"), {}, "", 0.03, marks), Known("x", None, {}, {}, known), 0.03
    )
    assert [(row.concept_id, row.name) for row in view.concepts] == [
        ("id-1", "ruler · no. 1"), ("id-14", "sticker"), ("id-27", "Ruler · no. 27"),
        ("id-3", "concept 3"), (None, "concept 99"),
    ]  # fmt: skip


def test_the_ranking_of_a_report() -> None:
    first = report_example.content("ruler").spurious[0]
    second = replace(first, concept_id="another", concept=first.concept + 1)
    rows = (first, second)
    names = report_page.called(rows)
    assert list(names) == [first.concept_id, "another"]
    assert names["another"] == f"ruler · no. {first.concept + 1}"
    drawn = str(_spurious(rows))
    assert all(name in drawn for name in names.values())
    assert first.name == "ruler"  # what the data forms hold


def test_refusals_end_with_one_full_stop() -> None:
    assert ended("Not stored: lost from 0.1 to +9.6.") == "Not stored: lost from 0.1 to +9.6."
    assert ended("Not stored: say why") == "Not stored: say why."
    assert [sentence(text) for text in ("", "a", "is it?")] == ["", "A.", "Is it?"]


def test_confidence_is_whole_only_where_it_is() -> None:
    shares = (0.0, 0.0049, 0.005, 0.5, 0.9949, 0.995, 0.99999, 1.0, None)
    assert [sure(each) for each in shares] == [
        "0 %", "<1 %", "<1 %", "50 %", "99 %", ">99 %", ">99 %", "100 %", "\u2013",
    ]  # fmt: skip
