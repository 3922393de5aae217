"""Runs over the fakes, driven by Streamlit's AppTest (no browser)."""

from __future__ import annotations

from uuid import uuid4

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

from dashboard.services.project_settings import parse
from tests import fakes
from tests.ui.screen import app, opened, plain_texts, press, run


def judged(services: fakes.FakeServices) -> None:
    """One verdict: without any there is nothing to learn from."""
    services.review.give_verdict(
        id=str(uuid4()), cue_id=fakes.uid("cue", 0, "ruler"), based_on=0, value="spurious",
        reviewer_id=services.review.sign_in("Ada"),
    )  # fmt: skip


def with_verdict(**address: str) -> tuple[AppTest, fakes.FakeServices]:
    at, services = app(screen="runs", **address)
    judged(services)
    return run(at), services


def done(seed: int = 0, **address: str) -> tuple[AppTest, fakes.FakeServices, str]:
    """The screen at a run that has ended well."""
    at, services = app(screen="runs", **address)
    judged(services)
    run_id = services.runs.start_reweight(
        id=str(uuid4()), project_id="", reviewer_id=None, seed=seed
    ).id
    while services.runs.get(run_id).state != "succeeded":
        pass
    at.query_params["run"] = run_id
    return run(at), services, run_id


def strategy(at: AppTest) -> Selectbox:
    return next(box for box in at.selectbox if box.label == "Strategy")


def button(at: AppTest, label: str) -> AppTest:
    next(each for each in at.button if each.label == label).click()
    return run(at)


class TestStart:
    def test_without_spurious_verdicts_a_run_cannot_start(self) -> None:
        at, _ = opened("runs")
        assert next(b for b in at.button if b.label == "Start the run").disabled
        assert "No runs yet" in plain_texts(at)
        assert "Mark at least one cue as spurious first" in plain_texts(at)

    def test_says_what_goes_in_and_what_is_amiss_with_it(self) -> None:
        at, _ = with_verdict()
        said = plain_texts(at)
        assert "1 spurious verdict" in said
        assert "3 drawn regions (1 rejected place among them)" in said
        assert "the rejected column camera" in said
        assert "Dr Coin's words are as good as guessing." in at.warning[0].value.replace("\\", "")
        assert "People are even on 1 cue" in said
        assert at.expander[0].label == "Worth knowing (1)"
        (people,) = (table.value for table in at.table)
        assert list(people["Reliable"]) == [r"94 %", r"52 %"]

    def test_a_strategy_its_settings_and_the_seed_reach_the_run(self) -> None:
        at, services = with_verdict()
        strategy(at).set_value("groups")
        run(at)
        at.number_input(key="option-Reweight-groups-regions").set_value(12)
        at.number_input(key="run-seed").set_value(7)
        run(at)
        button(at, "Start the run")
        (found,) = services.book.runs.values()
        assert (found.kind, found.strategy, found.seed) == ("reweight", "groups", 7)
        assert services.runs.asked[found.id] == {"regions": 12, "strength": 1.0}
        assert at.query_params["run"] == found.id

    def test_what_the_evidence_cannot_feed_is_not_offered_and_says_what_it_lacks(self) -> None:
        at, _ = with_verdict()
        assert "Balance columns" not in strategy(at).options
        assert "no column of the data was called spurious yet" in plain_texts(at)

    def test_fine_tuning_has_a_form_of_its_own(self) -> None:
        at, services = with_verdict()
        at.segmented_control(key="run-way").set_value("Fine-tune")
        run(at)
        assert not [box for box in at.selectbox if box.label == "Strategy"]
        at.number_input(key="option-Fine-tune--epochs").set_value(3)
        at.toggle(key="option-Fine-tune--bf16").set_value(True)
        run(at)
        button(at, "Start the run")
        (found,) = services.book.runs.values()
        assert found.kind == "finetune"
        wanted = {"what": "lora", "epochs": 3, "rate": 1e-4, "rank": 8, "bf16": True}
        assert services.runs.asked[found.id] == wanted

    def test_what_few_need_stands_apart_and_what_means_nothing_is_not_asked(self) -> None:
        at, services = with_verdict()
        at.segmented_control(key="run-way").set_value("Fine-tune")
        run(at)
        (more,) = (each for each in at.expander if each.label == "More settings")
        assert {each.label for each in more.number_input} == {
            "Learning rate", "Size of the adapters",
        }  # fmt: skip
        at.selectbox(key="option-Fine-tune--what").set_value("last")
        run(at)
        assert "Size of the adapters" not in {each.label for each in at.number_input}
        button(at, "Start the run")
        (found,) = services.book.runs.values()
        assert "rank" not in services.runs.asked[found.id]

    def test_a_refusal_is_a_sentence(self) -> None:
        at, services = with_verdict()
        at.number_input(key="run-seed").set_value(666)
        run(at)
        button(at, "Start the run")
        assert not services.book.runs
        assert "this seed is not allowed" in plain_texts(at)

    def test_a_hostile_name_is_escaped(self) -> None:
        at, services = app(fakes.Book(hostile=True), screen="runs")
        judged(services)
        run(at)
        bodies = " ".join(str(each.proto.body) for each in at.get("html"))
        assert "&lt;img" in bodies
        assert "<img" not in bodies


