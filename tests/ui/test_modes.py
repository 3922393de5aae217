"""Diagnose, validate and discover over the fakes, driven by Streamlit's AppTest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from core.phantoms import CLASSES
from dashboard.services.project_settings import ProjectSettings
from dashboard.viewmodels.modes import TroubleView
from dashboard.views import bars, diagnose_page, validate_page
from tests import fakes
from tests.fakes.modes import NAMELESS, FakeDiagnosing, FakeDiscovering

TIMEOUT = 120
FIRST, SECOND = fakes.uid("case", 0), fakes.uid("case", 3)
HOSTILE_BOOK = fakes.Book(hostile=True)


def app(
    mode: str, book: fakes.Book | None = None, services: fakes.FakeServices | None = None,
    **query: str,
) -> tuple[AppTest, fakes.FakeServices]:  # fmt: skip
    """One mode with a seated reviewer."""

    def script() -> None:
        import streamlit as st

        from dashboard.screens import diagnose, discover, validate
        from dashboard.screens.context import Sitting
        from dashboard.state import DeskState, Reviewer

        services = st.session_state["fakes"]
        reviewer = Reviewer(services.review.sign_in("Ada"), "Ada")
        project = services.projects.list()[0]
        pages = {"diagnose": diagnose, "validate": validate, "discover": discover}
        page = pages[st.session_state["mode"]].page
        page(Sitting(services, DeskState(st.session_state), reviewer, project))

    services = services or fakes.services(book)
    at = AppTest.from_function(script, default_timeout=TIMEOUT)
    at.session_state["fakes"] = services
    at.session_state["mode"] = mode
    for name, value in query.items():
        at.query_params[name] = value
    return at, services


def texts(at: AppTest) -> str:
    """All that a screen says, in one string."""
    found = (*at.markdown, *at.caption, *at.header, *at.subheader, *at.title, *at.info, *at.toast)
    said = (*at.error, *at.warning, *at.success, *at.get("html"))
    return "\n".join(str(getattr(e, "value", None) or e.proto.body) for e in (*found, *said))


def blind(services: fakes.FakeServices, *hidden: str) -> fakes.FakeServices:
    """The same services in a project that hides something."""

    class Rules:
        def __getattr__(self, name: str) -> object:
            return getattr(services.settings_of, name)

        def of(self, project_id: str) -> ProjectSettings:
            return replace(services.settings_of.of(project_id), blind=frozenset(hidden))

    return replace(services, settings_of=Rules())  # type: ignore[arg-type]


class TestDiagnose:
    def test_opens_the_surest_error_and_says_why(self) -> None:
        at, _ = app("diagnose")
        at.run()
        assert not at.exception
        assert at.query_params["case"] == [FIRST] or at.query_params["case"] == FIRST
        said = texts(at)
        assert "**2 errors**" in said
        assert "**Wrong:** labelled **naevus**, decided **melanoma**" in said
        assert "What misled it" in said
        assert "Confirmed" in said
        assert "75 % alike" in said

    def test_a_similar_case_can_be_opened(self) -> None:
        at, _ = app("diagnose")
        at.run()
        at.button(key=f"alike-{fakes.uid('case', 1)}").click().run()
        assert not at.exception
        assert at.query_params["case"] in (fakes.uid("case", 1), [fakes.uid("case", 1)])

    def test_the_kind_can_be_chosen(self) -> None:
        at, _ = app("diagnose")
        at.run()
        at.selectbox(key="trouble-kind").select("Near misses").run()
        assert not at.exception
        assert list(at.dataframe[0].value["Kind"]) == ["≈ near miss"]
        assert at.query_params["case"] in (fakes.uid("case", 4), [fakes.uid("case", 4)])

    def test_no_labels_say_what_to_do(self) -> None:
        services = fakes.services()
        services = replace(services, diagnosing=FakeDiagnosing(services.book, labelled=False))
        at, _ = app("diagnose", services=services)
        at.run()
        assert not at.exception
        assert "insight ingest" in at.code[0].value
        at.query_params["mode"] = "diagnose"
        at.button[0].click().run()
        assert "mode" not in at.query_params

    def test_a_blind_project_shows_nothing_before_my_word(self) -> None:
        at, _ = app("diagnose", services=blind(fakes.services(), "labels"))
        at.run()
        assert not at.exception
        assert "Nothing to diagnose yet" in texts(at)
        assert "Wrong:" not in texts(at)

    def test_hostile_names_stay_text(self) -> None:
        at, _ = app("diagnose", fakes.Book(hostile=True))
        at.run()
        assert not at.exception
        said = texts(at)
        assert "<img" not in said.replace("\\<img", "")
        assert "&lt;img" in said


class TestValidate:
    def test_shows_what_the_decisions_rest_on(self) -> None:
        at, _ = app("validate")
        at.run()
        assert not at.exception
        assert {metric.label: metric.value for metric in at.metric} == {
            "Decided for it": "120 cases", "Right": "88 %", "Reviewed": "26 %",
            "Reasons judged": "0 %",
        }  # fmt: skip
        assert "No concept is called spurious" in texts(at)
        assert "What others said shows once your own word is in" in texts(at)
        assert "Dr B" not in texts(at)

    def test_a_word_is_kept_and_shows_what_leans_on_it(self) -> None:
        at, services = app("validate")
        at.run()
        key = f"word-{CLASSES[0]}-{fakes.uid('concept', 'ruler')}-0"
        at.segmented_control(key=key).select("spurious").run()
        assert not at.exception
        ((concept, name, _), word), *rest = services.validating.given.items()
        assert (concept, name, word.value, rest) == (
            fakes.uid("concept", "ruler"), CLASSES[0], "spurious", [],
        )  # fmt: skip
        said = texts(at)
        assert "called spurious" in said
        assert "**87 of 104** right decisions stay the same" in said
        assert "Right for the wrong reason" in said
        assert "Dr B" in said
        assert "\\<b\\>one" in said

    def test_a_reason_and_a_comment_can_be_added(self) -> None:
        at, services = app("validate")
        at.run()
        ruler = fakes.uid("concept", "ruler")
        at.segmented_control(key=f"word-{CLASSES[0]}-{ruler}-0").select("spurious").run()
        at.selectbox(key=f"why-{ruler}-1").select("artefact")
        at.text_area(key=f"text-{ruler}-1").input("seen in one ward only")
        next(b for b in at.button if b.label == "Keep").click().run()
        assert not at.exception
        (word,) = services.validating.given.values()
        assert (word.value, word.reason, word.revision) == ("spurious", "artefact", 2)
        assert word.comment == "seen in one ward only"

    def test_a_second_choice_takes_it_back(self) -> None:
        at, services = app("validate")
        at.run()
        ruler = fakes.uid("concept", "ruler")
        at.segmented_control(key=f"word-{CLASSES[0]}-{ruler}-0").select("correct").run()
        at.segmented_control(key=f"word-{CLASSES[0]}-{ruler}-1").unselect("correct").run()
        assert not at.exception
        (word,) = services.validating.given.values()
        assert (word.value, word.revision) == ("withdrawn", 2)

    def test_a_word_given_elsewhere_meanwhile_is_a_sentence(self) -> None:
        at, services = app("validate")
        at.run()
        ruler = fakes.uid("concept", "ruler")
        me = services.review.sign_in("Ada")
        services.validating.judge(
            id="other tab", concept_id=ruler, class_name=CLASSES[0], reviewer_id=me,
            value="unsure", based_on=0,
        )  # fmt: skip
        at.segmented_control(key=f"word-{CLASSES[0]}-{ruler}-0").select("correct").run()
        assert not at.exception
        assert "another word of yours" in texts(at)

    def test_the_address_names_class_and_concept(self) -> None:
        at, _ = app("validate", **{"class": CLASSES[1], "concept": fakes.uid("concept", NAMELESS)})
        at.run()
        assert not at.exception
        assert at.subheader[0].value == NAMELESS
        at.button(key=f"reason-{fakes.uid('concept', 'streaks')}").click().run()
        assert at.subheader[0].value == "streaks"

    def test_an_example_opens_at_the_desk(self) -> None:
        at, _ = app("validate")
        at.run()
        at.button(key=f"open-{fakes.uid('case', 1)}").click().run()
        assert at.query_params["mode"] in ("review", ["review"])
        assert at.query_params["case"] in (fakes.uid("case", 1), [fakes.uid("case", 1)])

    def test_pictures_wait_in_a_blind_project(self) -> None:
        at, _ = app("validate", services=blind(fakes.services(), "prediction"))
        at.run()
        assert not at.exception
        assert "they show once your word is in" in texts(at)

    def test_hostile_names_stay_text(self) -> None:
        at, _ = app("validate", HOSTILE_BOOK)
        at.run()
        assert not at.exception
        assert all("<img" not in b.label.replace("\\<img", "") for b in at.button)


class TestDiscover:
    def test_the_first_candidate_with_pictures_and_words(self) -> None:
        at, _ = app("discover")
        at.run()
        assert not at.exception
        assert at.header[0].value == NAMELESS
        said = texts(at)
        assert "AUC **0.97** (95 % interval 0.93 to 1.00" in said
        assert "It has no name" in said
        assert len(at.checkbox) == 6

    def test_the_other_one_speaks_against(self) -> None:
        at, _ = app("discover", concept=fakes.uid("concept", "scar"))
        at.run()
        assert "Speaks **against seborrhoeic keratosis**" in texts(at)
        assert "The vocabulary does not know its name" in texts(at)

    def test_ticked_cases_are_collected(self) -> None:
        at, services = app("discover")
        at.run()
        assert at.button(key="collect").disabled
        concept = fakes.uid("concept", NAMELESS)
        for number in (0, 2):
            at.checkbox(key=f"pick-{concept}-{fakes.uid('case', number)}").check()
        at.run()
        at.button(key="collect").click().run()
        assert not at.exception
        assert "2 cases collected in “Hypothesis\\: concept 3”" in texts(at)
        kept = services.studies.collections(services.projects.list()[0].id, kind="hypothesis")
        assert [one.title for one in kept] == ["Hypothesis: concept 3"]
        assert not any(box.value for box in at.checkbox)
        for number in (0, 1):  # one of them is there already
            at.checkbox(key=f"pick-{concept}-{fakes.uid('case', number)}").check()
        at.run()
        at.button(key="collect").click().run()
        assert "1 case collected" in texts(at)
        assert "1 case was there already" in texts(at)

    def test_a_hypothesis_is_kept(self) -> None:
        at, services = app("discover")
        at.run()
        at.text_area[0].input("a <b>bright</b> rim")
        next(b for b in at.button if b.label == "Keep the hypothesis").click().run()
        assert not at.exception
        (note,) = services.notes.of_concept(fakes.uid("concept", NAMELESS))
        assert (note.kind, note.text) == ("hypothesis", "a <b>bright</b> rim")
        assert "\\<b\\>bright" in texts(at)

    def test_nothing_without_a_word_is_good_news(self) -> None:
        services = fakes.services()
        services = replace(services, discovering=FakeDiscovering(services.notes, rows=0))
        at, _ = app("discover", services=services)
        at.run()
        assert not at.exception
        assert "Everything has a word" in texts(at)


class TestWords:
    def test_a_blind_list_says_how_many_it_leaves_out(self) -> None:
        said = diagnose_page.summary(TroubleView((), 0, 0, 3, 0.2, (), withheld=5))
        assert "5 cases left out" in said
        assert diagnose_page.confusions(TroubleView((), 0, 0, 3, 0.2, ())) == ""

    @pytest.mark.parametrize(
        ("reread", "said"),
        [(None, "Not tested"), ("naevus", "Confirmed"), ("melanoma", "Not confirmed")],
    )
    def test_whether_a_way_was_confirmed(self, reread: str | None, said: str) -> None:
        view = FakeDiagnosing(fakes.Book()).diagnose(FIRST, margin=0.2)
        path = replace(view.paths[0], reread=reread)
        assert diagnose_page._tested(path, "naevus").startswith(said)
        assert "look whether" in diagnose_page._tested(view.paths[1], "naevus")

    def test_every_outcome_has_its_headline(self) -> None:
        view = FakeDiagnosing(fakes.Book()).diagnose(FIRST, margin=0.2)
        heads = {
            diagnose_page.headline(replace(view, outcome=kind)).split(":")[0]
            for kind in ("error", "near miss", "right", "no label")
        }
        assert heads == {"**Wrong", "**Nearly wrong", "**Right", "**No label"}

    def test_figures_have_signs_and_shares_units(self) -> None:
        assert [bars.signed(v) for v in (1.0, -1.0, 0.001)] == [
            "+1.00",
            f"{bars.MINUS}1.00",
            "0.00",
        ]
        assert [bars.percent(v) for v in (0.0, 0.034, 0.5, 1.0)] == [
            "0 %",
            "3.4 %",
            "50 %",
            "100 %",
        ]

    def test_a_class_without_right_decisions(self) -> None:
        view = fakes.services().validating.view("p", CLASSES[0], "me")
        assert "No case of this class was decided rightly" in validate_page.fragile(
            replace(view, right=0)
        )
