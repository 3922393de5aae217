"""What an expert does at the desk, key by key, and what it says to the server."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from dashboard.components.viewer import Ack, Study
from dashboard.viewmodels import NoteView
from dashboard.viewmodels.marks import DrawingView
from tests import fakes
from tests.e2e.desk_page import DeskPage, softmax

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

MOST_PRESSES = 8  # from opening a case with six cues to the next case
WHEN = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


class TestJudging:
    def test_a_case_with_six_cues_takes_eight_presses_at_most(self, desk: DeskPage) -> None:
        case = desk.case()
        desk.show(case)
        presses = ("y", "x", "u", "c", "e", "y", "g", "n")
        desk.press(*presses)
        assert len(case.cues) == 6
        assert len(presses) <= MOST_PRESSES
        *verdicts, word, wish = desk.sent()
        assert [each["cue_id"] for each in verdicts] == [cue.id for cue in case.cues]
        assert [(each["value"], each["scope"]) for each in verdicts] == [
            ("correct", "here"), ("spurious", "here"), ("unsure", "here"), ("spurious", "class"),
            ("spurious", "everywhere"), ("correct", "here"),
        ]  # fmt: skip
        assert (word["kind"], word["agree"]) == ("assess", True)
        assert wish == {"kind": "open", "case_id": case.next_id, "how": "next"}

    def test_the_desk_goes_on_to_what_is_not_judged_yet(self, desk: DeskPage) -> None:
        desk.show(desk.case())
        desk.press("3", "y", "1", "x")
        assert desk.selected() == "B"
        desk.press("y")
        assert desk.selected() == "D"  # C is judged already
        desk.press("y", "y", "y")
        expect(desk.page.locator(".unseen")).to_contain_text("Every cue is judged")

    def test_a_click_judges_and_stays(self, desk: DeskPage) -> None:
        desk.show(desk.case())
        desk.page.get_by_role("button", name="Spurious: cue B").click()
        assert desk.selected() == "B"
        assert desk.row(1) == "spurious: saving\u2026"

    def test_the_reason_of_the_cue_just_judged(self, desk: DeskPage) -> None:
        desk.show(desk.case())
        desk.press("x", "r")
        expect(desk.page.get_by_role("dialog", name="Why is A, irregular border")).to_be_visible()
        assert desk.selected() == "A"
        desk.press("3")
        first, second = desk.sent()
        assert (first["reason"], second["reason"]) == (None, "acquisition")
        assert (first["based_on"], second["based_on"]) == (0, 1)
        assert desk.selected() == "B"

    def test_a_reason_given_first_brings_the_verdict(self, desk: DeskPage) -> None:
        desk.show(desk.case())
        desk.press("r", "1")
        (event,) = desk.sent()
        assert (event["value"], event["reason"], event["scope"]) == ("spurious", "artefact", "here")

    def test_an_answer_between_key_and_reason_loses_nothing(self, desk: DeskPage) -> None:
        desk.show(desk.case())
        desk.press("x", "r")
        (event,) = desk.sent()
        desk.services.review.give_verdict(
            id=event["id"], cue_id=event["cue_id"], reviewer_id=desk.me, value="spurious",
            based_on=0,
        )  # fmt: skip
        desk.show(desk.case(), {event["id"]: Ack(True, "Saved.")})
        desk.press("2")
        (event,) = desk.sent()
        assert (event["reason"], event["based_on"]) == ("background", 1)

    def test_an_open_question_takes_no_key_for_a_verdict(self, desk: DeskPage) -> None:
        desk.show(desk.case())
        desk.press("r", "y", "n", "Escape")
        assert desk.sent() == []
        expect(desk.page.locator(".ask")).to_be_hidden()
        desk.press("y")
        assert len(desk.sent()) == 1

    def test_undo_any_depth_and_what_it_brought_back_is_selected(self, desk: DeskPage) -> None:
        case = desk.case()
        desk.services.review.give_verdict(
            id=fakes.uid("v"), cue_id=case.cues[2].id, reviewer_id=desk.me, value="correct",
            based_on=0,
        )  # fmt: skip
        desk.show(desk.case())
        desk.press("z", "z")
        first, second = desk.sent()
        assert {first["kind"], second["kind"]} == {"undo"}
        assert first["id"] != second["id"]
        for event in (first, second):
            desk.services.review.undo(desk.me, "", event["id"])
        desk.show(desk.case(), {e["id"]: Ack(True, "Undone.") for e in (first, second)})
        assert desk.selected() == "C"
        assert "level" in desk.row(2)

    def test_others_show_after_ones_own_verdict(self, desk: DeskPage) -> None:
        case = desk.case()
        desk.show(case)
        expect(desk.page.locator(".peers")).to_be_hidden()
        desk.services.review.give_verdict(
            id=fakes.uid("v"), cue_id=case.cues[0].id, reviewer_id=desk.me, value="correct",
            based_on=0,
        )  # fmt: skip
        desk.show(desk.case())
        desk.press("1")
        expect(desk.page.locator(".peers")).to_have_text(
            "Others: Dr Bright spurious, everywhere, artefact"
        )

    def test_a_refusal_stays_until_it_is_closed_or_settled(self, desk: DeskPage) -> None:
        desk.show(desk.case())
        desk.press("x")
        (event,) = desk.sent()
        desk.show(desk.case(), {event["id"]: Ack(False, "Not saved: too late.")})
        alert = desk.page.get_by_role("alert")
        expect(alert).to_have_text("Not saved: too late.")
        desk.page.locator(".alert button").click()
        expect(alert).to_be_hidden()


class TestTheCase:
    def test_ratings_by_key_add_up(self, desk: DeskPage) -> None:
        desk.show(desk.case())
        desk.press("m", "4", "5", "2")
        events = desk.sent()
        assert [each["based_on"] for each in events] == [0, 1, 2]
        assert events[-1]["ratings"] == {"clarity": 4, "relevance": 5, "actionability": 2}
        rating = desk.page.get_by_role("radiogroup", name="Relevance")
        expect(rating.get_by_role("radio", name="5 of 5")).to_have_attribute("aria-checked", "true")

    def test_a_right_label_by_key_disagrees(self, desk: DeskPage) -> None:
        desk.show(desk.case())
        desk.press("l", "2")
        (event,) = desk.sent()
        assert (event["corrected_label"], event["agree"]) == ("melanoma", False)

    def test_skip_flag_escalate_and_keep(self, desk: DeskPage) -> None:
        case = desk.case()
        desk.show(case, studies=[Study(fakes.uid("study"), "Rulers")])
        desk.press("f")
        desk.page.keyboard.type("odd border")
        desk.press("Enter", "q", "Enter", "k")
        desk.page.get_by_label("Note", exact=True).fill("a good one")
        desk.press("Enter", "j")
        flag, escalate, keep, skip, wish = desk.sent()
        assert (flag["mark"], flag["reason"]) == ("flag", "odd border")
        assert escalate["mark"] == "escalate"
        assert (keep["collection_id"], keep["note"]) == (fakes.uid("study"), "a good one")
        assert (skip["mark"], wish["how"]) == ("skip", "next")

    def test_a_flag_is_taken_back_with_the_same_key(self, desk: DeskPage) -> None:
        case = desk.case()
        assert case.place is not None
        desk.show(replace(case, place=replace(case.place, marks=("flag",))))
        expect(desk.page.locator(".why")).to_contain_text("flagged")
        desk.press("f")
        (event,) = desk.sent()
        assert event["mark"] == "resolve"

    def test_who_has_it_and_why_it_is_here_is_said(self, desk: DeskPage) -> None:
        case = desk.case()
        assert case.place is not None
        desk.show(replace(case, place=replace(case.place, held_by="Dr Bright", until=WHEN)))
        expect(desk.page.locator(".held")).to_contain_text("Dr Bright has this case open until")
        shared = replace(case.place, held_by="Dr Bright", wanted=2)
        expect(desk.page.locator(".why")).to_contain_text("uncertain")
        expect(desk.page.locator(".progress")).to_contain_text("you 0")
        desk.show(replace(case, place=shared))
        expect(desk.page.locator(".held")).to_contain_text("2 people are wanted on this case")

    def test_the_last_case_says_so(self, desk: DeskPage) -> None:
        desk.show(replace(desk.case(), next_id=None))
        desk.press("n")
        expect(desk.page.locator(".unseen")).to_contain_text("this is the last one")
        assert desk.sent() == []

    def test_answers_that_do_not_come_are_said_to_be_kept(self, desk: DeskPage) -> None:
        desk.page.clock.install()
        desk.open()
        desk.show(desk.case())
        desk.press("y", "y")
        expect(desk.page.locator(".pending")).to_have_text("saving\u2026")
        desk.page.clock.fast_forward(9000)
        expect(desk.page.locator(".held")).to_contain_text("2 of your answers are kept")


class TestBlind:
    def test_nothing_of_the_answer_is_on_the_page(self, blind: DeskPage) -> None:
        blind.show(blind.case())
        said = blind.page.locator(".desk").inner_text()
        assert "Model says" not in said
        assert "explained \u00b7 version hidden" in said.replace("\u202f", " ")
        expect(blind.page.locator(".cue .figure")).to_have_count(0)
        expect(blind.page.get_by_role("group", name="Do you agree")).to_be_hidden()
        blind.press("g")
        assert blind.sent() == []
        blind.press("w")
        expect(blind.page.locator("#panel-if")).to_contain_text("once your own label is in")

    def test_ones_own_label_brings_the_answer(self, blind: DeskPage) -> None:
        blind.show(blind.case())
        blind.press("l", "2")
        (event,) = blind.sent()
        assert (event["corrected_label"], event["agree"]) == ("melanoma", None)
        blind.services.review.assess(
            id=event["id"], case_id=event["case_id"], reviewer_id=blind.me, agree=None,
            corrected_label="melanoma", comment="", based_on=0,
        )  # fmt: skip
        blind.show(blind.case(), {event["id"]: Ack(True, "Saved.")})
        expect(blind.page.locator(".facts .class")).to_have_text("naevus")
        expect(blind.page.locator(".unseen")).to_contain_text("You said melanoma")
        expect(blind.page.locator(".cue .figure").first).to_be_visible()


class TestWhatIf:
    def test_sliders_reckon_what_the_head_would_say(self, desk: DeskPage) -> None:
        case = desk.case()
        found = case.what_if
        assert found is not None
        desk.show(case)
        desk.press("w")
        lever = found.levers[0]
        slider = desk.page.get_by_role("slider", name=lever.name)
        slider.fill("0")
        after = [
            logit - weight * lever.activation
            for logit, weight in zip(found.logits, lever.weights, strict=True)
        ]
        shares = softmax(after, found.temperature)
        best = max(range(len(shares)), key=lambda at: shares[at])
        first = desk.page.locator(".odd").first
        expect(first.locator(".odd-name")).to_have_text(found.classes[best])
        expect(first.locator(".figure")).to_have_text(f"{100 * shares[best]:.0f}\u202f%")
        assert desk.sent() == []  # all of it in the browser

    def test_a_branch_moves_together_and_resets(self, desk: DeskPage) -> None:
        desk.show(desk.case())
        desk.press("w")
        desk.page.get_by_role("slider", name="All under artefact").fill("0")
        expect(desk.page.locator(".lever.moved")).to_have_count(2)
        desk.page.get_by_role("button", name="Reset").click()
        expect(desk.page.locator(".lever.moved")).to_have_count(0)

    def test_a_change_is_kept_as_a_note_and_shown_again(self, desk: DeskPage) -> None:
        case = desk.case()
        desk.show(case)
        desk.press("w")
        desk.page.get_by_role("button", name="Smallest flip").click()
        expect(desk.page.locator(".lever.moved")).to_have_count(1)
        desk.page.get_by_role("button", name="Save as note").click()
        (event,) = desk.sent()
        assert (event["kind"], event["note"]) == ("note", "what-if")
        (change,) = event["payload"]["changes"]
        assert (change["name"], change["to"]) == (case.cues[0].name, 0)
        note = NoteView(event["id"], "what-if", event["text"], event["payload"], "Ada", WHEN)
        desk.page.get_by_role("button", name="Reset").click()
        desk.show(replace(case, notes=(note,)), {event["id"]: Ack(True)})
        desk.page.get_by_role("tab", name="Notes (1)").click()
        desk.page.get_by_role("button", name="Show", exact=True).click()
        expect(desk.page.locator(".lever.moved")).to_have_count(1)


class TestPictureAndTree:
    def drag(self, desk: DeskPage) -> None:
        box = desk.page.locator(".canvas").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 4
        desk.page.mouse.move(x, y)
        desk.page.mouse.down()
        desk.page.mouse.move(x + 90, y + 70, steps=4)
        desk.page.mouse.up()

    def test_a_drawing_says_what_it_is(self, desk: DeskPage) -> None:
        case = desk.case()
        desk.show(case)
        expect(desk.page.locator(".canvas")).to_have_attribute("data-picture", case.image_id)
        desk.press("i")
        self.drag(desk)
        question = desk.page.get_by_role("dialog", name="What did you mark?")
        expect(question).to_be_visible()
        desk.press("2")
        (event,) = desk.sent()
        assert (event["kind"], event["drawing"], event["shape"]) == ("draw", "wrong-part", "box")
        assert event["cue_id"] == case.cues[0].id
        assert all(0 <= at <= 1 for point in event["points"] for at in point)
        desk.page.get_by_role("tab", name="Notes (1)").click()
        expect(desk.page.locator(".mark")).to_contain_text("wrong part")

    def test_a_place_that_must_not_count_stands_alone(self, desk: DeskPage) -> None:
        """Drawn and answered by keys alone, while a cue is chosen; it speaks of no cue."""
        case = desk.case()
        desk.show(case)
        expect(desk.page.locator(".canvas")).to_have_attribute("data-picture", case.image_id)
        desk.press("i")
        desk.page.locator(".canvas").focus()
        for key in ("ArrowLeft", "Enter", *["ArrowRight"] * 8, *["ArrowDown"] * 6, "Enter"):
            desk.page.keyboard.press(key)
        question = desk.page.get_by_role("dialog", name="What did you mark?")
        choices = question.locator(".pick")
        expect(choices).to_have_count(4)
        last = question.get_by_role("button", name="Must not count")
        expect(last).to_contain_text("an artefact, a marking, a device")
        expect(last).to_have_attribute("title", re.compile("For what no cue shows"))
        desk.press("4")
        (event,) = desk.sent()
        assert (event["kind"], event["drawing"], event["shape"]) == ("draw", "spurious", "box")
        assert event["cue_id"] is None
        desk.page.get_by_role("tab", name="Notes (1)").click()
        expect(desk.page.locator(".mark")).to_contain_text("Drawing, must not count")
        kept = DrawingView(
            event["id"], "spurious", "box", tuple(map(tuple, event["points"])), "", None, "you",
            WHEN,
        )  # fmt: skip
        desk.show(replace(case, drawings=(kept,)), {event["id"]: Ack(True)})
        expect(desk.page.locator(".mark")).to_contain_text("Drawing, must not count")
        desk.page.get_by_role("button", name="Erase").click()
        assert desk.sent()[-1]["drawing_id"] == event["id"]

    def test_a_drawing_can_be_dropped_and_an_old_one_erased(self, desk: DeskPage) -> None:
        desk.services.review.draw(
            id=fakes.uid("d"), case_id=fakes.uid("case", 0), reviewer_id=desk.me, cue_id=None,
            kind="missed", shape="box", points=((0.1, 0.1), (0.2, 0.2)), note="streak",
        )  # fmt: skip
        case = desk.case()
        desk.show(case)
        expect(desk.page.locator(".canvas")).to_have_attribute("data-picture", case.image_id)
        desk.press("i")
        self.drag(desk)
        desk.press("Escape")
        assert desk.sent() == []
        desk.page.get_by_role("tab", name="Notes (1)").click()
        erase = desk.page.get_by_role("button", name="Erase")
        erase.click()
        expect(desk.page.locator(".mark button")).to_be_disabled()
        (event,) = desk.sent()
        assert (event["kind"], event["drawing_id"]) == ("erase", fakes.uid("d"))

    def test_a_branch_of_the_tree_drives_the_picture(self, desk: DeskPage) -> None:
        desk.show(desk.case())
        desk.page.get_by_role("treeitem", name="artefact").click()
        shown = desk.page.locator(".cue input:checked")
        expect(shown).to_have_count(2)
        assert desk.selected() == "C"
        desk.press("ArrowLeft")
        tree = desk.page.get_by_role("tree")
        expect(tree.get_by_role("treeitem", name="ink marking")).to_be_hidden()
        desk.press("ArrowRight", "ArrowDown")
        expect(tree.get_by_role("treeitem", name="ink marking")).to_be_focused()

    def test_the_icicle_shows_the_same_and_selects(self, desk: DeskPage) -> None:
        desk.show(desk.case())
        desk.page.get_by_role("button", name="Icicle").click()
        block = desk.page.get_by_role("button", name="ink marking:")
        block.click()
        assert desk.selected() == "C"
        expect(block).to_have_attribute("aria-pressed", "true")
        widths = desk.page.locator(".block").evaluate_all(
            "(all) => all.filter((b) => b.style.top === '0%').map((b) => parseFloat(b.style.width))"
        )
        assert sum(widths) == pytest.approx(100, abs=0.1)

    def test_moving_on_shows_the_next_cue_and_hides_it_after(self, desk: DeskPage) -> None:
        desk.show(desk.case())
        desk.press("4")
        expect(desk.page.locator(".cue input").nth(3)).to_be_checked()
        desk.press("1")
        expect(desk.page.locator(".cue input").nth(3)).not_to_be_checked()
