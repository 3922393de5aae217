"""Any two versions, and a run's own judgement, on the same held-out cases."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from core.errors import InsightError
from core.heads import LinearHead
from dashboard.services import feedback, run_data
from dashboard.services.comparing import Opened, _with_weights
from dashboard.services.judged import Judged
from dashboard.services.judging import judge_run, named_groups, without_label
from dashboard.services.project_settings import ProjectSettings
from dashboard.services.run_data import RunData, load_version
from dashboard.viewmodels.judgement import JudgementView, SplitView
from db.errors import NotFound
from db.feedback_records import NewRun
from db.records import VersionRecord, new_id
from tests.integration.services.descendants import always, base, child, without_ruler
from tests.integration.services.world import RULER, World, judge, make_world, reviewer


@dataclass(frozen=True)
class Side:
    """One of the two, as the steps of a run give it."""

    head: LinearHead
    data: RunData
    engines: Any
    rejected: Sequence[int]

    def codes(self, rows: Any) -> Any:
        return run_data.pooled(self.data, self.engines, rows)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    found = make_world(tmp_path_factory.mktemp("judging") / "ws")
    judge(found, reviewer(found), count=8)
    return found


@pytest.fixture(scope="module")
def better(world: World) -> VersionRecord:
    return child(world, without_ruler(base(world)), seed=1)


@pytest.fixture(scope="module")
def view(world: World, better: VersionRecord) -> JudgementView:
    return world.services.versions.compare(world.project_id, world.version_hash, better.hash)


def split(view: JudgementView, name: str) -> SplitView:
    return next(each for each in view.splits if each.split == name)


def test_the_store_says_the_same_as_counting(
    world: World, better: VersionRecord, view: JudgementView
) -> None:
    with world.services.uow(read_only=True) as uow:
        rows = {
            v.id: {r.image_id: r for r in uow.cases.predictions(v.id, splits=["reversed"])}
            for v in (base(world), better)
        }
    was, now = rows[base(world).id], rows[better.id]
    found = split(view, "reversed")
    assert found.n == len(now) == 40
    right = [sum(r.prediction == r.label for r in each.values()) for each in (was, now)]
    accuracy = found.figures[0]
    assert accuracy.key == "accuracy"
    assert accuracy.before.value == pytest.approx(right[0] / 40)
    assert accuracy.after.value == pytest.approx(right[1] / 40)
    flipped = {k for k in now if now[k].prediction != was[k].prediction}
    assert {flip.image_id for flip in found.flips} == flipped
    for flip in found.flips:
        row, former = now[flip.image_id], was[flip.image_id]
        assert (flip.case_id, flip.former_case_id) == (row.case_id, former.case_id)
        assert (flip.before, flip.after) == (former.prediction, row.prediction)
        assert flip.image_name == row.relpath
        kind = {former.label: "broken", row.label: "mended"}
        assert flip.kind == ("mended" if row.prediction == row.label else "broken"), kind
    assert found.mended + found.broken + found.moved == len(flipped)


def test_what_feedback_should_do_is_seen(view: JudgementView) -> None:
    found = split(view, "reversed")
    figures = {figure.key: figure for figure in found.figures}
    assert figures["accuracy"].said == "better"
    assert figures["spurious_share"].after.value == 0.0
    assert (figures["spurious_share"].before.value or 0) > 0.1
    assert figures["spurious_share"].said == "better"
    assert figures["spurious_share"].sentence.startswith("better by")
    # The rejected regions hold the ruler and nothing else: the new head reads nothing off them.
    assert view.regions is not None
    assert view.regions_n >= 8
    assert (view.regions.before.value or 0) > 0.2
    assert (view.regions.after.value or 0) < 0.1
    assert view.regions.said == "better"
    assert view.guard.passed
    ruler = next(each for each in view.concepts if each.concept == RULER)
    assert (ruler.name, ruler.rejected, ruler.after) == ("ruler", True, 0.0)
    assert ruler.concept_id is not None
    assert ruler.effect * ruler.before < 0  # the weight was taken back
    effects = [abs(each.effect) for each in view.concepts]
    assert effects == sorted(effects, reverse=True)
    assert all(figure.help and "\n" not in figure.help for figure in found.figures)
    assert "from wrong to right" in found.sentence
    assert found.groups_from.startswith("Groups are the labels")


def test_the_other_way_round_is_a_loss(world: World, better: VersionRecord) -> None:
    back = world.services.versions.compare(world.project_id, better.id, base(world).id)
    assert not back.guard.passed
    assert back.guard.breaches
    assert split(back, "reversed").figures[0].said == "worse"
    with pytest.raises(InsightError, match="two different"):
        world.services.versions.compare(world.project_id, better.id, better.hash)
    with pytest.raises(NotFound):
        world.services.versions.compare(world.project_id, better.id, "ff" * 32)


def test_cases_that_taught_a_version_are_left_out(world: World) -> None:
    """A held-out case with a verdict that went into a version's snapshot does not count."""
    me = reviewer(world, "Grace")
    with world.services.uow(read_only=True) as uow:
        row = uow.cases.predictions(base(world).id, splits=["reversed"])[0]
    case = world.services.review.case(world.project_id, row.case_id, me)
    world.services.review.give_verdict(
        id=new_id(), cue_id=case.cues[0].id, reviewer_id=me, value="unsure", based_on=0
    )
    with world.services.uow() as uow:
        snapshot = feedback.take_snapshot(uow, world.project_id, base(world).dictionary_hash)
        uow.commit()
    taught = child(world, without_ruler(base(world)), seed=7, snapshot=snapshot)
    found = world.services.versions.compare(world.project_id, world.version_hash, taught.hash)
    assert split(found, "reversed").n == 39
    assert split(found, "reversed").left_out == 1
    assert row.image_id not in {flip.image_id for flip in split(found, "reversed").flips}


