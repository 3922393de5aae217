"""What steers runs and versions: words on columns, decisions on versions, curves, predictions."""

import math

import pytest

from db.errors import Conflict, IllegalTransition, InvalidValue, NotFound, StaleWrite
from db.feedback_records import NewRun
from db.image_columns import columns_of
from db.records import NewCase, NewImage, VersionRecord, new_id
from db.run_records import RunPoint
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory
from tests.integration.db.builders import (
    DICTIONARY,
    World,
    make_world,
    new_case,
    new_version,
)


def column(uow: UnitOfWork, world: World, value: str = "spurious", **more: object) -> object:
    asked = {"id": new_id(), "column_name": "site", "reviewer_id": world.ada.id, "based_on": 0}
    return uow.column_verdicts.append(project_id=world.project.id, value=value, **asked | more)


def child(uow: UnitOfWork, world: World, mark: str = "w") -> VersionRecord:
    return uow.versions.add(world.project.id, new_version(mark * 64, world.version.hash))


def decide(
    uow: UnitOfWork, version: VersionRecord, former: VersionRecord | None, **more: object
) -> object:
    asked = {"id": new_id(), "kind": "activate", "former_id": former.id if former else None}
    return uow.version_events.append(version_id=version.id, **asked | more)


class TestColumnVerdicts:
    def test_the_latest_word_of_each_person_stands(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            column(uow, world, reason="background", comment="two cameras")
            column(uow, world, "correct", reviewer_id=world.ben.id)
            second = column(uow, world, "unsure", based_on=1)
            column(uow, world, column_name=" camera ")
            uow.commit()
        with factory(read_only=True) as uow:
            standing = uow.column_verdicts.standing(world.project.id)
            assert [(w.column_name, w.reviewer, w.value) for w in standing] == [
                ("site", world.ben.name, "correct"),
                ("site", world.ada.name, "unsure"),
                ("camera", world.ada.name, "spurious"),
            ]
            assert uow.column_verdicts.mine(world.project.id, world.ada.id)["site"] == second
            history = uow.column_verdicts.history(world.project.id, "site")
            assert [w.revision for w in history] == [1, 1, 2]
            assert (history[0].reason, history[0].comment) == ("background", "two cameras")

    def test_withdrawn_words_stand_no_longer(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            column(uow, world)
            column(uow, world, "withdrawn", based_on=1)
            assert uow.column_verdicts.standing(world.project.id) == ()
            assert uow.column_verdicts.mine(world.project.id, world.ada.id)["site"].revision == 2

    def test_a_repeat_is_harmless_and_a_lost_update_refused(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        event = new_id()
        with factory() as uow:
            first = column(uow, world, id=event)
            assert column(uow, world, id=event) == first
            with pytest.raises(Conflict, match="other content"):
                column(uow, world, "correct", id=event)
            with pytest.raises(StaleWrite):
                column(uow, world, "correct")
            with pytest.raises(InvalidValue, match="verdict must be one of"):
                column(uow, world, "bad", based_on=1)
            with pytest.raises(InvalidValue, match="column name"):
                column(uow, world, column_name=" ")
            with pytest.raises(NotFound):
                column(uow, world, reviewer_id=new_id(), based_on=1, column_name="other")
            assert len(uow.column_verdicts.history(world.project.id, "site")) == 1


class TestVersionEvents:
    def test_deciding_moves_the_state(self, factory: UnitOfWorkFactory, world: World) -> None:
        with factory() as uow:
            second, third = child(uow, world), child(uow, world, "x")
            decide(uow, second, world.version, reviewer_id=world.ada.id, reason="worst group up")
            decide(uow, third, second, kind="discard")
            back = decide(uow, world.version, second, kind="rollback")
            uow.commit()
        with factory(read_only=True) as uow:
            assert uow.projects.get(world.project.id).active_version_id == world.version.id
            states = {v.id: v.state for v in uow.versions.list(world.project.id)}
            assert states == {
                world.version.id: "active", second.id: "candidate", third.id: "discarded"
            }  # fmt: skip
            events = uow.version_events.of_project(world.project.id)
            assert [(e.kind, e.version_id, e.former_id, e.reviewer) for e in events] == [
                ("activate", second.id, world.version.id, world.ada.name),
                ("discard", third.id, second.id, None),
                ("rollback", world.version.id, second.id, None),
            ]
            assert events[0].reason == "worst group up"
            assert uow.version_events.of_version(world.version.id) == (back,)

    def test_what_is_refused_changes_nothing(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            second = child(uow, world)
            with pytest.raises(Conflict, match="meanwhile"):
                decide(uow, second, None)
            with pytest.raises(InvalidValue, match="active already"):
                decide(uow, world.version, world.version)
            with pytest.raises(IllegalTransition):
                decide(uow, world.version, world.version, kind="discard")
            decide(uow, second, world.version, kind="discard")
            with pytest.raises(IllegalTransition):
                decide(uow, second, world.version)
            with pytest.raises(InvalidValue, match="decision on a version"):
                decide(uow, second, world.version, kind="burn")
            assert uow.versions.active(world.project.id).id == world.version.id  # type: ignore[union-attr]
            assert len(uow.version_events.of_project(world.project.id)) == 1

    def test_a_repeat_moves_nothing(self, factory: UnitOfWorkFactory, world: World) -> None:
        event = new_id()
        with factory() as uow:
            second = child(uow, world)
            first = decide(uow, second, world.version, id=event)
            decide(uow, world.version, second, kind="rollback")
            assert decide(uow, second, world.version, id=event) == first
            assert uow.versions.active(world.project.id).id == world.version.id  # type: ignore[union-attr]
            with pytest.raises(Conflict, match="other content"):
                decide(uow, second, world.version, id=event, reason="another")

    def test_a_run_of_another_project_is_refused(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        other = make_world(factory)
        with factory() as uow:
            run = uow.runs.add(other.project.id, NewRun(id=new_id(), kind="reweight", seed=0))
            with pytest.raises(NotFound):
                decide(uow, child(uow, world), world.version, run_id=run.id)


class TestRunPoints:
    def test_a_resumed_run_tells_the_same_points_again(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            run = uow.runs.add(world.project.id, NewRun(id=new_id(), kind="finetune", seed=0))
            points = [RunPoint("loss", step, 1 / (1 + step)) for step in range(3)]
            assert uow.run_points.put(run.id, [*points, RunPoint("accuracy", 2, 0.5)]) == 4
            uow.commit()
        with factory() as uow:
            again = [*points[1:], RunPoint("loss", 2, 0.25), RunPoint("loss", 3, 0.125)]
            uow.run_points.put(run.id, again)
            found = uow.run_points.of_run(run.id)
            assert found == {
                "accuracy": (RunPoint("accuracy", 2, 0.5),),
                "loss": (*points[:2], RunPoint("loss", 2, 0.25), RunPoint("loss", 3, 0.125)),
            }
            assert uow.run_points.of_run(run.id, series=["loss"], after=1) == {
                "loss": found["loss"][2:]
            }
            assert uow.run_points.latest(run.id) == {
                "accuracy": RunPoint("accuracy", 2, 0.5), "loss": RunPoint("loss", 3, 0.125)
            }  # fmt: skip
            assert uow.run_points.clear(run.id, from_step=2) == 3
            assert uow.run_points.latest(run.id) == {"loss": RunPoint("loss", 1, 0.5)}

    def test_more_points_than_one_statement_takes(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            run = uow.runs.add(world.project.id, NewRun(id=new_id(), kind="finetune", seed=0))
            uow.run_points.put(run.id, (RunPoint("loss", step, 0.0) for step in range(2500)))
            assert [p.step for p in uow.run_points.of_run(run.id)["loss"]] == list(range(2500))

    @pytest.mark.parametrize(
        "point", [RunPoint("loss", 0, math.nan), RunPoint("loss", -1, 0.0), RunPoint(" ", 0, 0.0)]
    )
    def test_impossible_points_are_refused(
        self, factory: UnitOfWorkFactory, world: World, point: RunPoint
    ) -> None:
        with factory() as uow:
            run = uow.runs.add(world.project.id, NewRun(id=new_id(), kind="finetune", seed=0))
            with pytest.raises(InvalidValue):
                uow.run_points.put(run.id, [RunPoint("loss", 1, 1.0), point])
            assert uow.run_points.of_run(run.id) == {}
            with pytest.raises(NotFound):
                uow.run_points.put(new_id(), [])


class TestPredictions:
    def test_two_versions_side_by_side(self, factory: UnitOfWorkFactory, world: World) -> None:
        with factory() as uow:
            second = child(uow, world)
            images = [case.image_id for case in world.cases]
            flipped = NewCase(images[0], "naevus", 0.6, 0.4, 0.0, (("naevus", 0.6),), 1)
            uow.cases.add_many(second.id, [new_case(images[1], 0), flipped])
            before = {row.image_id: row for row in uow.cases.predictions(world.version.id)}
            after = {row.image_id: row for row in uow.cases.predictions(second.id)}
        assert set(before) == set(images)
        assert set(after) == set(images[:2])
        changed = [key for key in after if after[key].prediction != before[key].prediction]
        assert changed == [images[0]]
        row = after[images[0]]
        assert (row.prediction, row.confidence, row.probabilities) == (
            "naevus", 0.6, (("naevus", 0.6),)
        )  # fmt: skip
        first = world.cases[0]
        assert (row.sha256, row.relpath, row.label, row.split, row.group) == (
            first.image.sha256, first.image.relpath, "melanoma", "test", None
        )  # fmt: skip
        assert row.case_id != first.id

    def test_only_some_splits_in_the_order_of_paths(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory(read_only=True) as uow:
            rows = uow.cases.predictions(world.version.id, splits=["train"])
            assert [row.relpath for row in rows] == ["images/00001.png", "images/00002.png"]
            assert uow.cases.predictions(world.version.id, splits=[]) == ()


class TestImageColumns:
    def test_values_are_counted_most_first(self, factory: UnitOfWorkFactory, world: World) -> None:
        extra = [
            NewImage(f"extra/{n}.png", f"{n + 100:064x}", 8, 8, split="train", group_name=group,
                     mask_path=mask, meta=meta)
            for n, (group, mask, meta) in enumerate([
                ("left", "m.png", {"site": "B", "age": 61, "note": ""}),
                (None, None, {"site": "A"}),
                ("left", None, {"site": "B", "flag": True}),
            ])
        ]  # fmt: skip
        with factory() as uow:
            uow.images.add_many(world.project.id, extra)
            columns = uow.images.columns(world.project.id)
            assert columns == {
                "age": {"61": 1},
                "flag": {"yes": 1},
                "group": {"left": 2},
                "mask": {"no": 5, "yes": 1},
                "site": {"B": 2, "A": 1},
            }
            assert list(columns["site"]) == ["B", "A"]
            assert uow.images.columns(world.project.id, splits=["test"]) == {}
            values = uow.images.column_values(world.project.id)
            first = uow.images.by_relpath(world.project.id, "extra/0.png")
            assert first is not None
            assert values[first.id] == {"age": "61", "group": "left", "mask": "yes", "site": "B"}
            assert len(values) == 6

    def test_a_built_in_column_wins_over_one_of_the_table(self) -> None:
        assert columns_of({"group": "table", "mask": "table"}, "own", None) == {
            "group": "own", "mask": "no"
        }  # fmt: skip
        assert columns_of({"group": "table"}, " ", "m.png") == {"group": "table", "mask": "yes"}


class TestMarksForEvidence:
    def test_drawings_come_with_image_and_concept(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        case, cue = world.cases[0], world.cues[0][1]
        place = {"case_id": case.id, "reviewer_id": world.ada.id, "shape": "box"}
        box = ((0.0, 0.0), (0.5, 0.5))
        with factory() as uow:
            gone = uow.drawings.draw(id=new_id(), kind="missed", points=box, **place)
            kept = uow.drawings.draw(id=new_id(), kind="here", points=box, cue_id=cue.id, **place)
            free = uow.drawings.draw(id=new_id(), kind="missed", points=box, **place)
            uow.drawings.erase(id=new_id(), drawing_id=gone.id, reviewer_id=world.ada.id)
            found = {each.drawing_id: each for each in uow.drawings.marks(world.project.id)}
        assert set(found) == {kept.id, free.id}
        assert list(found) == sorted(found)
        mark = found[kept.id]
        assert (mark.image_sha256, mark.prediction) == (case.image.sha256, "melanoma")
        assert (mark.concept, mark.dictionary_hash, mark.kind) == (cue.number, DICTIONARY, "here")
        assert (mark.points, mark.reviewer) == (box, world.ada.name)
        assert (found[free.id].concept, found[free.id].dictionary_hash) == (None, None)

    def test_decided_cues_are_marks_until_they_are_withdrawn(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        cue, other = world.cues[0][0], world.cues[1][1]
        with factory() as uow:
            for subject, value, based_on in (
                (cue, "spurious", 0), (cue, "correct", 1), (other, "spurious", 0),
                (other, "withdrawn", 1),
            ):  # fmt: skip
                uow.adjudications.append(
                    id=new_id(), project_id=world.project.id, subject="cue",
                    subject_id=subject.id, reviewer_id=world.ben.id, value=value,
                    based_on=based_on,
                )  # fmt: skip
            uow.adjudications.append(
                id=new_id(), project_id=world.project.id, subject="case",
                subject_id=world.cases[0].id, reviewer_id=world.ben.id, value="naevus", based_on=0,
            )  # fmt: skip
            (mark,) = uow.adjudications.marks(world.project.id, DICTIONARY)
            assert uow.adjudications.marks(world.project.id, "other") == ()
        assert (mark.value, mark.cue_id, mark.reviewer) == ("correct", cue.id, world.ben.name)
        assert (mark.concept, mark.image_sha256) == (cue.number, world.cases[0].image.sha256)
        assert (mark.grid_rows, mark.grid_cols, mark.region_bits) == (3, 4, b"\xf0\x80")

    def test_the_grid_of_a_dictionary(self, factory: UnitOfWorkFactory, world: World) -> None:
        with factory() as uow:
            child(uow, world)  # newer, without cues
            assert uow.cues.grid(world.project.id, DICTIONARY) == (3, 4)
            assert uow.cues.grid(world.project.id, "other") is None
