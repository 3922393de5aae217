"""What the tests of the queue share: a project, its rules, and people in it."""

from pathlib import Path

import torch

from dashboard.viewmodels.queue import QueueFilter
from db.records import new_id
from tests.integration.services.world import World, make_world, reviewer


def queue_world(folder: Path) -> World:
    """A project of 50 cases, ten of them held out."""
    torch.set_num_threads(1)
    return make_world(folder / "ws", splits={"train": 40, "test": 10})


def untouched(built: World) -> World:
    """The same project with a queue nobody has touched: one person a case, planned anew."""
    set_rules(built, overlap_share=0.0, order="priority", seed=len(history(built)))
    with built.services.uow() as uow:
        version = uow.versions.active(built.project_id)
        assert version is not None
        for item in uow.queue.page(version.id, "", limit=100).items:
            for person in uow.reviewers.list():
                uow.queue.release(item.case_id, person.id)
        uow.commit()
    return built


def history(world: World) -> tuple[object, ...]:
    return world.services.settings_of.history(world.project_id)


def set_rules(world: World, **changes: object) -> None:
    rules = world.services.settings_of
    rules.save(
        id=new_id(), project_id=world.project_id, reviewer_id=lead(world), changes=changes,
        based_on=rules.view(world.project_id).revision,
    )  # fmt: skip


def lead(world: World) -> str:
    return reviewer(world, "Lea")


def someone(world: World, name: str) -> str:
    return reviewer(world, f"{name} {new_id()[:6]}")


def say(world: World, me: str, case_id: str, label: str = "naevus") -> None:
    world.services.review.assess(
        id=new_id(), case_id=case_id, reviewer_id=me, agree=None, corrected_label=label,
        comment="", based_on=0,
    )  # fmt: skip


def open_for(world: World, me: str) -> list[str]:
    page = world.services.queue.page(world.project_id, me, QueueFilter(status="open"))
    return [row.case_id for row in page.rows]


def make_lead(world: World) -> None:
    rules, me = world.services.settings_of, lead(world)
    members = rules.members(world.project_id, me)
    mine = next(member for member in members.members if member.reviewer_id == me)
    if members.open:
        rules.set_role(
            id=new_id(), project_id=world.project_id, reviewer_id=me, role="lead", by_id=me,
            based_on=mine.revision,
        )  # fmt: skip
