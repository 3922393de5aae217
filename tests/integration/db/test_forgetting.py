"""What may be forgotten, a name and old audit lines: the chain stays whole, nothing else goes."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db.errors import Conflict, InvalidValue
from db.records import new_id, utc_now
from tests.integration.db.chain_world import Chained, chained


@pytest.fixture
def store(migrated_url: str) -> Iterator[Chained]:
    made = chained(migrated_url)
    yield made
    made.engine.dispose()


def redact(store: Chained, id: str, pseudonym: str = "Person 7f3a") -> None:
    with store.factory() as uow:
        uow.redactions.append(
            id=id, project_id=store.project, reviewer_id=store.world.ben.id,
            person_id=store.world.ada.id, pseudonym=pseudonym, reason="she asked for it",
        )  # fmt: skip
        uow.commit()


class TestRedaction:
    def test_the_name_is_gone_and_the_chain_is_whole(self, store: Chained) -> None:
        name = store.world.ada.name
        before = store.check()
        redact(store, new_id())
        after = store.check()
        assert (after.findings, after.entries) == ((), before.entries + 1)
        with store.factory(read_only=True) as uow:
            assert uow.reviewers.by_name(name) is None
            assert uow.reviewers.get(store.world.ada.id).name == "Person 7f3a"
            assert {line.actor for line in uow.audit.list(project_id=store.project)} == {
                "Person 7f3a"
            }
            rows = uow.verdicts.standing_of_project(store.project)
            assert {row.reviewer for row in rows} == {"Person 7f3a"}
            assert uow.redactions.mentions(name) == ()
            (row,) = uow.redactions.list(store.project)
            assert (row.person_id, row.reviewer) == (store.world.ada.id, store.world.ben.name)

    def test_a_repeat_changes_nothing(self, store: Chained) -> None:
        one = new_id()
        redact(store, one)
        redact(store, one)
        with pytest.raises(Conflict, match="known with other content"):
            redact(store, one, "Person 1")
        assert store.check().is_whole

    def test_nobody_gets_somebody_else_s_name(self, store: Chained) -> None:
        with pytest.raises(Conflict, match="somebody else is called"):
            redact(store, new_id(), store.world.ben.name)

    def test_text_that_holds_the_name_is_named_and_left(self, store: Chained) -> None:
        world, name = store.world, store.world.ada.name
        with store.factory() as uow:
            note = uow.notes.add(
                id=new_id(), project_id=store.project, kind="note", reviewer_id=world.ben.id,
                text=f"{name.upper()} thinks so too",
            )  # fmt: skip
            uow.settings.append(
                id=new_id(), project_id=store.project, settings={"title": [name]},
                reviewer_id=world.ben.id, based_on=0,
            )  # fmt: skip
            uow.commit()
            found = {(m.table, m.column): m for m in uow.redactions.mentions(name)}
        assert set(found) == {("notes", "text"), ("project_settings", "settings")}
        assert found["notes", "text"].rows == (note.id,)
        assert found["notes", "text"].count == 1
        redact(store, new_id())
        with store.factory(read_only=True) as uow:
            assert uow.notes.get(note.id).text.startswith(name.upper())

    def test_a_replay_elsewhere_redacts_there_too(self, store: Chained) -> None:
        redact(store, new_id())
        with store.factory(read_only=True) as uow:
            events = uow.log.read(store.project)
        store.forge("DELETE FROM redactions")
        store.forge("DELETE FROM chain_entries WHERE table_name = 'redactions'")
        store.forge("UPDATE reviewers SET name = 'Ada again' WHERE name = 'Person 7f3a'")
        with store.factory() as uow:
            assert uow.log.replay(events) == 1
            uow.commit()
            assert uow.reviewers.get(store.world.ada.id).name == "Person 7f3a"

    def test_projects_in_which_a_person_took_part(self, store: Chained) -> None:
        with store.factory(read_only=True) as uow:
            assert uow.redactions.projects_of(store.world.ada.id) == (store.project,)
            assert uow.redactions.projects_of(store.world.ben.id) == ()


class TestRetention:
    def test_old_lines_go_and_the_chain_is_whole(self, store: Chained) -> None:
        limit = utc_now()
        with store.factory() as uow:
            lines = uow.retentions.count(store.project, limit)
            row = uow.retentions.apply(
                id=new_id(), project_id=store.project, reviewer_id=store.world.ada.id,
                older_than=limit, reason="two years are enough",
            )  # fmt: skip
            uow.commit()
            assert (lines, row.count) == (4, 4)
            assert uow.audit.list(project_id=store.project) == ()
            again = uow.retentions.apply(
                id=row.id, project_id=store.project, reviewer_id=store.world.ada.id,
                older_than=limit, reason="two years are enough",
            )  # fmt: skip
            assert again == row
        report = store.check()
        assert (report.findings, report.removed) == ((), 4)

    def test_newer_lines_and_all_that_was_said_stay(self, store: Chained) -> None:
        with store.factory() as uow:
            lines = uow.audit.list(project_id=store.project)
            uow.retentions.apply(
                id=new_id(), project_id=store.project, reviewer_id=store.world.ada.id,
                older_than=lines[1].at, reason="old",
            )  # fmt: skip
            uow.commit()
            assert uow.audit.list(project_id=store.project) == lines[:2]
        with store.engine.begin() as raw, pytest.raises(IntegrityError, match="append-only"):
            raw.execute(text("DELETE FROM audit_log WHERE uid = :uid"), {"uid": lines[0].uid})
        for table in ("verdicts", "retentions", "chain_entries"):
            with store.engine.begin() as raw, pytest.raises(IntegrityError, match="append-only"):
                raw.execute(text(f"DELETE FROM {table}"))

    def test_lines_of_another_project_are_not_covered(self, store: Chained) -> None:
        with store.factory() as uow:
            other = uow.projects.add("other", "images", classes=("a",))
            kept = uow.audit.append(
                actor="worker", action="x", entity="y", entity_id="z", project_id=other.id
            )
            free = uow.audit.append(actor="worker", action="x", entity="y", entity_id="z")
            uow.commit()
            uow.retentions.apply(
                id=new_id(), project_id=store.project, reviewer_id=store.world.ada.id,
                older_than=utc_now(), reason="old",
            )  # fmt: skip
            uow.commit()
        for line in (kept, free):
            with store.engine.begin() as raw, pytest.raises(IntegrityError, match="append-only"):
                raw.execute(text("DELETE FROM audit_log WHERE uid = :uid"), {"uid": line.uid})
        with store.factory() as uow:
            row = uow.retentions.apply(
                id=new_id(), project_id=None, reviewer_id=store.world.ada.id,
                older_than=utc_now(), reason="old",
            )  # fmt: skip
            uow.commit()
            assert row.count == 1
            assert uow.chain_check.run("workspace").removed == 1
            assert uow.chain_check.run("workspace").is_whole

    def test_a_line_that_goes_beyond_what_was_removed_is_found(self, store: Chained) -> None:
        """Somebody puts a line of the past in and takes another one away under the same cover."""
        limit = utc_now() - timedelta(days=1)
        with store.factory() as uow:
            uow.retentions.apply(
                id=new_id(), project_id=store.project, reviewer_id=store.world.ada.id,
                older_than=limit, reason="old",
            )  # fmt: skip
            uow.commit()
        with store.factory(read_only=True) as uow:
            line = uow.audit.list(project_id=store.project)[0]
        store.forge("DELETE FROM audit_log WHERE id = :id", id=line.id)
        assert store.found() == {("row deleted", line.uid)}
        store.forge("UPDATE chain_entries SET at = :at WHERE row_id = :id",
                    at="2020-01-01 00:00:00.000000+00:00"[: 26 if _is_sqlite(store) else None],
                    id=line.uid)  # fmt: skip
        kinds = {kind for kind, _row in store.found()}
        assert {"entry edited", "row deleted"} <= kinds

    def test_what_is_refused(self, store: Chained) -> None:
        ask = {"project_id": store.project, "reviewer_id": store.world.ada.id}
        with store.factory() as uow:
            with pytest.raises(InvalidValue, match="of the past"):
                uow.retentions.apply(
                    id=new_id(), older_than=utc_now() + timedelta(days=1), reason="x", **ask
                )
            with pytest.raises(InvalidValue, match="must not be empty"):
                uow.retentions.apply(id=new_id(), older_than=utc_now(), reason=" ", **ask)


def _is_sqlite(store: Chained) -> bool:
    return store.engine.dialect.name == "sqlite"
