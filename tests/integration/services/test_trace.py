"""From a pixel to the people behind a model and back, over a world with a run that learnt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from typer.testing import CliRunner, Result

from core.errors import ConfigError, InsightError
from dashboard.cli import app
from dashboard.services.run_work import run_inline
from dashboard.services.trace_find import Ambiguous
from dashboard.viewmodels.trace import TraceNode, TraceView
from db.errors import NotFound
from db.records import NewImage, new_id
from tests.integration.services.world import GRID, RULER, World, judge, make_world, reviewer


@dataclass(frozen=True)
class Learnt:
    """The tiny world, judged by two people, with a version made from Ada's words."""

    world: World
    version: str  # made by the run
    run_id: str
    verdict: str  # a spurious one of Ada's
    case: str  # it was given in
    cue: str
    late: str  # a verdict of Bo's, given after the run


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    torch.set_num_threads(1)
    world = make_world(tmp_path_factory.mktemp("trace") / "ws")
    ada = reviewer(world)
    judge(world, ada, count=8)
    run = world.services.runs.start_reweight(
        id=new_id(), project_id=world.project_id, reviewer_id=ada, strategy="groups"
    )
    done = run_inline(world.services, run.id)
    judge(world, reviewer(world, "Bo"), count=1)
    with world.services.uow(read_only=True) as uow:
        bo = uow.reviewers.get_or_create("Bo").id
        mine = [v for v in uow.verdicts.by_reviewer(world.project_id, ada) if v.value == "spurious"]
        late = uow.verdicts.by_reviewer(world.project_id, bo)[-1]
    return Learnt(
        world, done.result_version or "", run.id, mine[0].id, mine[0].case_id, mine[0].cue_id,
        late.id,
    )  # fmt: skip


def walk(nodes: tuple[TraceNode, ...]) -> Iterator[TraceNode]:
    for node in nodes:
        yield node
        yield from walk(node.children)


def kinds(view: TraceView) -> list[str]:
    return [node.kind for node in walk(view.nodes)]


def text(view: TraceView) -> str:
    lines = [f"{n.title} {n.ref} {n.note} {n.facts}" for n in walk(view.nodes)]
    return "\n".join([view.sentence, *lines])


def blind(world: World, *hidden: str) -> None:
    world.services.settings_of.save(
        id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world),
        changes={"blind": list(hidden)}, based_on=0,
    )  # fmt: skip


class TestPixel:
    def test_the_whole_chain_from_patch_to_people(self, learnt: Learnt) -> None:
        place = (0.1, 0.99)  # the ruler lies on patches 12 to 14, in the last row
        view = learnt.world.services.trace.pixel(learnt.case, *place)
        found = {node.kind: node for node in reversed(list(walk(view.nodes)))}
        assert f"row {GRID[0]}".casefold() in view.sentence.casefold()
        assert set(kinds(view)) >= {
            "image", "place", "encoder", "cue", "concept", "name", "word", "case", "version",
            "snapshot", "effect",
        }  # fmt: skip
        cue = next(n for n in walk(view.nodes) if n.kind == "cue" and "ruler" in n.title)
        facts = dict(cue.facts)
        assert facts["in its region"] == "yes"
        assert float(facts["activation of this patch"]) > 1.5
        assert any(n.kind == "word" and n.title == "Ada: spurious" for n in walk((cue,)))
        assert any(n.kind == "effect" and n.ref == learnt.version for n in walk((cue,)))
        assert dict(found["encoder"].facts)["hash"] == "ab" * 32
        assert "last block" in dict(found["encoder"].facts)["layer"]
        with learnt.world.services.uow(read_only=True) as uow:
            image = uow.cases.get(learnt.case).image
        assert found["image"].ref == image.sha256

    def test_one_cue_by_its_letter(self, learnt: Learnt) -> None:
        trace = learnt.world.services.trace
        with learnt.world.services.uow(read_only=True) as uow:
            cues = uow.cues.list(learnt.case)
        view = trace.pixel(learnt.case[:8], 0.5, 0.5, cue="b")
        shown = [node for node in view.nodes if node.kind == "cue"]
        assert [node.ref for node in shown] == [cues[1].id]
        with pytest.raises(NotFound, match="it has A, B"):
            trace.pixel(learnt.case, 0.5, 0.5, cue="Z")

    def test_a_place_outside_the_picture_is_refused(self, learnt: Learnt) -> None:
        with pytest.raises(ConfigError, match=r"in 0\.\.1"):
            learnt.world.services.trace.pixel(learnt.case, 1.2, 0.5)

    def test_the_last_row_and_column_belong_to_the_picture(self, learnt: Learnt) -> None:
        view = learnt.world.services.trace.pixel(learnt.case, 1.0, 1.0)
        assert f"Row {GRID[0]}, column {GRID[1]}" in view.sentence