class TestWatch:
    def test_start_watch_decide(self) -> None:
        at, services = with_verdict()
        button(at, "Start the run")
        (run_id,) = services.book.runs
        while services.book.runs[run_id].state != "succeeded":
            run(at)
        run(at)
        assert "waits for your decision" in plain_texts(at)
        button(at, "Use this version")
        assert any("is the active one" in each.value for each in at.success)
        (event,) = services.versions.events("")
        assert (event.kind, event.by, event.reason) == ("activate", "Ada", "")

    def test_the_heading_goes_with_the_run(self) -> None:
        at, services = app(screen="runs")
        run_id = services.runs.start_finetune(id=str(uuid4()), project_id="", reviewer_id=None).id
        services.runs.hold = True
        run(at)
        said = plain_texts(at)
        assert "Waiting for the worker" in said
        assert "result" not in said  # there is none yet
        services.runs.set(run_id, state="running", progress=0.5, snapshot_hash="77aa" * 16)
        run(at)
        said = plain_texts(at)
        assert "Running. Asked for by Dr Example" in said
        assert "snapshot 77aa77aa77" in said
        assert "Waiting for the worker" not in said

    def test_a_running_one_shows_its_curves_and_can_be_cancelled(self) -> None:
        at, services = app(screen="runs")
        judged(services)
        run_id = services.runs.start_finetune(id=str(uuid4()), project_id="", reviewer_id=None).id
        services.runs.set(run_id, state="running", progress=0.5)
        services.runs.hold = True
        run(at)
        alts = [each.proto.alt for each in at.get("plotly_chart")]
        assert len(alts) == 2  # the losses share a plot
        assert any("Training from 1 nats to" in alt and "Validation" in alt for alt in alts)
        button(at, "Cancel the run")
        assert services.book.runs[run_id].state == "cancelled"

    def test_a_stopped_one_resumes_from_its_checkpoint_or_starts_anew(self) -> None:
        for label, progress in (("Resume", 0.5), ("Start it again", 0.0)):
            at, services = app(screen="runs")
            run_id = services.runs.start_finetune(
                id=str(uuid4()), project_id="", reviewer_id=None
            ).id
            services.runs.set(run_id, progress=0.5)
            services.runs.cancel(run_id)
            services.runs.hold = True
            run(at)
            assert "Resumed, it goes on at 30 %: step 120 of 400." in plain_texts(at)
            button(at, label)
            assert services.book.runs[run_id].state == "queued"
            assert services.book.runs[run_id].progress == progress

    def test_a_failed_run_says_why_and_can_start_again(self) -> None:
        at, services = with_verdict()
        found = services.runs.start_reweight(id=str(uuid4()), project_id="", reviewer_id=None)
        services.runs.set(found.id, state="failed", message="too few verdicts on the ruler")
        run(at)
        assert "The run failed. Too few verdicts on the ruler." in plain_texts(at)
        assert not any(each.label == "Resume" for each in at.button)
        button(at, "Start it again")
        assert services.book.runs[found.id].state in {"queued", "running"}

    @pytest.mark.parametrize("state", ["interrupted", "cancelled"])
    def test_a_stopped_run_can_start_again(self, state: str) -> None:
        at, services = app(screen="runs")
        found = services.runs.start_reweight(id=str(uuid4()), project_id="", reviewer_id=None)
        services.runs.set(found.id, state=state)
        run(at)
        assert state in at.warning[0].value
        assert any(each.label == "Start it again" for each in at.button)


