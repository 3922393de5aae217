"""Agreement over a real store: figures, who sees which disagreement, deciding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError
from dashboard.services.agreement import AgreementService
from dashboard.services.roles import Forbidden
from dashboard.viewmodels import CaseView
from db.errors import NotFound, StaleWrite
from db.records import new_id
from tests.integration.services.world import World, make_world, reviewer


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "ws", splits={"train": 40, "test": 8})


def cases(world: World, who: str, count: int = 4) -> list[CaseView]:
    rows = world.services.review.queue(world.project_id, who)[:count]
    return [world.services.review.case(world.project_id, row.case_id, who) for row in rows]


def say(world: World, who: str, cue_id: str, value: str, based_on: int = 0) -> None:
    world.services.review.give_verdict(
        id=new_id(), cue_id=cue_id, reviewer_id=who, value=value, based_on=based_on,  # type: ignore[arg-type]
        reason="artefact" if value == "spurious" else None,
    )  # fmt: skip


def judged(world: World) -> tuple[str, str, list[CaseView]]:
    """Ada and Ben on four cases: they differ on the first cue of the first two."""
    ada, ben = reviewer(world, "Ada"), reviewer(world, "Ben")
    seen = cases(world, ada)
    for at, case in enumerate(seen):
        for rank, cue in enumerate(case.cues[:2]):
            say(world, ada, cue.id, "spurious" if rank else "correct")
            differ = rank == 0 and at < 2
            say(world, ben, cue.id, "spurious" if rank or differ else "correct")
    return ada, ben, seen


def lead(world: World, who: str) -> None:
    with world.services.uow() as uow:
        uow.members.append(
            id=new_id(), project_id=world.project_id, reviewer_id=who, role="lead", by_id=who,
            based_on=0,
        )  # fmt: skip
        uow.commit()


def still(world: World) -> AgreementService:
    """The service with a clock that stands, so that every fold is fresh."""
    return AgreementService(world.services.uow, world.services.settings_of, lambda: 0.0)


class TestFigures:
    def test_of_cues(self, world: World) -> None:
        judged(world)
        view = still(world).view(world.project_id)
        assert (view.items, view.cases, view.reviewers) == (8, 4, 2)
        assert (view.disputed, view.open) == (2, 2)
        # Words: Ada 4 correct, 4 spurious; Ben 2 and 6. po = 6/8, pe = (4*2 + 4*6)/64 = .5
        assert view.pairs[0].cohen.value == pytest.approx(0.5)
        assert (view.pairs[0].first, view.pairs[0].second) == ("Ada", "Ben")
        assert view.overall[0].observed == pytest.approx(0.75)
        assert view.consensus is not None
        assert view.consensus.ties == 2
        assert sum(each.items for each in view.concepts) == 8
        assert view.concepts[0].open >= view.concepts[-1].open

    def test_a_new_word_shows(self, world: World) -> None:
        _ada, ben, seen = judged(world)
        service = still(world)
        before = service.view(world.project_id)
        say(world, ben, seen[0].cues[0].id, "correct", based_on=1)
        assert service.view(world.project_id).disputed == before.disputed - 1

    def test_unsure_is_an_abstention_unless_asked_for(self, world: World) -> None:
        _ada, ben, seen = judged(world)
        say(world, ben, seen[0].cues[0].id, "unsure", based_on=1)
        service = still(world)
        assert service.view(world.project_id).disputed == 1
        assert service.view(world.project_id, unsure=True).disputed == 2

    def test_of_cases(self, world: World) -> None:
        ada, ben, seen = judged(world)
        for who, label in ((ada, seen[0].prediction), (ben, None)):
            world.services.review.assess(
                id=new_id(), case_id=seen[0].id, reviewer_id=who, agree=label is None,
                corrected_label=label, comment="", based_on=0,
            )  # fmt: skip
        view = still(world).view(world.project_id, "case")
        assert (view.items, view.disputed) == (1, 0)
        assert view.words == (seen[0].prediction,)

    def test_nobody_yet(self, world: World) -> None:
        view = still(world).view(world.project_id)
        assert (view.items, view.pairs, view.consensus) == (0, (), None)
        assert "nobody shares" in view.overall[0].note

    def test_an_unknown_subject(self, world: World) -> None:
        with pytest.raises(ConfigError):
            still(world).view(world.project_id, "image")  # type: ignore[arg-type]

    def test_a_costly_fold_may_be_behind(self, world: World) -> None:
        """One second to fold: for ten seconds the figures of before are good enough."""
        ticks = iter([0.0, 1.0, 5.0, 20.0, 21.0, 22.0])
        _ada, ben, seen = judged(world)
        roles = world.services.settings_of
        service = AgreementService(world.services.uow, roles, lambda: next(ticks))
        assert service.view(world.project_id).disputed == 2
        say(world, ben, seen[0].cues[0].id, "correct", based_on=1)
        assert service.view(world.project_id).disputed == 2
        assert service.view(world.project_id).disputed == 1


class TestDeciding:
    def test_a_decision_stands_beside_the_verdicts(self, world: World) -> None:
        ada, _ben, seen = judged(world)
        service = still(world)
        cue = seen[0].cues[0]
        before = service.dispute(world.project_id, ada, "cue", cue.id)
        assert (before.revision, before.total, before.row.majority) == (0, 2, None)
        assert [each.value for each in before.words] == ["correct", "spurious"]
        assert before.words[1].reason == "artefact"
        service.adjudicate(
            id=new_id(), project_id=world.project_id, subject="cue", subject_id=cue.id,
            reviewer_id=ada, value="correct", reason="it is the network", based_on=0,
        )  # fmt: skip
        view = service.view(world.project_id)
        assert (view.disputed, view.open) == (2, 1)
        assert view.consensus is not None
        assert view.consensus.anchored == 1
        assert cue.id not in {row.id for row in service.disputes(world.project_id, ada)}
        after = service.dispute(world.project_id, ada, "cue", cue.id)
        assert (after.row.decided, after.rulings[0].reason) == ("correct", "it is the network")
        assert [each.value for each in after.words] == ["correct", "spurious"]

    def test_repeat_stale_and_taking_back(self, world: World) -> None:
        ada, _ben, seen = judged(world)
        service, event = still(world), new_id()
        given: dict[str, Any] = {
            "project_id": world.project_id, "subject": "cue", "subject_id": seen[0].cues[0].id,
            "reviewer_id": ada,
        }  # fmt: skip
        first = service.adjudicate(id=event, value="correct", based_on=0, **given)
        again = service.adjudicate(id=event, value="correct", based_on=0, **given)
        assert first == again
        with pytest.raises(StaleWrite):
            service.adjudicate(id=new_id(), value="spurious", based_on=0, **given)
        service.adjudicate(id=new_id(), value="withdrawn", based_on=1, **given)
        assert service.decided(world.project_id) == {}
        with world.services.uow(read_only=True) as uow:
            entries = uow.audit.list(entity="cue", entity_id=seen[0].cues[0].id)
        assert [each.action for each in entries] == ["adjudication.given"] * 2

    def test_an_impossible_word(self, world: World) -> None:
        ada, _ben, seen = judged(world)
        with pytest.raises(ConfigError, match="one of correct, spurious"):
            still(world).adjudicate(
                id=new_id(), project_id=world.project_id, subject="cue",
                subject_id=seen[0].cues[0].id, reviewer_id=ada, value="melanoma", based_on=0,
            )  # fmt: skip

    def test_who_may_decide_and_who_sees(self, world: World) -> None:
        ada, ben, seen = judged(world)
        cleo = reviewer(world, "Cleo")
        lead(world, ada)
        service = still(world)
        assert len(service.disputes(world.project_id, ada)) == 2
        assert len(service.disputes(world.project_id, ben)) == 2  # he judged both himself
        assert service.disputes(world.project_id, cleo) == ()
        with pytest.raises(NotFound):
            service.dispute(world.project_id, cleo, "cue", seen[0].cues[0].id)
        say(world, cleo, seen[0].cues[0].id, "unsure")
        assert [row.id for row in service.disputes(world.project_id, cleo)] == [seen[0].cues[0].id]
        with pytest.raises(Forbidden):
            service.adjudicate(
                id=new_id(), project_id=world.project_id, subject="cue",
                subject_id=seen[0].cues[0].id, reviewer_id=ben, value="correct", based_on=0,
            )  # fmt: skip

    def test_another_projects_cue_is_not_found(self, world: World, tmp_path: Path) -> None:
        ada, _ben, seen = judged(world)
        with world.services.uow() as uow:
            other = uow.projects.add("other", str(tmp_path), classes=("a", "b"))
            uow.commit()
        with pytest.raises(NotFound):
            still(world).adjudicate(
                id=new_id(), project_id=other.id, subject="cue",
                subject_id=seen[0].cues[0].id, reviewer_id=ada, value="correct", based_on=0,
            )  # fmt: skip

    def test_in_a_blind_project_the_word_on_the_case_opens_it(self, world: World) -> None:
        ada, ben, seen = judged(world)
        lead(world, ada)
        world.services.settings_of.save(
            id=new_id(), project_id=world.project_id, reviewer_id=ada,
            changes={"blind": ["peers"]}, based_on=0,
        )  # fmt: skip
        service = still(world)
        assert len(service.disputes(world.project_id, ada)) == 2  # she adjudicates
        assert service.disputes(world.project_id, ben) == ()
        world.services.review.assess(
            id=new_id(), case_id=seen[0].id, reviewer_id=ben, agree=True, corrected_label=None,
            comment="", based_on=0,
        )  # fmt: skip
        assert [row.case_id for row in service.disputes(world.project_id, ben)] == [seen[0].id]
