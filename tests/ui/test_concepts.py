"""Concepts, hierarchy and proposals over the fakes, driven by Streamlit's AppTest."""

from __future__ import annotations

from uuid import uuid4

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.components.concept_tree import picked, rows
from dashboard.viewmodels.concepts import FiringView, PositionsView
from dashboard.viewmodels.hierarchy import TreeNodeView
from dashboard.views import concept_figures, pictures
from tests import fakes
from tests.fakes.cases import phantom, png
from tests.ui import screen
from tests.ui.screen import plain_texts as texts

RULER = fakes.uid("concept", "ruler")


def app(book: fakes.Book | None = None, **query: str) -> tuple[AppTest, fakes.FakeServices]:
    """The Concepts screen with a seated reviewer."""
    return screen.app(book, "concepts", **query)


def press(at: AppTest, label: str) -> None:
    """Press the button of that name and run."""
    next(button for button in at.button if button.label == label).click()
    at.run()
    assert not at.exception


class TestList:
    def test_lists_a_page_and_says_how_many_there_are(self) -> None:
        at, _ = app()
        at.run()
        assert not at.exception
        assert list(at.dataframe[0].value["Concept"])[:2] == ["ruler", "atypical network"]
        assert "1 to 17 of 17 concepts" in texts(at)

    def test_search_filters_the_list(self) -> None:
        at, _ = app()
        at.run()
        at.text_input(key="concept-search").set_value("network").run()
        assert list(at.dataframe[0].value["Concept"]) == ["atypical network", "typical network"]

    def test_nothing_found_says_so(self) -> None:
        at, _ = app()
        at.run()
        at.text_input(key="concept-search").set_value("nothing like it").run()
        assert not at.exception
        assert "Nothing found" in texts(at)

    def test_filters_by_level_and_by_what_was_said(self) -> None:
        at, _services = app()
        at.run()
        at.selectbox(key="concept-level").set_value("0").run()
        assert set(at.dataframe[0].value["Concept"]) == {"lesion", "skin"}
        at.selectbox(key="concept-level").set_value("any")
        at.selectbox(key="concept-only").set_value("without a name").run()
        assert list(at.dataframe[0].value["Concept"]) == ["regression"]


class TestPage:
    def test_rename_shows_in_heading_list_and_history(self) -> None:
        at, _ = app(concept=RULER)
        at.run()
        at.selectbox(key="rename-name").set_value("measuring scale")
        at.text_input(key="rename-why").set_value("ticks")
        press(at, "Rename")
        assert at.header[0].value.startswith("measuring scale")
        assert "Renamed to" in at.success[0].value
        assert next(iter(at.dataframe[0].value["Concept"])) == "measuring scale"

    def test_history_and_suggestions_have_who_when_why_and_scores(self) -> None:
        at, services = app(concept=RULER)
        services.concepts.rename(
            id=str(uuid4()), concept_id=RULER, reviewer_id="x", name="scale bar", reason="ticks",
            based_on=0,
        )  # fmt: skip
        at.session_state["concept-tab"] = "History"
        at.run()
        assert not at.exception
        assert list(at.table[0].value["Name"]) == ["scale bar", "ruler"]
        assert list(at.table[0].value["Why"]) == ["ticks", ""]
        assert "0\\.310" in list(at.table[1].value["Score (cosine)"])

    def test_a_rename_over_an_unseen_one_is_refused_and_shown(self) -> None:
        at, services = app(concept=RULER)
        at.run()
        services.concepts.rename(
            id=str(uuid4()), concept_id=RULER, reviewer_id="x", name="scale bar", based_on=0
        )
        at.selectbox(key="rename-name").set_value("measuring scale")
        press(at, "Rename")
        assert "somebody renamed it meanwhile" in at.warning[0].value
        assert at.header[0].value.startswith("scale bar")

    def test_an_empty_name_is_asked_for_again(self) -> None:
        at, services = app(concept=RULER)
        at.run()
        press(at, "Rename")
        assert "Choose or type a name" in at.warning[0].value
        assert not services.book.names

    def test_a_hostile_name_is_escaped(self) -> None:
        at, services = app(concept=RULER)
        services.concepts.rename(
            id=str(uuid4()), concept_id=RULER, reviewer_id="x", name=fakes.HOSTILE, based_on=0
        )
        at.run()
        assert not at.exception
        assert "<img" not in at.header[0].value.replace("\\<", "")

    def test_examples_of_three_ranks_with_text_alternatives(self) -> None:
        at, _ = app(concept=RULER)
        at.run()
        assert not at.exception
        said = texts(at)
        for words in ("Where it fires most", "In the middle", "Where it barely fires"):
            assert words in said

    @pytest.mark.parametrize("look", ["Close-up", "Without the map"])
    def test_examples_can_be_looked_at_otherwise(self, look: str) -> None:
        at, _ = app(concept=RULER)
        at.run()
        at.segmented_control(key="concept-look").set_value(look).run()
        assert not at.exception

    def test_a_lost_image_does_not_hide_the_others(self) -> None:
        book = fakes.Book(lost=frozenset({fakes.uid("image", 1)}))
        at, _ = app(book, concept=RULER)
        at.run()
        assert not at.exception
        assert not at.error

    @pytest.mark.parametrize("tab", ["Where it fires", "Relations", "Use and verdicts"])
    def test_every_tab_draws(self, tab: str) -> None:
        at, _ = app(concept=RULER)
        at.session_state["concept-tab"] = tab
        at.run()
        assert not at.exception
        assert {
            "Where it fires": "By place in the image",
            "Relations": "Move, merge or split it",
            "Use and verdicts": "What people said, by class",
        }[tab] in texts(at)

    def test_an_unknown_concept_is_a_sentence(self) -> None:
        at, _ = app(concept="nothing")
        at.run()
        assert not at.exception
        assert "Choose another from the list" in texts(at)


