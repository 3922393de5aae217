"""The Report screen over the fakes: scope by address, figures, making files."""

from __future__ import annotations

from dataclasses import replace

from core.phantoms import CLASSES
from tests import fakes
from tests.ui.screen import app, opened, plain_texts, press, run, texts


def _judged(hostile: bool = False) -> fakes.Book:
    book = fakes.Book(hostile=hostile)
    fakes.with_history(fakes.services(book))
    return book


def test_an_empty_review_says_what_to_do() -> None:
    at, _ = opened("report")
    said = texts(at)
    assert "No verdicts in this scope" in said
    assert "No criterion was fixed in advance" in said
    assert "None yet." in said


def test_every_figure_says_what_it_is_and_how_sure() -> None:
    at, _ = opened("report", _judged())
    assert len(at.metric) >= 8
    assert all(metric.help for metric in at.metric)
    shown = {metric.label.replace("\\", ""): metric.value for metric in at.metric}
    assert shown["Accuracy"].replace("\xa0", " ") == "87.3 %"
    assert shown["Agreement on cues"].replace("\xa0", " ") == "not known"
    said = plain_texts(at)
    assert "95 % interval 82.7 to 90.8, 249 held-out cases" in said
    assert "no cue was judged by two people" in said
    assert "348 of 849 cases reviewed" in said


def test_criteria_pass_fail_or_cannot_be_said() -> None:
    at, _ = opened("report", _judged())
    marks = [each.value for each in at.markdown if "-badge[:material" in each.value]
    assert [("fail" in m, "cannot be said" in m, "pass]" in m) for m in marks] == [
        (True, False, False), (False, True, False), (False, False, True),
    ]  # fmt: skip
    assert "No cue was judged by two people yet." in plain_texts(at)


def test_spurious_concepts_come_with_pictures_and_what_was_not_reviewed() -> None:
    at, _ = opened("report", _judged())
    said = plain_texts(at)
    assert "scale bar: 134 verdicts spurious in 120 cases" in said.replace("**", "")
    assert "501 cases of 849 (59.0 %) were not reviewed by anybody." in said
    tables = [element.value for element in at.table]
    names = [list(table.iloc[:, 1]) for table in tables if "Not reviewed" in table.columns]
    assert names == [[CLASSES[1], CLASSES[0], "without one", "test"]]


def test_the_address_names_the_scope_and_the_boxes_write_it() -> None:
    at, services = opened("report", _judged(), **{"class": CLASSES[1], "since": "2026-05-01"})
    scope, who = services.reports.asked[-1]
    assert (scope.class_name, str(scope.since), who) == (CLASSES[1], "2026-05-01", "Ada")
    assert at.selectbox(key="report-class").value == CLASSES[1]
    at.selectbox(key="report-class").select(CLASSES[0])
    run(at)
    assert at.query_params["class"] == CLASSES[0]
    assert services.reports.asked[-1][0].class_name == CLASSES[0]
    at.selectbox(key="report-class").select("all")
    run(at)
    assert "class" not in at.query_params
    at.date_input(key="report-since").set_value(None)
    run(at)
    assert "since" not in at.query_params
    assert services.reports.asked[-1][0].as_dict() == {}


def test_one_case_alone_can_be_left() -> None:
    case = fakes.uid("case", 0)
    at, services = opened("report", _judged(), of=case)
    assert services.reports.asked[-1][0].case_id == case
    press(at, "report-whole")
    assert services.reports.asked[-1][0].case_id is None


def test_a_scope_that_cannot_be_meant_is_refused_in_a_sentence() -> None:
    at, _ = opened("report", _judged(), **{"class": "unicorn"})
    assert "is not a class of this project" in plain_texts(at)
    at, _ = opened("report", _judged(), since="yesterday")
    assert "a day as 2026-03-31" in plain_texts(at)


def test_a_small_report_is_made_at_once_and_can_be_downloaded() -> None:
    at, services = opened("report", _judged())
    assert "It is made while you wait" in texts(at)
    at.multiselect(key="report-formats").set_value(["html", "pdf"])
    press(at, "report-make")
    assert [row.format for row in services.report_making.made] == ["html", "pdf"]
    said = texts(at)
    assert said.count(":green-badge[new]") == 2
    assert "abababababababab" in said
    assert len(list(at.get("download_button"))) == 2


def test_what_cannot_be_made_says_why() -> None:
    at, services = opened("report", _judged())
    services.report_making.refuses = "PDF cannot be made on this machine"
    press(at, "report-make")
    assert "PDF cannot be made on this machine" in plain_texts(at)
    assert not services.report_making.made


def test_a_large_report_goes_to_the_worker_with_a_bar() -> None:
    at, services = app(_judged(), "report")
    services.report_making.cases = 10_000
    run(at)
    assert "The worker makes it" in texts(at)
    press(at, "report-make")
    assert len(services.report_making.runs) == 1
    assert "its files will be listed here" in plain_texts(at)
    assert at.get("progress")
    for _ in range(4):
        run(at)
    assert [row.format for row in services.report_making.made] == ["html"]


def test_a_report_that_failed_says_so() -> None:
    at, services = opened("report", _judged())
    services.report_making.start(
        id=fakes.uid("run", 1), project_id="p", reviewer_id="r",
        scope=services.reports.asked[0][0], formats=("pdf",),
    )  # fmt: skip
    services.report_making.runs[0].state = "failed"
    run(at)
    assert "failed. Too few words." in plain_texts(at)
    assert at.button(key=f"again-{fakes.uid('run', 1)}")


def test_a_file_that_has_gone_is_listed_without_a_download() -> None:
    at, services = opened("report", _judged())
    press(at, "report-make")
    services.report_making.made = [replace(services.report_making.made[0], there=False)]
    run(at)
    assert "no longer in the workspace" in texts(at)
    assert not at.get("download_button")
    assert "written outside" not in texts(at)


def test_a_file_that_the_command_line_wrote_elsewhere_is_not_called_lost() -> None:
    at, services = opened("report", _judged())
    press(at, "report-make")
    made = replace(services.report_making.made[0], there=False, path=None)
    services.report_making.made = [made]
    run(at)
    assert "written outside the workspace" in texts(at)
    assert "no longer" not in texts(at)


def test_a_blind_review_says_that_only_ones_own_words_are_told() -> None:
    at, services = app(_judged(), "report")
    services.report_making.blind = True
    run(at)
    assert "until the lead closes the review" in texts(at)


def test_hostile_names_are_shown_as_text() -> None:
    at, _ = opened("report", _judged(hostile=True))
    assert fakes.HOSTILE not in texts(at)
    assert fakes.HOSTILE in plain_texts(at)