class TestBack:
    def test_which_cases_a_verdict_changed(self, learnt: Learnt) -> None:
        view = learnt.world.services.trace.verdict(learnt.verdict)
        effect = next(node for node in walk(view.nodes) if node.kind == "effect")
        assert effect.ref == learnt.version
        assert "what this word did alone is not known" in effect.note
        with learnt.world.services.uow(read_only=True) as uow:
            before = uow.versions.by_hash(learnt.world.project_id, learnt.world.version_hash)
            after = uow.versions.by_hash(learnt.world.project_id, learnt.version)
            assert before is not None
            assert after is not None
            was = {r.image_id: r.prediction for r in uow.cases.predictions(before.id)}
            now = uow.cases.predictions(after.id)
        turned = [row for row in now if was[row.image_id] != row.prediction]
        assert turned
        assert dict(effect.facts)["decides otherwise"] == f"{len(turned)} of {len(now)} cases"
        assert len(effect.children) + effect.more == len(turned)
        assert {node.ref for node in effect.children} <= {row.case_id for row in turned}
        counted = next(node for node in walk(view.nodes) if node.kind == "evidence")
        assert "together: spurious" in counted.title

    def test_a_word_that_no_run_has_used_says_so(self, learnt: Learnt) -> None:
        view = learnt.world.services.trace.verdict(learnt.late)
        assert "0 snapshots of verdicts hold it" in view.sentence
        assert "effect" not in kinds(view)

    def test_which_verdicts_shaped_a_version(self, learnt: Learnt) -> None:
        view = learnt.world.services.trace.version(learnt.version[:8])
        said = text(view)
        assert "Ada: spurious" in said
        assert "ruler in" in said
        assert f"Run {learnt.run_id[:8]}" in said
        assert learnt.world.version_hash[:12] in said
        words = [n for n in walk(view.nodes) if n.kind == "word"]
        assert all(uuid_known(learnt, word.ref) for word in words)

    def test_the_first_version_comes_from_no_version(self, learnt: Learnt) -> None:
        found = learnt.world.services.trace.version(learnt.world.version_hash)
        said = {
            dict(node.facts).get("comes from")
            for node in walk(found.nodes)
            if node.ref == learnt.world.version_hash
        }
        assert said == {"the data: it is the first version"}
        later = learnt.world.services.trace.version(learnt.version)
        (node,) = (each for each in walk(later.nodes) if "comes from" in dict(each.facts))
        assert dict(node.facts)["comes from"] == learnt.world.version_hash[:12]

    def test_a_snapshot_an_image_and_a_person(self, learnt: Learnt) -> None:
        trace = learnt.world.services.trace
        with learnt.world.services.uow(read_only=True) as uow:
            made = uow.versions.by_hash(learnt.world.project_id, learnt.version)
            assert made is not None
            frozen = uow.snapshots.get(made.snapshot_id or "")
            image = uow.cases.get(learnt.case).image
        assert learnt.version in text(trace.snapshot(frozen.hash[:10]))
        seen = trace.image(image.sha256[:12])
        assert [node.kind for node in seen.nodes][:3] == ["image", "case", "case"]
        assert "ruler is spurious" in text(seen)
        person = trace.person("Ada")
        assert dict(person.nodes[0].facts)["versions they shaped"] == "1"
        with pytest.raises(NotFound):
            trace.person("Nobody")

    def test_a_file_that_left(
        self, learnt: Learnt, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        out = tmp_path_factory.mktemp("out") / "README.md"
        world = learnt.world
        card = world.services.cards.model(world.project_id, out, version=learnt.version)
        for key in (card.sha256, card.sha256[:9], str(out)):
            view = world.services.trace.export(key)
            assert view.nodes[0].ref == card.sha256
            assert any(node.ref == learnt.version for node in view.nodes)
        assert card.sha256 in text(world.services.trace.version(learnt.version))

    def test_a_picture_file(self, learnt: Learnt) -> None:
        with learnt.world.services.uow(read_only=True) as uow:
            root = uow.projects.get(learnt.world.project_id).root
            image = uow.cases.get(learnt.case).image
        view = learnt.world.services.trace.image(f"{root}/{image.relpath}")
        assert view.nodes[0].ref == image.sha256


class TestFind:
    def test_anything_by_what_it_begins_with(self, learnt: Learnt) -> None:
        find = learnt.world.services.trace.find
        assert find(learnt.version[:10]).asked == f"version {learnt.version}"
        assert find(learnt.run_id).asked == f"version {learnt.version}"
        assert find(learnt.verdict).asked == f"verdict {learnt.verdict}"
        assert find("Ada").asked == "person Ada"
        assert find(learnt.case).asked.startswith("image ")

    def test_several_are_named(self, learnt: Learnt) -> None:
        world = learnt.world
        with world.services.uow() as uow:
            image = uow.images.by_relpath(world.project_id, "reversed-000.png")
            assert image is not None
            twin = uow.projects.add("twin", "/nowhere", classes=("naevus", "melanoma"))
            uow.images.add_many(twin.id, [NewImage("same.png", image.sha256, 32, 24)])
            uow.commit()
        with pytest.raises(Ambiguous, match=r"same\.png, project twin") as caught:
            world.services.trace.image(image.sha256)
        assert {match.project for match in caught.value.matches} == {"tiny", "twin"}
        found = world.services.trace.image(image.sha256, project_id=twin.id)
        assert "0 version(s)" in found.sentence

    @pytest.mark.parametrize("strange", ["", "%%%%", "zzzz", "abc", "'; drop table runs"])
    def test_what_is_no_hash_is_not_looked_for(self, learnt: Learnt, strange: str) -> None:
        with pytest.raises(NotFound):
            learnt.world.services.trace.find(strange)


class TestHidden:
    def test_others_words_wait_for_ones_own(self, learnt: Learnt) -> None:
        stranger = reviewer(learnt.world, "Cy")
        trace = learnt.world.services.trace
        view = trace.pixel(learnt.case, 0.1, 0.99, viewer=stranger)
        assert "Ada: spurious" not in text(view)
        assert "once your own verdict on it stands" in text(view)
        with pytest.raises(InsightError, match="own verdict"):
            trace.verdict(learnt.verdict, viewer=stranger)
        assert "Ada: spurious" not in text(trace.version(learnt.version, viewer=stranger))
        with learnt.world.services.uow(read_only=True) as uow:
            sha = uow.cases.get(learnt.case).image.sha256
        assert "Ada" not in text(trace.image(sha, viewer=stranger))

    def test_ones_own_words_are_told(self, learnt: Learnt) -> None:
        ada = reviewer(learnt.world)
        trace = learnt.world.services.trace
        assert "Ada: spurious" in text(trace.verdict(learnt.verdict, viewer=ada))
        assert "Ada: spurious" in text(trace.version(learnt.version, viewer=ada))

    def test_a_blind_case_stays_shut(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        torch.set_num_threads(1)
        folder = tmp_path_factory.mktemp("blind") / "ws"
        world = make_world(folder, splits={"train": 16, "test": 8})
        ada = reviewer(world)
        judge(world, ada, count=1)
        blind(world, "prediction", "labels")
        with world.services.uow(read_only=True) as uow:
            verdict = uow.verdicts.by_reviewer(world.project_id, ada)[0]
            sha = uow.cases.get(verdict.case_id).image.sha256
        trace = world.services.trace
        with pytest.raises(InsightError, match="blind"):
            trace.pixel(verdict.case_id, 0.5, 0.5, viewer=ada)
        with pytest.raises(InsightError, match="blind"):
            trace.image(sha, viewer=ada)
        shut = trace.place(verdict.case_id, viewer=ada)
        assert (bool(shut.shut), shut.cues, shut.image_name) == (True, (), "")
        assert trace.pixel(verdict.case_id, 0.5, 0.5).nodes  # the machine's own user sees it


class TestCommand:
    def call(self, learnt: Learnt, *arguments: str) -> Result:
        where = ["--workspace", str(learnt.world.settings.workspace)]
        return CliRunner().invoke(app, [*arguments, *where])

    def test_a_tree_of_text(self, learnt: Learnt) -> None:
        told = self.call(learnt, "trace", "pixel", "--case", learnt.case, "--x", ".1", "--y", ".99")
        assert told.exit_code == 0, told.output
        assert "├─ " in told.stdout
        assert "Ada: spurious" in told.stdout

    @pytest.mark.parametrize(
        "what", ["verdict", "version", "person", "find", "image", "snapshot", "export"]
    )
    def test_json(self, learnt: Learnt, what: str) -> None:
        with learnt.world.services.uow(read_only=True) as uow:
            made = uow.versions.by_hash(learnt.world.project_id, learnt.version)
            assert made is not None
            frozen = uow.snapshots.get(made.snapshot_id or "")
            image = uow.cases.get(learnt.case).image
        key = {
            "verdict": learnt.verdict, "version": learnt.version, "person": "Ada",
            "find": learnt.run_id, "image": image.sha256, "snapshot": frozen.hash,
            "export": "0000",
        }[what]  # fmt: skip
        told = self.call(learnt, "trace", what, key, "--json")
        if what == "export":  # nothing of that hash ever left
            assert told.exit_code == 4
            return
        assert told.exit_code == 0, told.output
        view = json.loads(told.stdout)
        assert view["nodes"]
        assert view["nodes"][0]["title"]

    def test_reproduce_says_what_came_of_it(self, learnt: Learnt) -> None:
        same = self.call(learnt, "reproduce", learnt.version[:12], "--project", "tiny")
        assert same.exit_code == 0, same.output
        assert "is the same, bit by bit" in same.stdout
        assert "head.safetensors" in same.stdout
        cannot = self.call(learnt, "reproduce", learnt.world.version_hash, "--project", "tiny")
        assert cannot.exit_code == 4
        assert "does not hold the settings" in cannot.output
        told = self.call(
            learnt, "reproduce", learnt.version, "--project", "tiny", "--json", "--as", "Ada"
        )
        assert json.loads(told.stdout)["outcome"] == "same"
        with learnt.world.services.uow(read_only=True) as uow:
            line = uow.audit.list(entity="version", limit=1)[0]
        assert line.action == "version.reproduce"


def uuid_known(learnt: Learnt, word_id: str) -> bool:
    with learnt.world.services.uow(read_only=True) as uow:
        return uow.trace.word(word_id) is not None


def test_the_ruler_is_the_cue_that_was_judged(learnt: Learnt) -> None:
    with learnt.world.services.uow(read_only=True) as uow:
        assert uow.cues.get(learnt.cue).number == RULER
