"""Success criteria on a small world: set, withdrawn, checked, and what cannot be said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sqlalchemy import update

from core.errors import ConfigError, InsightError
from dashboard.services.roles import Forbidden
from dashboard.viewmodels.success import CriterionOutcome
from db.errors import Conflict, StaleWrite
from db.models import Image
from db.records import new_id
from tests.integration.services.queue_world import make_lead, say
from tests.integration.services.world import World, judge, make_world, reviewer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Forty cases that nobody has looked at."""
    torch.set_num_threads(1)
    return make_world(tmp_path_factory.mktemp("success") / "ws", splits={"train": 40, "test": 20})


@pytest.fixture
def fresh(tmp_path: Path) -> World:
    """A world of the test's own."""
    torch.set_num_threads(1)
    return make_world(tmp_path / "ws", splits={"train": 24, "test": 16})


def ask(
    world: World, measure: str, comparator: str, threshold: float, who: str = "Lea",
    based_on: int | None = None,
) -> None:  # fmt: skip
    success = world.services.success
    stands = success.revision(world.project_id, measure)
    success.set(
        id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world, who),
        measure=measure, comparator=comparator, threshold=threshold, reason="agreed beforehand",
        based_on=stands if based_on is None else based_on,
    )  # fmt: skip


def answer(world: World, measure: str) -> CriterionOutcome:
    found = world.services.success.outcomes(world.project_id)
    return next(each for each in found if each.measure == measure)


class TestSetting:
    def test_revisions_and_history(self, fresh: World) -> None:
        success, project = fresh.services.success, fresh.project_id
        ask(fresh, "coverage", ">=", 0.8)
        ask(fresh, "coverage", ">=", 0.9)
        assert [row.text for row in success.standing(project)] == ["Coverage at least 90.0 %"]
        assert [row.revision for row in success.history(project)] == [2, 1]
        with pytest.raises(StaleWrite):
            ask(fresh, "coverage", ">=", 0.5, based_on=1)
        success.withdraw(
            id=new_id(), project_id=project, reviewer_id=reviewer(fresh, "Lea"),
            measure="coverage", reason="the board dropped it", based_on=2,
        )  # fmt: skip
        assert success.standing(project) == ()
        assert success.outcomes(project) == ()
        assert success.history(project)[0].text == "Coverage: withdrawn"
        with pytest.raises(InsightError, match="no criterion on coverage stands"):
            success.withdraw(
                id=new_id(), project_id=project, reviewer_id=reviewer(fresh, "Lea"),
                measure="coverage", reason="again", based_on=3,
            )  # fmt: skip
        with fresh.services.uow(read_only=True) as uow:
            lines = uow.audit.list(entity="criterion")
        assert [line.action for line in lines] == [
            "criterion.withdrawn", "criterion.set", "criterion.set"
        ]  # fmt: skip

    def test_the_same_act_twice_is_one(self, fresh: World) -> None:
        success, me = fresh.services.success, reviewer(fresh, "Lea")
        event = new_id()
        for _ in range(2):
            found = success.set(
                id=event, project_id=fresh.project_id, reviewer_id=me, measure="kappa",
                comparator=">=", threshold=0.6, reason="as published", based_on=0,
            )  # fmt: skip
        assert found.revision == 1
        with pytest.raises(Conflict):
            success.set(
                id=event, project_id=fresh.project_id, reviewer_id=me, measure="kappa",
                comparator=">=", threshold=0.7, reason="as published", based_on=0,
            )  # fmt: skip
        with fresh.services.uow(read_only=True) as uow:
            assert len(uow.audit.list(entity="criterion")) == 1

    def test_leads_only_where_there_is_a_lead(self, fresh: World) -> None:
        make_lead(fresh)
        with pytest.raises(Forbidden):
            ask(fresh, "coverage", ">=", 0.8, who="Bo")
        ask(fresh, "coverage", ">=", 0.8)
        assert len(fresh.services.success.standing(fresh.project_id)) == 1

    def test_what_cannot_be_meant_is_refused(self, world: World) -> None:
        for measure, comparator, threshold in (
            ("luck", ">=", 0.5), ("coverage", "=", 0.5), ("coverage", ">=", 80.0)
        ):  # fmt: skip
            with pytest.raises(ConfigError):
                ask(world, measure, comparator, threshold)
        with pytest.raises(InsightError, match="without a reason"):
            world.services.success.set(
                id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world, "Lea"),
                measure="coverage", comparator=">=", threshold=0.5, reason=" ", based_on=0,
            )  # fmt: skip