class TestMarks:
    def test_mark_and_lock_ask_why_and_show(self) -> None:
        at, services = app(concept=RULER)
        at.run()
        at.text_input(key=f"why-locked-{RULER}-0").set_value("agreed in March")
        press(at, "Lock the name now")
        press(at, "Mark as artefact now")
        row = services.concepts.view(RULER).row
        assert (row.locked, row.artefact) == (True, True)
        reasons = {mark.kind: mark.reason for mark in services.concepts.view(RULER).marks}
        assert reasons == {"locked": "agreed in March", "artefact": ""}
        assert next(b for b in at.button if b.label == "Rename").disabled
        assert "Dr Example locked this name" in texts(at)
        press(at, "Unlock the name now")
        assert not next(b for b in at.button if b.label == "Rename").disabled

    def test_a_mark_over_an_unseen_one_is_refused(self) -> None:
        at, services = app(concept=RULER)
        at.run()
        services.concepts.mark(
            id="1", concept_id=RULER, reviewer_id="x", kind="locked", value=True, based_on=0
        )
        press(at, "Lock the name now")
        assert "somebody changed it meanwhile" in at.warning[0].value

    def test_an_expert_may_propose_and_not_change(self) -> None:
        at, services = app(concept=RULER)
        services.concepts.marks.may = False
        at.session_state["concept-tab"] = "Relations"
        at.run()
        labels = {button.label for button in at.button}
        assert "Propose it" in labels
        assert not labels & {"Change it now", "Lock the name now", "Mark as artefact now"}
        assert next(b for b in at.button if b.label == "Rename").disabled


class TestProposals:
    def propose(self, at: AppTest, kind: str = "Merge it into another") -> None:
        at.session_state["concept-tab"] = "Relations"
        at.run()
        at.segmented_control(key="propose-kind").set_value(kind).run()
        at.text_input(key="propose-find").set_value("hair").run()
        at.selectbox(key="propose-target").set_value(fakes.uid("concept", "hair")).run()
        at.text_input(key="propose-why").set_value("the same thing").run()

    def test_what_was_chosen_stays_chosen_while_the_search_goes_on(self) -> None:
        at, _ = app(concept=fakes.uid("concept", "ruler"))
        at.run()
        self.propose(at)
        at.text_input(key="propose-find").set_value("network").run()
        assert not at.exception
        assert at.selectbox(key="propose-target").value == fakes.uid("concept", "hair")
        assert not at.button(key="propose").disabled
        at.segmented_control(key="propose-kind").set_value("Move it under another").run()
        assert at.selectbox(key="propose-target").value == fakes.uid("concept", "hair")

    def test_no_parent_is_no_choice_for_a_merge(self) -> None:
        at, _ = app(concept=fakes.uid("concept", "ruler"))
        at.run()
        self.propose(at, "Move it under another")
        at.selectbox(key="propose-target").set_value("").run()
        assert not at.button(key="propose").disabled
        at.segmented_control(key="propose-kind").set_value("Merge it into another").run()
        assert not at.exception
        assert at.selectbox(key="propose-target").value is None
        assert at.button(key="propose").disabled

    def test_a_merge_is_proposed_then_accepted_and_rolls_up(self) -> None:
        at, services = app(concept=RULER)
        self.propose(at)
        press(at, "Propose it")
        assert "waits under Proposals" in at.success[0].value
        (found,) = services.hierarchy.inbox("", "").open
        assert (found.kind, found.target, found.reason) == ("merge", "hair", "the same thing")
        at.query_params["show"] = "proposals"
        at.run()
        press(at, "Accept")
        assert services.concepts.marks.merged == {"ruler": "hair"}
        assert "Accepted" in at.success[0].value
        at.query_params["show"] = "list"
        at.query_params["concept"] = RULER
        at.run()
        assert "Merged into “hair”" in texts(at)

    def test_declining_asks_for_a_reason(self) -> None:
        at, services = app(concept=RULER)
        self.propose(at)
        press(at, "Propose it")
        at.query_params["show"] = "proposals"
        at.run()
        press(at, "Decline")
        assert "Say why" in at.warning[0].value
        (found,) = services.hierarchy.inbox("", "").open
        at.text_input(key=f"decide-why-{found.id}").set_value("two things")
        press(at, "Decline")
        (decided,) = services.hierarchy.inbox("", "").decided
        assert decided.decisions[-1].reason == "two things"
        assert list(at.table[0].value["Decision"]) == ["declined"]

    def test_a_parent_can_be_changed_at_once(self) -> None:
        at, services = app(concept=RULER)
        self.propose(at, "Move it under another")
        at.radio(key="propose-relation").set_value("it is part of that").run()
        press(at, "Change it now")
        assert services.concepts.marks.parents["ruler"] == ("hair", "part-of")

    def test_a_split_names_two_parts_or_more(self) -> None:
        at, services = app(concept=RULER)
        at.session_state["concept-tab"] = "Relations"
        at.run()
        at.segmented_control(key="propose-kind").set_value("Split it").run()
        at.text_area(key="propose-parts").set_value("straight scale").run()
        assert next(b for b in at.button if b.label == "Propose it").disabled
        at.text_area(key="propose-parts").set_value("straight scale\nround sticker").run()
        press(at, "Propose it")
        (found,) = services.hierarchy.inbox("", "").open
        assert found.parts == ("straight scale", "round sticker")

    def test_a_decision_over_an_unseen_one_is_refused(self) -> None:
        at, services = app(concept=RULER)
        self.propose(at)
        press(at, "Propose it")
        at.query_params["show"] = "proposals"
        at.run()
        services.concepts.marks.decisions += 1
        press(at, "Accept")
        assert "somebody decided about the hierarchy meanwhile" in at.warning[0].value
        assert not services.concepts.marks.merged

    def test_no_proposals_says_what_to_do(self) -> None:
        at, _ = app(show="proposals")
        at.run()
        assert "No proposals" in texts(at)


