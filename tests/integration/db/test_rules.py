"""Settings, members, words on classes: revisions that refuse lost updates."""

import pytest

from db.errors import Conflict, InvalidValue, NotFound, StaleWrite
from db.records import new_id
from db.unit_of_work import UnitOfWorkFactory
from tests.integration.db.builders import World


def test_settings_are_revisions(factory: UnitOfWorkFactory, world: World) -> None:
    common = {"project_id": world.project.id, "reviewer_id": world.ada.id}
    with factory() as uow:
        assert uow.settings.standing(world.project.id) is None
        event = new_id()
        for _again in range(2):
            uow.settings.append(id=event, settings={"blind": ["labels"]}, based_on=0, **common)
        with pytest.raises(StaleWrite, match="project's settings"):
            uow.settings.append(id=new_id(), settings={}, based_on=0, **common)
        with pytest.raises(Conflict):
            uow.settings.append(id=event, settings={}, based_on=0, **common)
        uow.settings.append(id=new_id(), settings={"blind": []}, based_on=1, **common)
        stands = uow.settings.standing(world.project.id)
        assert stands is not None
        assert (stands.settings, stands.revision, stands.reviewer) == (
            {"blind": []}, 2, world.ada.name,
        )  # fmt: skip
        assert [each.revision for each in uow.settings.history(world.project.id)] == [1, 2]
        with pytest.raises(NotFound):
            uow.settings.append(
                id=new_id(), project_id=new_id(), reviewer_id=world.ada.id, settings={}, based_on=0
            )


def test_members_come_change_and_go(factory: UnitOfWorkFactory, world: World) -> None:
    project, ada, ben = world.project.id, world.ada.id, world.ben.id
    with factory() as uow:
        assert not uow.members.ever_led(project)
        event = new_id()
        for _again in range(2):
            uow.members.append(
                id=event, project_id=project, reviewer_id=ada, role="lead", by_id=ada, based_on=0
            )
        uow.members.append(
            id=new_id(), project_id=project, reviewer_id=ben, role="expert", by_id=ada, based_on=0
        )
        with pytest.raises(StaleWrite, match="role"):
            uow.members.append(
                id=new_id(), project_id=project, reviewer_id=ben, role="lead", by_id=ben, based_on=0
            )
        with pytest.raises(InvalidValue, match="role must be one of"):
            uow.members.append(
                id=new_id(), project_id=project, reviewer_id=ben, role="god", by_id=ben, based_on=1
            )
        standing = uow.members.standing(project)
        assert [(m.reviewer, m.role, m.by) for m in standing] == [
            (world.ada.name, "lead", world.ada.name),
            (world.ben.name, "expert", world.ada.name),
        ]
        uow.members.append(
            id=new_id(), project_id=project, reviewer_id=ada, role="removed", by_id=ada, based_on=1
        )
        assert [m.reviewer_id for m in uow.members.standing(project)] == [ben]
        gone = uow.members.of(project, ada)
        assert gone is not None
        assert gone.role == "removed"
        assert uow.members.ever_led(project), "a project that had a lead does not open again"
        assert len(uow.members.history(project)) == 3


def test_words_on_a_concept_in_a_class(factory: UnitOfWorkFactory, world: World) -> None:
    concept = world.cues[0][0].concept_id
    ada, project = world.ada.id, world.project.id
    word = {"concept_id": concept, "class_name": "melanoma", "reviewer_id": ada}
    with factory() as uow:
        event = new_id()
        for _again in range(2):
            uow.class_verdicts.append(id=event, value="correct", based_on=0, **word)
        with pytest.raises(StaleWrite):
            uow.class_verdicts.append(id=new_id(), value="unsure", based_on=0, **word)
        uow.class_verdicts.append(
            id=new_id(), value="spurious", based_on=1, reason="artefact", comment="ruler", **word
        )
        uow.class_verdicts.append(
            id=new_id(), value="unsure", based_on=0, **word | {"reviewer_id": world.ben.id}
        )
        standing = uow.class_verdicts.standing(project, class_name="melanoma")
        assert [(each.reviewer, each.value) for each in standing] == [
            (world.ada.name, "spurious"),
            (world.ben.name, "unsure"),
        ]
        uow.class_verdicts.append(id=new_id(), value="withdrawn", based_on=2, **word)
        assert len(uow.class_verdicts.standing(project, concept_id=concept)) == 1
        mine = uow.class_verdicts.mine(project, ada)
        assert mine[concept, "melanoma"].revision == 3
        assert len(uow.class_verdicts.history(concept, "melanoma")) == 4
        with pytest.raises(InvalidValue, match="not a class"):
            uow.class_verdicts.append(
                id=new_id(), value="correct", based_on=0, **word | {"class_name": "wart"}
            )
