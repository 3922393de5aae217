"""The audit chain: every row has its entry, and every forgery is found and named."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from db.chain import WORKSPACE, genesis
from db.errors import Conflict, InvalidValue
from db.models import CHAINED, ConceptMark, Verdict
from db.records import new_id, utc_now
from db.unit_of_work import UnitOfWorkFactory
from tests.integration.db.builders import World
from tests.integration.db.chain_world import Chained, chained, say, verdict_ids
from tests.integration.db.test_append_only import _say_more


@pytest.fixture
def store(migrated_url: str) -> Iterator[Chained]:
    """A database of this test's own: what is forged in it meets no other test."""
    made = chained(migrated_url)
    yield made
    made.engine.dispose()


class TestWriting:
    def test_every_row_of_every_table_has_an_entry(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            cue = world.cues[0][0]
            said = {"reviewer_id": world.ada.id, "based_on": 0}
            uow.verdicts.append(id=new_id(), cue_id=cue.id, value="spurious", **said)
            uow.assessments.append(id=new_id(), case_id=cue.case_id, agree=False, **said)
            uow.concepts.add_name(id=new_id(), concept_id=cue.concept_id, name="ruler", **said)
            uow.audit.append(
                actor=world.ada.name, action="x", entity="y", entity_id="z",
                project_id=world.project.id,
            )  # fmt: skip
            _say_more(uow, world)
            uow.commit()
        with factory(read_only=True) as uow:
            entries = list(uow.chain.read(world.project.id))
            report = uow.chain_check.run(world.project.id)
        assert {entry.table_name for entry in entries} == {m.__tablename__ for m in CHAINED}
        assert [entry.place for entry in entries] == list(range(1, len(entries) + 1))
        assert report.findings == ()
        assert report.head is not None
        assert (report.head.place, report.head.hash) == (len(entries), entries[-1].hash)

    def test_what_is_rolled_back_leaves_no_entry(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        cue = world.cues[0][0]
        with factory() as uow:
            uow.verdicts.append(
                id=new_id(), cue_id=cue.id, reviewer_id=world.ada.id, value="correct", based_on=0
            )
            uow.rollback()
            uow.audit.append(
                actor="worker", action="x", entity="y", entity_id="z", project_id=world.project.id
            )
            uow.commit()
        with factory(read_only=True) as uow:
            tables = [entry.table_name for entry in uow.chain.read(world.project.id)]
            assert tables == ["audit_log"]
            assert uow.chain_check.run(world.project.id).is_whole

    def test_a_savepoint_that_fails_takes_its_rows_along(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            one = uow.audit.append(
                actor="worker", action="kept", entity="y", entity_id="z",
                project_id=world.project.id,
            )  # fmt: skip
            inside = uow._session.begin_nested()
            uow.audit.append(
                actor="worker", action="lost", entity="y", entity_id="z",
                project_id=world.project.id,
            )  # fmt: skip
            inside.rollback()
            uow.commit()
        with factory(read_only=True) as uow:
            assert [e.row_id for e in uow.chain.read(world.project.id)] == [one.uid]
            assert uow.chain_check.run(world.project.id).is_whole

    def test_rows_inserted_in_bulk_are_chained_too(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        cue = world.cues[0][0]
        with factory() as uow:
            uow.concept_marks.append(
                id=new_id(), concept_id=cue.concept_id, kind="locked", value=True, reason="",
                reviewer_id=world.ada.id, based_on=0,
            )  # fmt: skip
            seq = uow.concept_marks.history(cue.concept_id)[-1].seq
            base = {
                "project_id": world.project.id, "reviewer_id": world.ada.id, "kind": "locked",
                "concept_id": cue.concept_id, "value": 1, "reason": "", "created_at": utc_now(),
            }  # fmt: skip
            rows = [
                {**base, "id": new_id(), "revision": 2 + number, "seq": seq + 1 + number}
                for number in range(3)
            ]
            uow.concept_marks._insert_many(ConceptMark, rows)
            uow.commit()
        with factory(read_only=True) as uow:
            entries = list(uow.chain.read(world.project.id))
            assert [entry.row_id for entry in entries][1:] == [row["id"] for row in rows]
            assert uow.chain_check.run(world.project.id).is_whole

    def test_an_insert_that_would_escape_the_chain_is_refused(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        copied = insert(Verdict).from_select(["id"], select(Verdict.id))
        with factory() as uow, pytest.raises(TypeError, match="escape the chain"):
            uow._session.execute(copied)

    def test_a_replay_elsewhere_gives_the_same_row_hashes(self, store: Chained) -> None:
        with store.factory(read_only=True) as uow:
            events = uow.log.read(store.project)
            before = {e.row_id: e.row_hash for e in uow.chain.read(store.project)}
        with store.factory() as uow:
            assert uow.log.replay(events) == 0  # nothing new, nothing chained twice
            uow.commit()
        with store.factory(read_only=True) as uow:
            assert {e.row_id: e.row_hash for e in uow.chain.read(store.project)} == before

    def test_writers_at_once_make_one_chain(self, factory: UnitOfWorkFactory, world: World) -> None:
        ready = Barrier(2)

        def write(which: int) -> None:
            person = (world.ada, world.ben)[which]
            ready.wait()
            for number in range(12):
                cue = world.cues[number % 3][number // 3]
                with factory() as uow:
                    uow.verdicts.append(
                        id=new_id(), cue_id=cue.id, reviewer_id=person.id, value="correct",
                        based_on=0,
                    )  # fmt: skip
                    uow.audit.append(
                        actor=person.name, action="verdict.given", entity="verdict",
                        entity_id="x", project_id=world.project.id,
                    )  # fmt: skip
                    uow.commit()

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(write, range(2))) == [None, None]
        with factory(read_only=True) as uow:
            report = uow.chain_check.run(world.project.id)
        assert report.findings == ()
        assert report.entries == 48

    def test_rows_that_commit_in_another_order_than_they_were_said(
        self, factory: UnitOfWorkFactory, world: World, back_end: str
    ) -> None:
        """On a server, the first to say something may be the last to commit: that is no forgery."""
        if back_end == "sqlite":
            pytest.skip("SQLite lets one writer in at a time")
        with factory() as slow, factory() as quick:
            _line(slow, world, "said first")
            _line(quick, world, "said second")
            _line(quick, world, "said third")
            quick.commit()
            slow.commit()
        with factory(read_only=True) as uow:
            assert [e.behind for e in uow.chain.read(world.project.id)] == [0, 0, 2]
            assert uow.chain_check.run(world.project.id).findings == ()

    def test_lines_without_a_project_have_a_chain_of_their_own(self, store: Chained) -> None:
        with store.factory() as uow:
            uow.audit.append(actor="worker", action="start", entity="program", entity_id="1")
            uow.commit()
            report = uow.chain_check.run(WORKSPACE)
            assert (report.entries, report.findings) == (1, ())
            assert set(uow.chain_check.projects()) == {store.project, WORKSPACE}


def _line(uow: object, world: World, action: str) -> None:
    uow.audit.append(  # type: ignore[attr-defined]
        actor="worker", action=action, entity="y", entity_id="z", project_id=world.project.id
    )


class TestForgedRows:
    def test_an_edited_row(self, store: Chained) -> None:
        row = verdict_ids(store)[1]
        store.forge("UPDATE verdicts SET value = 'correct' WHERE id = :id", id=row)
        assert store.found() == {("row edited", row)}
        (finding,) = store.check().findings
        assert finding.place == store.places()[row]
        assert finding.table == "verdicts"
        assert row in finding.sentence

    def test_an_edited_audit_line(self, store: Chained) -> None:
        with store.factory(read_only=True) as uow:
            line = uow.audit.list(project_id=store.project)[1]
        store.forge("UPDATE audit_log SET actor = 'worker' WHERE id = :id", id=line.id)
        assert store.found() == {("row edited", line.uid)}

    def test_a_deleted_row(self, store: Chained) -> None:
        row = verdict_ids(store)[2]
        store.forge("DELETE FROM verdicts WHERE id = :id", id=row)
        assert store.found() == {("row deleted", row)}

    def test_an_inserted_row(self, store: Chained) -> None:
        row = verdict_ids(store)[0]
        forged = new_id()
        store.forge(
            "INSERT INTO verdicts (seq, id, cue_id, case_id, concept_id, project_id, reviewer_id, "
            "value, scope, reason, comment, revision, undoes, created_at) SELECT 100000, :new, "
            "cue_id, case_id, concept_id, project_id, reviewer_id, 'correct', scope, reason, "
            "comment, 2, undoes, created_at FROM verdicts WHERE id = :id",
            id=row, new=forged,
        )  # fmt: skip
        assert store.found() == {("row inserted", forged)}

    def test_swapped_contents(self, store: Chained) -> None:
        one, two = verdict_ids(store)[:2]
        with store.forging() as raw:
            for new, old in ((("x" * 36), one), (one, two), (two, "x" * 36)):
                raw.execute(
                    text("UPDATE verdicts SET id = :new WHERE id = :old"), {"new": new, "old": old}
                )
        assert {("row edited", one), ("row edited", two)} <= store.found()
        assert {row for _kind, row in store.found()} == {one, two}

    def test_a_swapped_order(self, store: Chained) -> None:
        """The order in which things were said decides what stands: `seq` is bound as well."""
        one, two = verdict_ids(store)[:2]
        with store.forging() as raw:
            seqs = dict(
                raw.execute(
                    text("SELECT id, seq FROM verdicts WHERE id IN (:a, :b)"), {"a": one, "b": two}
                ).all()
            )
            change = text("UPDATE verdicts SET seq = :seq WHERE id = :id")
            for row, seq in ((one, -1), (two, seqs[one]), (one, seqs[two])):
                raw.execute(change, {"seq": seq, "id": row})
        ((kind, row),) = store.found()
        assert (kind, row) == ("row moved", two)
        assert one in store.check().findings[0].sentence

    def test_a_truncated_table(self, store: Chained) -> None:
        rows = set(verdict_ids(store))
        store.forge("DELETE FROM verdicts")
        assert store.found() == {("row deleted", row) for row in rows}

    def test_a_row_moved_to_another_project(self, store: Chained) -> None:
        with store.factory() as uow:
            other = uow.projects.add("other", "images", classes=("a",))
            uow.commit()
        row = verdict_ids(store)[0]
        store.forge(
            "UPDATE verdicts SET project_id = :to WHERE id = :id", to=other.id, id=row
        )  # fmt: skip
        assert store.found() == {("row edited", row)}

    def test_what_no_program_can_have_written(self, store: Chained, back_end: str) -> None:
        row = verdict_ids(store)[0]
        odd = "'never'" if back_end == "sqlite" else "'infinity'"
        store.forge(f"UPDATE verdicts SET created_at = {odd} WHERE id = :id", id=row)
        assert store.found() == {("row unreadable", row)}


class TestForgedEntries:
    def test_an_edited_entry(self, store: Chained) -> None:
        row = verdict_ids(store)[1]
        place = store.places()[row]
        store.forge("UPDATE chain_entries SET behind = 1 WHERE place = :place", place=place)
        assert ("entry edited", row) in store.found()
        assert {each.place for each in store.check().findings} == {place}

    def test_a_row_forged_together_with_its_entry(self, store: Chained) -> None:
        """Even with every hash of that entry worked out anew, the next entry no longer fits."""
        row = verdict_ids(store)[1]
        place = store.places()[row]
        with store.factory(read_only=True) as uow:
            entries = list(uow.chain.read(store.project))
        forged = _forged(entries[place - 2].hash, entries[place - 1], "f" * 64)
        store.forge(
            "UPDATE chain_entries SET row_hash = :row, hash = :hash WHERE place = :place",
            row=forged.row_hash, hash=forged.hash, place=place,
        )  # fmt: skip
        found = store.check().findings
        assert ("entry edited", place + 1) in {(each.kind, each.place) for each in found}
        assert row in next(each.sentence for each in found if each.kind == "entry edited")

    def test_a_deleted_entry(self, store: Chained) -> None:
        row = verdict_ids(store)[1]
        place = store.places()[row]
        store.forge("DELETE FROM chain_entries WHERE place = :place", place=place)
        assert store.found() == {("entry deleted", None), ("row inserted", row)}
        assert place in {each.place for each in store.check().findings}

    def test_swapped_entries(self, store: Chained) -> None:
        one, two = verdict_ids(store)[:2]
        places = store.places()
        with store.forging() as raw:
            change = text("UPDATE chain_entries SET place = :new WHERE place = :old")
            for new, old in ((99, places[one]), (places[one], places[two]), (places[two], 99)):
                raw.execute(change, {"new": new, "old": old})
        edited = {row for kind, row in store.found() if kind == "entry edited"}
        assert {one, two} <= edited

    def test_entries_cut_off_at_the_end(self, store: Chained) -> None:
        last = max(store.places().values())
        gone = {row for row, place in store.places().items() if place > last - 2}
        store.forge("DELETE FROM chain_entries WHERE place > :place", place=last - 2)
        found = store.found()
        assert ("end cut off", None) in found
        assert {row for kind, row in found if kind == "row inserted"} == gone

    def test_an_end_cut_off_with_its_rows_and_its_head(self, store: Chained) -> None:
        """Nothing inside the database tells of it; what was written down outside does."""
        with store.factory(read_only=True) as uow:
            entries = list(uow.chain.read(store.project))
        anchors = {entries[-1].place: entries[-1].hash}
        with store.forging() as raw:
            for entry in entries[-2:]:
                key = "uid" if entry.table_name == "audit_log" else "id"
                raw.execute(
                    text(f"DELETE FROM {entry.table_name} WHERE {key} = :id"), {"id": entry.row_id}
                )
            last = {"p": entries[-3].place}
            raw.execute(text("DELETE FROM chain_entries WHERE place > :p"), last)
            raw.execute(
                text("UPDATE chain_heads SET place = :p, hash = :h"),
                {"p": entries[-3].place, "h": entries[-3].hash},
            )
        assert store.found() == set()
        (finding,) = store.check(anchors).findings
        assert (finding.kind, finding.place) == ("end cut off", entries[-2].place)

    def test_a_chain_written_anew(self, store: Chained) -> None:
        with store.factory(read_only=True) as uow:
            entries = list(uow.chain.read(store.project))
        anchors = {entry.place: entry.hash for entry in entries[::3]}
        row = verdict_ids(store)[0]
        with store.forging() as raw:
            raw.execute(text("UPDATE verdicts SET value = 'correct' WHERE id = :id"), {"id": row})
            raw.execute(text("DELETE FROM chain_entries"))
            raw.execute(text("DELETE FROM chain_heads"))
        _rechain(store, entries)
        assert store.found() == set()
        assert {kind for kind, _ in store.found(anchors)} == {"anchor missed"}

    def test_a_head_that_is_gone(self, store: Chained) -> None:
        store.forge("DELETE FROM chain_heads")
        assert store.found() == {("end cut off", None)}


def _forged(former: str, entry: object, row_hash: str) -> object:
    from db.chain import entry_hash

    hashed = entry_hash(
        project=entry.project_id, place=entry.place, former=former, table=entry.table_name,
        row_id=entry.row_id, row_hash=row_hash, behind=entry.behind, at=entry.at,
    )  # fmt: skip
    return replace(entry, row_hash=row_hash, hash=hashed)  # type: ignore[type-var]


def _rechain(store: Chained, entries: list) -> None:
    """What a forger with this program at hand would do: a chain over the rows as they are now."""
    from db.chain import row_hash
    from db.repositories.chain_rows import ChainRows

    with store.factory() as uow:
        stored = ChainRows(uow._session).stored(entries)
        former, made = genesis(store.project), []
        for entry in entries:
            content = stored[entry.table_name, entry.row_id].content
            made.append(_forged(former, entry, row_hash(entry.table_name, content)))
            former = made[-1].hash
        assert uow.chain.adopt(store.project, made) == len(entries)
        uow.commit()


class TestAdopting:
    def test_the_same_chain_again_changes_nothing(self, store: Chained) -> None:
        with store.factory() as uow:
            entries = list(uow.chain.read(store.project))
            assert uow.chain.adopt(store.project, entries) == 0
            uow.commit()
        assert store.check().is_whole

    def test_another_chain_is_refused(self, store: Chained) -> None:
        with store.factory() as uow:
            entries = list(uow.chain.read(store.project))
            wrong = [replace(entries[0], row_hash="0" * 64), *entries[1:]]
            with pytest.raises(Conflict, match="differs from place 1"):
                uow.chain.adopt(store.project, wrong)

    @pytest.mark.parametrize("change", [{"hash": "0" * 64}, {"behind": 3}, {"place": 77}])
    def test_an_entry_that_does_not_follow_is_refused(
        self, store: Chained, change: dict[str, object]
    ) -> None:
        with store.factory(read_only=True) as uow:
            entries = list(uow.chain.read(store.project))
        with store.forging() as raw:
            raw.execute(text("DELETE FROM chain_entries"))
            raw.execute(text("DELETE FROM chain_heads"))
        wrong = [*entries[:-1], replace(entries[-1], **change)]  # type: ignore[arg-type]
        with store.factory() as uow, pytest.raises(Conflict, match="does not follow"):
            uow.chain.adopt(store.project, wrong)

    def test_a_row_that_differs_or_lacks_is_refused(self, store: Chained) -> None:
        with store.factory(read_only=True) as uow:
            entries = list(uow.chain.read(store.project))
        one, two = verdict_ids(store)[:2]
        with store.forging() as raw:
            raw.execute(text("DELETE FROM chain_entries"))
            raw.execute(text("DELETE FROM chain_heads"))
            raw.execute(text("UPDATE verdicts SET comment = 'x' WHERE id = :id"), {"id": one})
        with store.factory() as uow, pytest.raises(Conflict, match=f"verdicts {one} was changed"):
            uow.chain.adopt(store.project, entries)
        with store.forging() as raw:
            raw.execute(text("DELETE FROM verdicts WHERE id IN (:a, :b)"), {"a": one, "b": two})
        with store.factory() as uow, pytest.raises(Conflict, match=f"no row verdicts {one}"):
            uow.chain.adopt(store.project, entries)

    def test_rows_beside_it_are_chained_after_it(self, store: Chained) -> None:
        with store.factory() as uow:
            entries = list(uow.chain.read(store.project))
            uow.audit.append(
                actor="worker", action="import", entity="x", entity_id="y",
                project_id=store.project,
            )  # fmt: skip
            assert uow.chain.adopt(store.project, entries) == 0
            uow.commit()
        assert store.check().entries == len(entries) + 1
        assert store.check().is_whole


class TestAuditLines:
    def test_people_are_stored_by_id_and_read_by_name(self, store: Chained) -> None:
        ada = store.world.ada
        with store.factory() as uow:
            row = uow.audit.append(
                actor=ada.name, action="member.role", entity="project", entity_id="1",
                project_id=store.project, detail={"reviewer": f"person:{store.world.ben.id}"},
            )  # fmt: skip
            uow.commit()
        with store.engine.connect() as raw:
            stored = raw.execute(
                text("SELECT actor, detail FROM audit_log WHERE uid = :uid"), {"uid": row.uid}
            ).one()
        assert stored.actor == f"person:{ada.id}"
        assert store.world.ben.name not in str(stored.detail)
        with store.factory(read_only=True) as uow:
            (line,) = uow.audit.list(project_id=store.project, action="member.role")
            assert (line.actor, line.detail) == (ada.name, {"reviewer": store.world.ben.name})
            assert uow.audit.list(project_id=store.project, reviewer_id=store.world.ben.id) == ()
            assert len(uow.audit.list(project_id=store.project, action="verdict.")) == 4
            assert uow.audit.people(store.project) == {ada.id: ada.name}

    def test_lines_go_elsewhere_as_they_are(self, store: Chained) -> None:
        with store.factory() as uow:
            lines = list(uow.audit.read(store.project))
            assert [uow.audit.adopt(line) for line in lines] == [False] * len(lines)
            fresh = replace(lines[0], uid=new_id())
            assert uow.audit.adopt(fresh)
            with pytest.raises(Conflict, match="known with other content"):
                uow.audit.adopt(replace(lines[0], action="other"))

    def test_nobody_takes_the_program_s_name(self, store: Chained) -> None:
        with store.factory() as uow, pytest.raises(InvalidValue, match="program uses"):
            uow.reviewers.get_or_create(" Worker ")

    def test_a_repeat_of_an_act_is_not_chained_again(self, store: Chained) -> None:
        row = say(store, 5)
        before = store.places()
        with store.factory() as uow:
            event = next(e for e in uow.log.read(store.project) if e.id == row)
            assert uow.log.replay([event]) == 0
            uow.commit()
        assert store.places() == before

    def test_entries_can_be_neither_changed_nor_removed(self, store: Chained) -> None:
        with pytest.raises(IntegrityError, match="append-only"), store.engine.begin() as raw:
            raw.execute(text("DELETE FROM chain_entries WHERE place = 1"))