class TestOtherWork:
    """Exports and checks for drift are runs that change no model."""

    def test_they_are_not_listed_and_not_opened_by_themselves(self) -> None:
        at, services, run_id = done()
        for n, task in enumerate(("export", "drift")):
            services.runs.start_finetune(id=f"{task}-{n}", project_id="", reviewer_id=None)
            services.runs.set(f"{task}-{n}", kind="evaluate", task=task, state="succeeded")
        del at.query_params["run"]
        run(at)
        listed = {each.key for each in at.button if each.key and each.key.startswith("run-")}
        assert listed == {"run-new", f"run-{run_id}"}
        assert "Worst-group accuracy" in {metric.label for metric in at.metric}

    def test_an_export_says_what_it_made_and_where(self) -> None:
        at, services = app(screen="runs", run="export-1")
        services.runs.start_finetune(id="export-1", project_id="", reviewer_id=None)
        made = {"path": "exports/demo/report.html", "format": "html", "size": 2_500_000}
        services.runs.set(
            "export-1", kind="evaluate", task="export", state="succeeded",
            details={"files": [made]},
        )  # fmt: skip
        run(at)
        (files,) = (table.value for table in at.table)
        assert list(files["Size"]) == [r"2\.4 MB"]
        assert files["File"][0].replace("\\", "") == "exports/demo/report.html"
        (link,) = at.get("page_link")
        assert link.proto.page.endswith("report")

    def test_a_check_for_drift_leads_to_its_screen(self) -> None:
        at, services = app(screen="runs", run="drift-1")
        services.runs.start_finetune(id="drift-1", project_id="", reviewer_id=None)
        services.runs.set("drift-1", kind="evaluate", task="drift", state="succeeded")
        run(at)
        (link,) = at.get("page_link")
        assert link.proto.page.endswith("drift")
        assert link.proto.query_string == "check=drift-1"


