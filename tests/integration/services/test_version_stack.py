"""Any order of activating, going back and discarding, against a plain stack."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest
import torch

from core.errors import InsightError
from dashboard.services.versions import VersionService
from dashboard.viewmodels.judgement import GuardView, JudgementView
from db.errors import IllegalTransition
from db.records import new_id
from tests.integration.services.descendants import always, base, child
from tests.integration.services.world import World, make_world, reviewer


class NothingToLose:
    """A judging service whose rails always hold."""

    def guard(self, version_id: str) -> GuardView:
        return GuardView(True, True, 0.03, "nothing is lost")

    def compare(self, project_id: str, before: str, after: str) -> JudgementView:
        raise AssertionError("nobody asked for that")


@dataclass
class Stack:
    """What should be active: activating puts on top, going back takes away."""

    items: list[str]
    discarded: set[str] = field(default_factory=set)

    @property
    def active(self) -> str:
        return self.items[-1]

    def activate(self, version: str) -> bool:
        if version in self.discarded:
            return False
        if version != self.active:
            self.items.append(version)
        return True

    def back(self) -> bool:
        below = [
            k
            for k, each in enumerate(self.items[:-1])
            if each not in self.discarded and each != self.active
        ]
        if not below:
            return False
        wanted = self.items[below[-1]]
        del self.items[self.items.index(wanted) + 1 :]
        return True

    def discard(self, version: str) -> bool:
        if version == self.active:
            return False
        self.discarded.add(version)
        return True


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    return make_world(tmp_path_factory.mktemp("stack") / "ws", splits={"train": 8})


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_any_order(world: World, seed: int) -> None:
    rng = np.random.default_rng(seed)
    versions = VersionService(world.services.uow, NothingToLose())
    me, project = reviewer(world), world.project_id
    with world.services.uow(read_only=True) as uow:
        start = uow.versions.active(project)
    assert start is not None
    ids = [child(world, always(base(world), k % 2), seed=100 * seed + k + 1).id for k in range(4)]
    stack = Stack([start.id])
    # What was decided before belongs to the history as well: begin with a version of one's own.
    versions.activate(id=new_id(), version_id=ids[0], reviewer_id=me)
    history = _history(versions, project)
    stack.items = history
    for _ in range(20):
        events = len(versions.events(project))
        act, one = rng.choice(["activate", "rollback", "discard"], p=[0.5, 0.35, 0.15]), new_id()
        version = ids[int(rng.integers(len(ids)))]
        if act == "rollback":
            done = stack.back()
            call = partial(versions.rollback, id=one, project_id=project, reviewer_id=me)
        elif act == "activate":
            done = stack.activate(version)
            call = partial(versions.activate, id=one, version_id=version, reviewer_id=me)
        else:
            done = stack.discard(version)
            call = partial(versions.discard, id=one, version_id=version, reviewer_id=me)
        if done:
            call()
            call()  # a repeat with the same id is harmless
        else:
            with pytest.raises((IllegalTransition, InsightError)):
                call()
        _check(world, versions, stack, events, done=done)


def _history(versions: VersionService, project: str) -> list[str]:
    """The stack that decisions so far have left, by walking back from the former version."""
    rows = {row.hash: row.id for row in versions.list(project)}
    items: list[str] = []
    for event in reversed(versions.events(project)):
        if event.kind == "discard":
            continue
        if not items and event.former_hash:
            items.append(rows[event.former_hash])
        wanted = rows[event.version_hash]
        if event.kind == "rollback" and wanted in items:
            del items[items.index(wanted) + 1 :]
        else:
            items.append(wanted)
    return items


def _check(
    world: World, versions: VersionService, stack: Stack, events: int, *, done: bool
) -> None:
    rows = versions.list(world.project_id)
    active = [row.id for row in rows if row.state == "active"]
    assert active == [stack.active]
    gone = {row.id for row in rows if row.state == "discarded"}
    assert stack.discarded <= gone
    assert stack.active not in gone
    now = len(versions.events(world.project_id))
    assert events <= now <= events + int(done)