class TestAnswers:
    def test_without_words_nothing_passes_that_needs_them(self, world: World) -> None:
        needs = (
            "kappa", "krippendorff_alpha", "case_alpha", "reviewers_per_case", "overlap",
            "spurious_share", "names_confirmed", "disagreements_open", "drift_alerts",
            "reliance_on_rejected", "worst_group", "shortcut_gap",
        )  # fmt: skip
        found = world.services.success.read(world.project_id, needs)
        assert {key: each.value for key, each in found.items()} == dict.fromkeys(needs)
        assert all(each.why for each in found.values())
        assert "two people" in found["kappa"].why
        assert "group column" in found["worst_group"].why

    def test_what_the_model_alone_says(self, world: World) -> None:
        found = world.services.success.read(
            world.project_id, ("accuracy", "ece", "coverage", "least_coverage", "flags_open")
        )
        assert found["coverage"].value == 0.0
        assert found["coverage"].n == 60
        assert found["least_coverage"].of.startswith("cases labelled ")
        assert found["flags_open"].value == 0.0
        accuracy = found["accuracy"]
        assert (accuracy.n, accuracy.of, accuracy.screen) == (20, "held-out cases", "groups")
        assert None not in (accuracy.value, accuracy.low, accuracy.high)

    def test_the_accuracy_is_that_of_a_comparison(self, world: World) -> None:
        found = world.services.success.read(world.project_id, ("accuracy",))["accuracy"]
        groups = world.services.groups.of(world.project_id, "label").overall
        assert found.value == groups.accuracy.value
        assert found.n == groups.n

    def test_two_people_make_agreement_sayable(self, fresh: World) -> None:
        for who in ("Ada", "Ben"):
            judge(fresh, reviewer(fresh, who), count=12)
        ask(fresh, "krippendorff_alpha", ">=", 0.6)
        ask(fresh, "disagreements_open", "<=", 0.0)
        ask(fresh, "spurious_share", "<=", 0.05)
        ask(fresh, "reviewers_per_case", ">=", 2.0)
        alpha = answer(fresh, "krippendorff_alpha")
        agreement = fresh.services.agreement.view(fresh.project_id)
        assert alpha.value == agreement.overall[0].value
        assert alpha.n == agreement.items
        assert (alpha.passed, alpha.verdict) == (True, "pass")
        assert answer(fresh, "disagreements_open").passed is True
        assert answer(fresh, "reviewers_per_case").value == 2.0
        spurious = answer(fresh, "spurious_share")
        assert spurious.passed is False
        assert spurious.low is not None
        assert spurious.value is not None
        assert spurious.low < spurious.value
        assert spurious.sentence.startswith("Share of spurious cues is ")

    def test_coverage_follows_the_words(self, fresh: World) -> None:
        ask(fresh, "coverage", ">=", 0.05)
        assert answer(fresh, "coverage").passed is False
        with fresh.services.uow(read_only=True) as uow:
            version = uow.versions.active(fresh.project_id)
            assert version is not None
            cases = [row.case_id for row in uow.queue.page(version.id, "", limit=4).items]
        for who in ("Ada", "Ben"):
            for case_id in cases:
                say(fresh, reviewer(fresh, who), case_id)
        found = answer(fresh, "coverage")
        assert (found.value, found.passed) == (0.1, True)
        assert ("status", "open") in found.query

    def test_images_that_are_all_held_out(self, fresh: World) -> None:
        with fresh.services.uow.engine.begin() as connection:
            connection.execute(update(Image).values(split="test"))
        ask(fresh, "accuracy", ">=", 0.5)
        found = answer(fresh, "accuracy")
        assert found.passed is None or found.n == 40

    def test_another_version_by_its_hash(self, world: World) -> None:
        found = world.services.success.outcomes(world.project_id, world.version_hash[:12])
        assert found == world.services.success.outcomes(world.project_id)