class TestResult:
    def test_the_headline_has_figures_intervals_and_chance_in_words(self) -> None:
        at, _, _ = done()
        worst = next(m for m in at.metric if m.label == "Worst-group accuracy")
        assert (worst.value, worst.delta) == ("89.7 %", "+48.5 points")
        said = plain_texts(at)
        assert "41.2 % before  \n95 %: +40.4 to +56.6 points  \nhardly by chance" in said
        assert "may be chance (p\xa0=\xa00.263)" in said
        assert all(metric.help for metric in at.metric)

    def test_every_figure_is_in_the_table_and_in_the_words_of_the_plot(self) -> None:
        at, _, _ = done()
        (figures,) = (table.value for table in at.table)
        assert "Brier score" in list(figures["Figure"])
        assert "Mass in rejected regions**: 42.0 % before, 5.0 % after" in plain_texts(at)
        assert list(figures["That is"])[1] == "better"
        (alt,) = (each.proto.alt for each in at.get("plotly_chart"))
        assert alt.startswith("Before and after on all held-out images: Accuracy")

    def test_groups_and_classes(self) -> None:
        at, _, _ = done(show="Groups and classes")
        groups, classes = (table.value for table in at.table)
        assert list(groups["Group"])[2] == r"naevus, with ruler"
        assert list(groups["Cases"])[2] == r"18 \(few\)"
        assert len(classes) == 3
        assert "adjusted (Holm) because 4 groups are looked at" in plain_texts(at)

    def test_a_flip_is_one_click_away(self) -> None:
        at, _, _ = done(show="Flipped cases")
        assert "37 mended, 12 went wrong, 3 wrong otherwise" in plain_texts(at)
        (link,) = at.get("page_link")
        assert link.proto.query_string == f"case={fakes.uid('case', 0)}"
        at.segmented_control(key="flip-kind-all held-out").set_value("mended")
        run(at)
        found = {link.proto.query_string for link in at.get("page_link")}
        assert found == {f"case={fakes.uid('case', n)}" for n in (1, 2, 3, 4)}

    def test_a_blind_project_shows_no_flip_before_my_word(self) -> None:
        at, services, _ = done(show="Flipped cases")
        services.settings_of.now = parse({"blind": ["prediction"]})
        run(at)
        assert not at.get("page_link")
        assert "1 case is not shown until your own word on it is in" in plain_texts(at)

    def test_weights_that_changed_most(self) -> None:
        at, _, _ = done(show="Weights")
        bodies = " ".join(str(each.proto.body) for each in at.get("html"))
        assert "ruler (rejected)" in bodies
        assert "\u22121.31 logit" in bodies

    def test_what_it_learnt_and_the_strategies_that_were_tried(self) -> None:
        at, _, _ = done(show="Strategies")
        (scores,) = (table.value for table in at.table)
        assert list(scores["Score"]) == [r"93\.0 %", r"88\.0 %", "not tried"]
        at, _, _ = done(show="What it learnt from")
        weighed = at.table[-1].value
        assert list(weighed["With"]) == ["ruler", "none of them"]
        assert list(weighed["Share of the weight"]) == [r"55\.0 %", r"45\.0 %"]

    def test_a_run_of_before_shows_the_figures_it_stored(self) -> None:
        at, services, run_id = done()
        services.judging.old.add(run_id)
        run(at)
        change = [cell.replace("\\", "") for cell in at.table[0].value["Change"]]
        assert change[0] == "\u22121.0 points worse"
        assert change[1] == "+49.0 points better"

    def test_notices_of_the_run_stand_above_its_result(self) -> None:
        at, _, _ = done()
        assert any("Few regions of the colour sticker" in each.value for each in at.warning)

    def test_an_unknown_run_shows_the_newest(self) -> None:
        at, _, _ = done()
        at.query_params["run"] = "nonsense"
        run(at)
        assert "waits for your decision" in plain_texts(at)


class TestGuardRails:
    def test_a_worse_version_needs_a_written_reason(self) -> None:
        at, services, _ = done(seed=13)
        assert "fell by 5.2 points; 3.0 may be lost" in plain_texts(at)
        button(at, "Use this version")
        assert services.versions.events("") == ()
        assert "write down why it shall be used" in plain_texts(at)
        at.text_input[0].set_value("the ruler misled us; the loss is on rulers")
        button(at, "Use this version")
        (event,) = services.versions.events("")
        assert event.reason == "the ruler misled us; the loss is on rulers"

    def test_a_version_can_be_discarded(self) -> None:
        at, services, _ = done()
        button(at, "Discard it")
        assert "was discarded" in plain_texts(at)
        assert services.versions.events("")[0].kind == "discard"

    def test_another_version_meanwhile_is_said_not_overruled(self) -> None:
        at, services, _ = done()
        other = services.versions.add("cc" * 32)
        services.versions.activate(id=str(uuid4()), version_id=other.id, reviewer_id="x")
        button(at, "Use this version")
        assert "another version became active meanwhile" in plain_texts(at)
        assert len(services.versions.events("")) == 1

    def test_keys_choose_runs(self) -> None:
        at, services, _ = done()
        second = services.runs.start_finetune(id=str(uuid4()), project_id="", reviewer_id=None).id
        services.runs.hold = True
        run(at)
        press(at, f"run-{second}")
        assert at.query_params["run"] == second
        press(at, "run-new")
        assert "New run" in plain_texts(at)