def _run_judged(world: World, attribute: bool) -> tuple[Judged, RunData]:
    data = load_version(world.services.uow, world.services.engines, base(world))
    engines = world.services.engines
    ruler = run_data.pooled(data, engines, np.arange(len(data.images)))[:, [RULER]].toarray() > 1
    before = Side(data.bundle.head, data, engines, (RULER,))
    after = Side(without_ruler(base(world)), data, engines, (RULER,))
    found = judge_run(
        data, before, after,
        attribute_of=(lambda rows: ["with ruler" if ruler[int(r), 0] else "without ruler"
                                    for r in rows]) if attribute else None,
        groups_from="Groups are label and ruler.", left_out={int(data.rows("test")[0])},
        settings=ProjectSettings(), seed=0,
    )  # fmt: skip
    return found, data


def test_a_run_judges_with_groups_and_the_shortcut(world: World) -> None:
    found, data = _run_judged(world, attribute=True)
    assert set(found.splits) == {"test", "reversed"}
    assert found.splits["test"].left_out == 1
    assert found.splits["test"].judgement.n == 39
    names = {part.name for part in found.splits["test"].judgement.groups}
    assert names <= {f"{c}, {w} ruler" for c in ("naevus", "melanoma") for w in ("with", "without")}
    old = found.splits_metrics()["reversed"]
    assert old["before"]["accuracy"] < old["after"]["accuracy"]  # type: ignore[operator]
    assert {"coverage", "set_size", "brier", "ece", "spurious_share"} <= set(old["after"])
    assert sum(found.group_sizes()["reversed"].values()) == 40
    assert {len(pair) for pair in found.group_accuracy()["reversed"].values()} == {2}
    assert {each.concept for each in found.concepts if each.rejected} == {RULER}
    # The ruler helps in one split and misleads in the other: together they show the gap.
    assert found.splits["reversed"].judgement.figure("shortcut_gap") is None
    assert found.pooled is not None
    assert found.pooled.judgement.n == 79
    assert found.pooled.flips == ()
    gap = found.pooled.judgement.figure("shortcut_gap")
    assert gap is not None
    assert (gap.before.value or 0) > (gap.after.value or 0)
    ids = {image.id for image in data.images}
    flips = found.splits["reversed"].flips
    assert flips
    assert all(flip.image_id in ids for flip in flips)


