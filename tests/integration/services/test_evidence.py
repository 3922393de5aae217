"""From people's words to a frozen snapshot and back: rules by hand, and over the store."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.services import feedback
from dashboard.services.evidence_said import ClassWord, Word
from db.feedback_records import DrawingMark, MarkRecord
from db.records import new_id, utc_now
from db.run_records import ColumnVerdictRecord
from tests.integration.services.world import RULER, World, judge, make_world, reviewer

OLD_HASH = "0fec6d6f4ad35ed9e320503aa2bd47cdddc845940b87c9ae1e8f8dd3e28c6276"
OLD = Path(__file__).with_name("snapshot_schema1.json")


def mark(image: str, concept: int, who: str, value: str, **more: Any) -> MarkRecord:
    """A verdict on a 2 x 2 grid whose region is the two corners of the diagonal."""
    region = np.packbits(np.array([1, 0, 0, 1], dtype=bool)).tobytes()
    verdict = f"{who}{image}{concept}{more.get('verdict', '')}"
    given = {"scope": "here", "reason": None, "prediction": "melanoma"} | more
    given.pop("verdict", None)
    return MarkRecord(
        verdict_id=verdict, revision=1, cue_id=f"{image}-{concept}", reviewer_id=who,
        reviewer=f"Dr {who}", value=value, image_id=image, image_sha256=image, version_hash="v",
        dictionary_hash="d", concept=concept, grid_rows=2, grid_cols=2, region_bits=region,
        **given,
    )  # fmt: skip


def payload(*marks: MarkRecord, **more: Any) -> dict[str, Any]:
    order = {m.verdict_id: n for n, m in enumerate(marks)}
    return feedback.build_payload("d", marks, order, **more)


def outcomes(*marks: MarkRecord, **more: Any) -> dict[tuple[str, int], str]:
    cues = payload(*marks, **more)["cues"]
    return {(c["image_sha256"], c["concept"]): c["outcome"] for c in cues}


def claim(found: dict[str, Any], concept: int, class_name: str | None = None) -> dict[str, Any]:
    (entry,) = [e for e in found["concepts"] if (e["concept"], e["class"]) == (concept, class_name)]
    return dict(entry)


def on_class(
    concept: int, class_name: str, who: str, value: str, reason: str | None = None
) -> ClassWord:
    word = Word(f"class-{who}{concept}{class_name}", who, f"Dr {who}", value, reason, "class")
    return ClassWord(concept, class_name, word)


def on_column(column: str, who: str, value: str) -> ColumnVerdictRecord:
    return ColumnVerdictRecord(
        1, f"{column}{who}", "p", column, who, f"Dr {who}", value, None, "", 1, utc_now()
    )


def drawn(
    who: str, kind: str, box: tuple[float, float, float, float], concept: int | None = 1
) -> DrawingMark:
    points = ((box[0], box[1]), (box[2], box[3]))
    name = f"{who}{kind}{concept}{box}"
    return DrawingMark(name, who, f"Dr {who}", "i", "melanoma", concept, "d", kind, "box", points)


class TestCues:
    def test_the_fold_by_hand(self) -> None:
        spurious, other = mark("i", 1, "A", "spurious"), mark("i", 1, "B", "correct")
        assert outcomes(spurious) == {("i", 1): "spurious"}
        assert outcomes(spurious, other) == {("i", 1): "tie"}
        third, unsure = mark("i", 1, "C", "spurious"), mark("i", 1, "D", "unsure")
        assert outcomes(spurious, other, third, unsure) == {("i", 1): "spurious"}
        assert outcomes(unsure) == {("i", 1): "unsure"}
        for reason in ("wrong region", "wrong name"):
            assert outcomes(mark("i", 1, "A", "spurious", reason=reason)) == {("i", 1): "set aside"}
            assert outcomes(mark("i", 1, "A", "spurious", reason=reason), other) == {
                ("i", 1): "correct"
            }

    def test_the_same_person_counts_once_with_the_latest_word(self) -> None:
        first = mark("i", 1, "A", "spurious", verdict="1")
        second = mark("i", 1, "A", "correct", verdict="2")
        found = payload(first, second)
        assert [c["outcome"] for c in found["cues"]] == ["correct"]
        assert found["raters"][0]["repeats"] == [0, 1]
        assert payload(second, first)["cues"][0]["outcome"] == "spurious"

    def test_a_decision_stands_above_all_words(self) -> None:
        words = [mark("i", 1, who, "spurious") for who in "ABC"]
        for value in ("correct", "spurious", "unsure"):
            decided = [mark("i", 1, "Lead", value)]
            assert outcomes(*words, decided=decided) == {("i", 1): value}
        alone = payload(decided=[mark("i", 1, "Lead", "spurious")])
        (entry,) = alone["cues"]
        assert (entry["outcome"], entry["weight"], entry["verdicts"]) == ("spurious", 1.0, [])
        assert alone["raters"] == []
        assert feedback.marks_of(alone)[0].weight == 1.0

    def test_a_lone_odd_word_is_used_for_nothing(self) -> None:
        words = [mark(f"i{n:02d}", 1, "A", "spurious") for n in range(20)]
        found = payload(*words, mark("odd", 1, "A", "correct"))
        by_image = {c["image_sha256"]: c for c in found["cues"]}
        assert by_image["odd"]["outcome"] in ("tie", "doubted")
        assert len(feedback.marks_of(found)) == 20

    def test_disagreement_lowers_the_weight_of_a_mark(self) -> None:
        agreed = [mark("i", 1, who, "spurious") for who in "ABC"]
        torn = [*agreed, mark("i", 1, "D", "correct")]
        (calm,), (doubtful,) = (
            feedback.marks_of(payload(*agreed)),
            feedback.marks_of(payload(*torn)),
        )
        assert 0.2 <= doubtful.weight < calm.weight < 1
        assert calm.value == doubtful.value == "spurious"
        assert calm.region_P.tolist() == [True, False, False, True]


class TestConcepts:
    def test_claims_of_wider_scope_are_kept_apart_and_combined(self) -> None:
        found = payload(
            mark("i", 1, "A", "spurious", scope="everywhere"),
            mark("j", 2, "A", "spurious", scope="class"),
            mark("k", 3, "A", "spurious"),
        )
        assert [(c["concept"], c["class"]) for c in found["claims"]] == [(1, None), (2, "melanoma")]
        assert claim(found, 1)["scope"] == "everywhere"
        assert claim(found, 2)["scope"] == claim(found, 3)["scope"] == "here"
        assert claim(found, 2, "melanoma")["scope"] == "class"
        assert claim(found, 1)["probability"] > claim(found, 3)["probability"] > 0.5
        evidence = feedback.evidence_of(found)
        assert set(evidence.everywhere()) == {1, 2, 3}
        assert set(evidence.of_classes(("naevus", "melanoma"))) == {(2, 1)}
        assert evidence.rejected == (1, 2, 3) == feedback.rejected_concepts(found)

    def test_a_word_on_a_class_narrows_the_same_person_s_wider_word(self) -> None:
        wide = mark("i", 1, "A", "spurious", scope="everywhere", prediction="naevus")
        found = payload(wide, classes=[on_class(1, "melanoma", "A", "correct")])
        assert claim(found, 1)["probability"] > 0.5 > claim(found, 1, "melanoma")["probability"]
        # Another person's wider word is no refinement: it is a contradiction.
        other = payload(
            mark("i", 1, "B", "spurious", scope="everywhere", prediction="naevus"),
            classes=[on_class(1, "melanoma", "A", "correct")],
        )
        assert claim(other, 1, "melanoma")["probability"] == pytest.approx(0.5, abs=0.1)

    def test_a_class_verdict_stands_before_a_verdict_for_the_class(self) -> None:
        wide = mark("i", 1, "A", "spurious", scope="class")
        for value, likely in (("correct", False), ("unsure", None)):
            found = payload(wide, classes=[on_class(1, "melanoma", "A", value)])
            (entry,) = found["claims"]
            assert [w["source"] for w in entry["words"]] == ["class verdict"]
            assert entry["probability"] == 0.5 if likely is None else entry["probability"] < 0.5
        aside = payload(classes=[on_class(1, "melanoma", "A", "spurious", "wrong name")])
        assert aside["concepts"] == []

    def test_the_latest_wider_word_of_a_person_counts(self) -> None:
        first = mark("i", 1, "A", "spurious", scope="everywhere")
        second = mark("j", 1, "A", "correct", scope="everywhere")
        assert payload(first, second)["claims"][0]["words"][0]["id"] == second.verdict_id
        assert payload(second, first)["claims"][0]["words"][0]["id"] == first.verdict_id

    @settings(max_examples=20, deadline=None)
    @given(st.integers(1, 8))
    def test_more_spurious_cues_make_a_concept_likelier_spurious(self, cues: int) -> None:
        fewer = payload(*(mark(f"i{n}", 1, "A", "spurious") for n in range(cues)))
        more = payload(*(mark(f"i{n}", 1, "A", "spurious") for n in range(cues + 1)))
        assert claim(more, 1)["probability"] > claim(fewer, 1)["probability"]


class TestColumns:
    def test_people_s_words_on_a_column(self) -> None:
        found = payload(columns=[
            on_column("exposure", "A", "spurious"), on_column("exposure", "B", "spurious"),
            on_column("site", "A", "spurious"), on_column("site", "B", "correct"),
            on_column("age", "A", "correct"), on_column("hour", "A", "unsure"),
        ])  # fmt: skip
        assert {c["column"]: c["outcome"] for c in found["columns"]} == {
            "age": "correct", "exposure": "spurious", "hour": "tie", "site": "tie"
        }  # fmt: skip
        evidence = feedback.evidence_of(found)
        assert set(evidence.rejected_columns()) == {"exposure"}
        assert evidence.columns[1].people == 2
        assert any("hour" in n.text and "site" in n.text for n in evidence.notices)


class TestRegions:
    def test_what_is_drawn_here_is_the_region(self) -> None:
        word = mark("i", 1, "A", "spurious")
        found = payload(word, drawings=[drawn("A", "here", (0.5, 0.0, 1.0, 0.5))], grid=(2, 2))
        (only,) = feedback.marks_of(found)
        assert only.region_P.tolist() == [False, True, False, False]
        (region,) = feedback.evidence_of(found).regions
        assert (region.kind, region.concept, region.grid) == ("here", 1, (2, 2))
        assert region.region_P.tolist() == [False, True, False, False]

    def test_a_wrong_part_is_taken_away_but_never_everything(self) -> None:
        word = mark("i", 1, "A", "spurious")
        part = drawn("A", "wrong-part", (0.0, 0.0, 0.5, 0.5))
        (only,) = feedback.marks_of(payload(word, drawings=[part], grid=(2, 2)))
        assert only.region_P.tolist() == [False, False, False, True]
        whole = drawn("A", "wrong-part", (0.0, 0.0, 1.0, 1.0))
        (kept,) = feedback.marks_of(payload(word, drawings=[whole], grid=(2, 2)))
        assert kept.region_P.tolist() == [True, False, False, True]

    def test_half_of_those_who_drew_decide_a_patch(self) -> None:
        words = [mark("i", 1, who, "spurious") for who in "ABC"]
        upper, corner = (0.0, 0.0, 1.0, 0.5), (0.0, 0.0, 0.5, 0.5)
        drawings = [drawn("A", "here", upper), drawn("B", "here", corner),
                    drawn("C", "here", corner)]  # fmt: skip
        (only,) = feedback.marks_of(payload(*words, drawings=drawings, grid=(2, 2)))
        assert only.region_P.tolist() == [True, False, False, False]

    def test_a_missed_sign_is_kept_without_a_concept(self) -> None:
        free = drawn("A", "missed", (0.5, 0.5, 1.0, 1.0), concept=None)
        found = payload(mark("i", 1, "A", "spurious"), drawings=[free], grid=(2, 2))
        (region,) = feedback.evidence_of(found).regions
        assert (region.kind, region.concept) == ("missed", None)
        assert region.weight == pytest.approx(0.8, abs=0.1)
        (only,) = feedback.marks_of(found)
        assert only.region_P.tolist() == [True, False, False, True]


def crowd(bad: str) -> list[MarkRecord]:
    """Three who are right and one who is not, on 8 concepts in 6 images each."""
    rng, marks = np.random.default_rng(0), []
    for concept in range(8):
        for n in range(6):
            truth = concept % 2
            for who in ("A", "B", "C", "Bad"):
                said = truth
                if who == "Bad":
                    said = {"random": int(rng.random() < 0.5), "inverted": 1 - truth,
                            "one word": 1}[bad]  # fmt: skip
                value = ("correct", "spurious")[said]
                marks.append(mark(f"{concept}-{n}", concept, who, value, scope="everywhere"))
    return marks


class TestBadPeople:
    @pytest.mark.parametrize("bad", ["random", "inverted", "one word"])
    def test_they_are_found_named_and_count_nowhere(self, bad: str) -> None:
        drawings = [drawn("Bad", "here", (0, 0, 1, 1), concept=None)]
        found = payload(*crowd(bad), drawings=drawings, grid=(2, 2))
        evidence = feedback.evidence_of(found)
        status = {r.reviewer_id: r.status for r in evidence.raters}
        assert status == {"A": "reliable", "B": "reliable", "C": "reliable", "Bad": bad}
        first = evidence.notices[0]
        assert first.level == "warning"
        assert "Dr Bad" in first.text
        assert "set aside" in first.text
        assert first.advice
        without = payload(*(m for m in crowd(bad) if m.reviewer_id != "Bad"))
        assert [c["outcome"] for c in found["cues"]] == [c["outcome"] for c in without["cues"]]
        assert found["concepts"] == without["concepts"]
        assert evidence.regions == ()
        assert evidence.rejected == (1, 3, 5, 7)

    def test_words_of_nobody_else_are_not_counted(self) -> None:
        found = payload(*crowd("inverted"), mark("own", 9, "Bad", "spurious"))
        assert feedback.evidence_of(found).outcomes["not counted"] == 1

    def test_two_who_contradict_each_other_leave_nothing_and_it_is_said(self) -> None:
        words = [m for m in crowd("inverted") if m.reviewer_id in ("A", "Bad")]
        evidence = feedback.evidence_of(payload(*words))
        assert evidence.marks == ()
        texts = " ".join(n.text for n in evidence.notices if n.level == "warning")
        assert "Dr A" in texts
        assert "Dr Bad" in texts
        assert "nothing to learn from" in texts

    def test_one_person_alone_is_told_what_would_prove_them(self) -> None:
        evidence = feedback.evidence_of(payload(mark("i", 1, "A", "spurious")))
        (notice,) = evidence.notices
        assert notice.level == "info"
        assert "Dr A" in notice.text
        assert "44 shared cues" in notice.advice

    def test_changed_minds_are_named(self) -> None:
        words = []
        for n in range(6):
            words.append(mark(f"i{n}", 1, "A", "spurious", verdict="1"))
            words.append(mark(f"i{n}", 1, "A", "correct", verdict="2"))
        evidence = feedback.evidence_of(payload(*words))
        assert evidence.raters[0].repeats == (0, 6)
        assert any("said the same of 0" in n.text for n in evidence.notices)


class TestSnapshots:
    def test_the_order_of_rows_and_names_of_concepts_change_nothing(self) -> None:
        marks = [mark(f"i{n}", n % 3, "AB"[n % 2], "spurious") for n in range(6)]
        order = {m.verdict_id: n for n, m in enumerate(marks)}
        more = {
            "classes": [on_class(1, "melanoma", "A", "spurious"), on_class(1, "b", "B", "correct")],
            "columns": [on_column("site", "A", "spurious"), on_column("age", "B", "correct")],
            "drawings": [drawn("A", "here", (0, 0, 1, 1)), drawn("B", "missed", (0, 0, 1, 1))],
        }
        turned = {name: rows[::-1] for name, rows in more.items()}
        one = feedback.build_payload("d", marks, order, grid=(2, 2), **more)
        two = feedback.build_payload("d", marks[::-1], order, grid=(2, 2), **turned)
        assert feedback.canonical_json(one) == feedback.canonical_json(two)
        assert feedback.payload_hash(one) == feedback.payload_hash(two)
        assert json.loads(feedback.canonical_json(one)) == one

    def test_a_snapshot_of_the_first_schema_reads_as_before(self) -> None:
        """Made by the code of the first schema, from five verdicts."""
        old = json.loads(OLD.read_text("utf-8"))
        assert old["schema"] == 1
        assert feedback.payload_hash(old) == OLD_HASH
        marks = feedback.marks_of(old)
        assert [(m.image_sha256, m.concept, m.value, m.weight) for m in marks] == [
            ("i1", 1, "spurious", 1.0), ("i2", 1, "spurious", 1.0), ("i3", 2, "correct", 1.0),
        ]  # fmt: skip
        assert marks[0].region_P.tolist() == [True, False, False, True]
        evidence = feedback.evidence_of(old)
        assert evidence.rejected == feedback.rejected_concepts(old) == (1,)
        assert evidence.everywhere() == {1: 0.75, 2: pytest.approx(1 / 3)}
        assert evidence.outcomes == {"spurious": 2, "correct": 1, "tie": 1}
        assert (evidence.columns, evidence.regions, evidence.raters) == ((), (), ())
        assert evidence.rejected_columns() == evidence.of_classes(("a",)) == {}

    def test_nothing_said_is_a_snapshot_too(self) -> None:
        empty = feedback.evidence_of(payload())
        assert (empty.marks, empty.concepts, empty.rejected, empty.notices) == ((), (), (), ())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    made = make_world(tmp_path_factory.mktemp("evidence") / "ws", splits={"train": 24})
    judge(made, reviewer(made), count=6)
    return made


def dictionary(world: World) -> str:
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
        assert version is not None
        return version.dictionary_hash


def present(world: World) -> dict[str, Any]:
    with world.services.uow(read_only=True) as uow:
        return feedback.current_payload(uow, world.project_id, dictionary(world))


class TestOverTheStore:
    def test_a_snapshot_is_taken_once(self, world: World) -> None:
        with world.services.uow() as uow:
            one = feedback.take_snapshot(uow, world.project_id, dictionary(world))
            two = feedback.take_snapshot(uow, world.project_id, dictionary(world))
            uow.commit()
        assert one == two
        assert feedback.payload_hash(one.payload) == one.hash
        assert one.payload["schema"] == feedback.SCHEMA == 2
        assert one.verdicts == sum(len(c["verdicts"]) for c in one.payload["cues"]) > 6
        evidence = feedback.evidence_of(one.payload)
        assert evidence.rejected == (RULER,)
        assert {m.concept for m in evidence.marks if m.value == "spurious"} == {RULER}
        assert one.payload == present(world)

    def test_a_corrected_name_changes_no_weight(self, world: World) -> None:
        before, me = present(world), reviewer(world)
        with world.services.uow() as uow:
            number = uow.concepts.by_number(world.project_id, dictionary(world))[RULER]
            uow.concepts.add_name(
                id=new_id(), concept_id=number.id, name="measuring tape", based_on=0,
                reviewer_id=me, reason="",
            )  # fmt: skip
            uow.commit()
        assert present(world) == before

    def test_every_kind_of_word_enters(self, world: World) -> None:
        before, me = present(world), reviewer(world)
        concepts = world.services.uow
        with concepts() as uow:
            streaks = uow.concepts.by_number(world.project_id, dictionary(world))[1].id
            uow.class_verdicts.append(
                id=new_id(), concept_id=streaks, class_name="melanoma", reviewer_id=me,
                value="correct", based_on=0,
            )  # fmt: skip
            uow.column_verdicts.append(
                id=new_id(), project_id=world.project_id, column_name="site", reviewer_id=me,
                value="spurious", based_on=0,
            )  # fmt: skip
            cue = next(c for c in before["cues"] if c["concept"] == RULER)
            image = uow.images.by_sha256(world.project_id, cue["image_sha256"])
            version = uow.versions.active(world.project_id)
            assert image is not None
            assert version is not None
            case = uow.cases.by_image(version.id, image.id)
            assert case is not None
            own = next(c for c in uow.cues.list(case.id) if c.number == RULER)
            uow.drawings.draw(
                id=new_id(), case_id=case.id, cue_id=own.id, reviewer_id=me, kind="here",
                shape="box", points=((0.0, 0.75), (1.0, 1.0)),
            )  # fmt: skip
            uow.drawings.draw(
                id=new_id(), case_id=case.id, reviewer_id=me, kind="missed", shape="box",
                points=((0.0, 0.0), (0.25, 0.25)),
            )  # fmt: skip
            uow.adjudications.append(
                id=new_id(), project_id=world.project_id, subject="cue", subject_id=own.id,
                reviewer_id=me, value="spurious", based_on=0,
            )  # fmt: skip
            uow.commit()
        after = present(world)
        evidence = feedback.evidence_of(after)
        assert evidence.rejected_columns().keys() == {"site"}
        assert (1, 1) in evidence.of_classes(("naevus", "melanoma"))
        assert sorted(r.kind for r in evidence.regions) == ["here", "missed"]
        changed = next(c for c in after["cues"] if c["image_sha256"] == cue["image_sha256"]
                       and c["concept"] == RULER)  # fmt: skip
        assert (changed["decided"], changed["weight"]) == ("spurious", 1.0)
        marked = next(m for m in evidence.marks if m.image_sha256 == cue["image_sha256"]
                      and m.concept == RULER)  # fmt: skip
        assert np.flatnonzero(marked.region_P).tolist() == [12, 13, 14, 15]
        assert feedback.payload_hash(after) != feedback.payload_hash(before)
