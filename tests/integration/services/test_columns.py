"""Words on metadata columns, over the real services."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import ConfigError
from dashboard.services.columns import ColumnService, probability
from db.engine import create_engine
from db.errors import Conflict, StaleWrite
from db.migrate import upgrade
from db.records import NewImage, new_id, utc_now
from db.run_records import ColumnVerdictRecord
from db.unit_of_work import UnitOfWorkFactory, uow_factory

Desk = tuple[UnitOfWorkFactory, str]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A store with a project of three images with a column "site", and its id."""
    url = f"sqlite:///{tmp_path / 'insight.sqlite'}"
    upgrade(url)
    factory = uow_factory(create_engine(url))
    with factory() as uow:
        project = uow.projects.add("tiles", "images", classes=("free", "defect"))
        images = [
            NewImage(f"{n}.png", f"{n:064x}", 8, 8, "free", "train", meta={"site": site})
            for n, site in enumerate("AAB")
        ]
        uow.images.add_many(project.id, images)
        uow.commit()
    yield factory, project.id
    factory.engine.dispose()


def person(desk: Desk, who: str) -> str:
    with desk[0]() as uow:
        found = uow.reviewers.get_or_create(who)
        uow.commit()
    return found.id


def said(desk: Desk, who: str, value: str, **more: object) -> object:
    asked = {"id": new_id(), "column": "site", "based_on": 0} | more
    return ColumnService(desk[0]).judge(
        project_id=desk[1], reviewer_id=person(desk, who), value=value, **asked
    )


def seen(desk: Desk, who: str) -> object:
    return ColumnService(desk[0]).of(desk[1], person(desk, who))["site"]


def test_others_stay_hidden_until_my_word_is_in(desk: Desk) -> None:
    said(desk, "Ada", "spurious", reason="background", comment=" two\r\ncameras ")
    before = seen(desk, "Ben")
    assert (before.mine, before.others, before.probability) == (None, (), None)
    said(desk, "Ben", "correct")
    after = seen(desk, "Ben")
    (other,) = after.others
    assert (other.reviewer, other.value, other.reason) == ("Ada", "spurious", "background")
    assert other.comment == "two\ncameras"
    assert after.mine.value == "correct"
    assert after.probability == pytest.approx(0.5)
    said(desk, "Ben", "withdrawn", based_on=1)
    again = seen(desk, "Ben")
    assert (again.mine.revision, again.others, again.probability) == (2, (), None)


def test_a_repeat_is_harmless_and_told_once(desk: Desk) -> None:
    factory, project = desk
    event = new_id()
    assert said(desk, "Ada", "spurious", id=event) == said(desk, "Ada", "spurious", id=event)
    with pytest.raises(Conflict):
        said(desk, "Ada", "correct", id=event)
    with pytest.raises(StaleWrite):
        said(desk, "Ada", "correct")
    with factory(read_only=True) as uow:
        entries = uow.audit.list(entity="project", entity_id=project)
        assert [e.action for e in entries] == ["column verdict.given"]
        assert entries[0].detail["column"] == "site"


def test_what_cannot_be_said_is_refused_in_words(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="no image has a column 'age'; there are site"):
        said(desk, "Ada", "spurious", column="age")
    with pytest.raises(ConfigError, match="longer than 2000"):
        said(desk, "Ada", "spurious", comment="x" * 2001)
    assert seen(desk, "Ada").mine is None


def test_words_together_by_hand() -> None:
    def words(*values: str) -> list[ColumnVerdictRecord]:
        return [
            ColumnVerdictRecord(n, str(n), "p", "c", str(n), "R", v, None, "", 1, utc_now())
            for n, v in enumerate(values)
        ]

    assert probability(words("spurious")) == pytest.approx(0.8)
    assert probability(words("spurious", "spurious")) == pytest.approx(16 / 17)
    assert probability(words("spurious", "correct", "unsure")) == pytest.approx(0.5)
    assert probability(words("unsure")) is None
    assert probability(words()) is None