class TestTree:
    @pytest.mark.parametrize("look", ["Tree", "Icicle", "Sunburst"])
    def test_the_hierarchy_draws_each_way(self, look: str) -> None:
        at, _ = app(show="hierarchy")
        at.session_state["hierarchy-look"] = look
        at.run()
        assert not at.exception
        assert "ruler" in {header.value for header in at.header}  # the first one is open

    def test_a_chosen_concept_shows_relatives_and_the_form(self) -> None:
        at, _ = app(show="hierarchy", concept=RULER)
        at.run()
        assert not at.exception
        assert any(button.label.startswith("ink marking :gray[") for button in at.button)
        press(at, "Open its page: examples, places, history")
        assert at.query_params["show"] in ("list", ["list"])

    def test_rows_are_flat_with_parents_before_children(self) -> None:
        leaf = TreeNodeView("c", 3, "c", True, 0.1, "is-a", "person", merged=("x",), also=("y",))
        other = TreeNodeView("b", 2, "b", False, 0.25, "part-of", "model", (leaf,), artefact=True)
        found = rows((TreeNodeView("a", 1, "a", True, 0.5, None, None, (other,)),))
        assert [row[0] for row in found] == ["a", "b", "c"]
        assert [row[7] for row in found] == [-1, 0, 1]
        assert found[1][8] == ["artefact"]
        assert found[2][9:] == [["x"], ["y"]]

    def test_what_the_tree_sends_is_read_strictly(self) -> None:
        assert picked({"pick": "abc"}) == "abc"
        assert picked({"pick": ["abc"]}) is None
        assert picked({"pick": "x" * 65}) is None
        assert picked(None) is None


class TestPictures:
    def test_figures_say_in_words_what_they_show(self) -> None:
        rows = (FiringView("<b>naevus</b>", 3, 4, 1.0), FiringView("melanoma", 1, 4, 0.5))
        figure, words = concept_figures.firing(rows, "class")
        assert "<b>naevus</b> 75 %, 3 of 4" in words
        assert figure.data[0].y[0] == "&lt;b&gt;naevus&lt;/b&gt;"
        _, where = concept_figures.positions(
            PositionsView((3, 3), (0, 0, 0, 0, 0, 0, 0, 0, 0.8), 5)
        )
        assert "lower right 80\xa0%" in where
        assert "5 images" in where

    def test_nested_boxes_keep_every_ancestor_and_escape_names(self) -> None:
        leaf = TreeNodeView("c", 3, "<i>c</i>", True, 0.1, "part-of", "model")
        root = TreeNodeView("a", 1, "a", True, 0.5, None, None, (leaf,))
        figure, words = concept_figures.hierarchy((root,), "Icicle")
        assert list(figure.data[0].parents) == ["", "all", "a"]
        assert list(figure.data[0].labels) == ["all concepts", "a", "&lt;i&gt;c&lt;/i&gt;"]
        assert "a with 1 below" in words

    def test_a_close_up_is_the_part_inside_the_box(self) -> None:
        import io

        from PIL import Image

        content = png(phantom(0).image)
        part = Image.open(io.BytesIO(pictures.close_up(content, (0.0, 0.0, 0.5, 0.25))))
        assert part.size == (pictures.SIDE, pictures.SIDE)
        # Twice as wide as high: bars of the mat above and below.
        assert part.getpixel((0, 0)) == part.getpixel((pictures.SIDE - 1, 10)) == pictures.MAT
        assert part.getpixel((112, 112)) != pictures.MAT