def test_what_a_run_keeps_is_plain_and_comes_back(world: World, better: VersionRecord) -> None:
    found, _ = _run_judged(world, attribute=True)
    text = json.dumps(found.as_json(), allow_nan=False)
    back = Judged.from_json(json.loads(text))
    assert back is not None
    assert back.as_json() == found.as_json()
    assert Judged.from_json({}) is None
    assert Judged.from_json({**found.as_json(), "schema": 99}) is None
    run_id = new_id()
    with world.services.uow() as uow:
        uow.runs.add(
            world.project_id, NewRun(run_id, "reweight", 0, base_version_id=base(world).id)
        )
        uow.runs.update(run_id, state="running")
        uow.runs.update(run_id, state="succeeded", metrics={"judgement": found.as_json()},
                        result_version_id=better.id)  # fmt: skip
        uow.commit()
    view = world.services.judging.of_run(run_id)
    assert view is not None
    assert (view.before_hash, view.after_hash) == (world.version_hash, better.hash)
    assert split(view, "reversed").groups_from == "Groups are label and ruler."
    flip = split(view, "reversed").flips[0]
    assert flip.case_id is not None
    assert flip.case_id != flip.former_case_id
    old = new_id()
    with world.services.uow() as uow:
        uow.runs.add(world.project_id, NewRun(old, "reweight", 0))
        uow.commit()
    assert world.services.judging.of_run(old) is None


def test_groups_are_the_labels_where_nothing_divides_them(world: World) -> None:
    found, _ = _run_judged(world, attribute=False)
    assert {p.name for p in found.splits["test"].judgement.groups} == {"naevus", "melanoma"}
    assert found.splits["test"].judgement.figure("shortcut_gap") is None
    assert named_groups(["a", "b"], ["", "x"]) == ["a", "b, x"]
    assert without_label("naevus", "naevus, with ruler") == "with ruler"


def test_without_codes_the_rest_still_stands(tmp_path_factory: pytest.TempPathFactory) -> None:
    found = make_world(tmp_path_factory.mktemp("bare") / "ws", splits={"train": 30, "test": 20})
    worse = child(found, always(base(found), 0), seed=1)
    shutil.rmtree(base(found).folder)
    found.services.engines._bundles.clear()  # as in another process
    view = found.services.versions.compare(found.project_id, found.version_hash, worse.hash)
    assert split(view, "test").n == 20
    assert view.concepts == ()
    assert any("codes of one version are not at hand" in note for note in view.notes)
    assert "data are not known" in " ".join(
        node.line for node in found.services.versions.lineage(found.project_id).nodes
    )


def test_a_comparison_is_made_anew_when_labels_change(world: World, better: VersionRecord) -> None:
    judging = world.services.judging
    first = judging._compared(base(world), better)
    assert judging._compared(base(world), better) is first
    me = reviewer(world)
    revision = world.services.settings_of.view(world.project_id).revision
    world.services.settings_of.save(
        id=new_id(), project_id=world.project_id, reviewer_id=me,
        changes={"lease_minutes": 11}, based_on=revision,
    )  # fmt: skip
    assert judging._compared(base(world), better) is not first


@pytest.mark.parametrize("tuned_last", [True, False])
def test_weights_of_a_tuned_dictionary_are_matched(tuned_last: bool) -> None:
    """Concept 0 became concept 2; the others have no counterpart, so they count from nothing."""
    old = _opened("old", [[1, 0], [-1, 0]], {2: 0} if not tuned_last else {})
    new = _opened("new", [[0, 0, 3], [0, 0, -3]], {0: 2} if tuned_last else {})
    plain = Judged(("a", "b"), {}, "", 0.03)
    found = _with_weights(plain, old, new).concepts
    assert [(c.concept, c.before, c.after, c.effect) for c in found] == [(2, 1.0, 3.0, 2.0)]
    strangers = _with_weights(
        plain, _opened("x", [[1, 0], [-1, 0]], {}), _opened("y", [[1], [0]], {})
    )
    assert strangers.concepts == ()


def _opened(dictionary: str, weights: list[list[float]], from_other: dict[int, int]) -> Opened:
    weight = np.array(weights, np.float32)
    head = LinearHead(weight, np.zeros(2, np.float32), ("a", "b"))
    codes = csr_matrix(np.ones((4, weight.shape[1]), np.float32))
    return Opened(
        head, codes, (), dictionary, from_other, lambda sha: np.zeros((1, 1)), frozenset()
    )
