"""Every strategy that the docs name is measured; second worlds, joined parts, tuning, rare cues."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import feedback, feedback_join, feedback_phantoms, feedback_protocol
from benchmarks import feedback_toy_colors as colours
from benchmarks.__main__ import main
from benchmarks.feedback_phantoms import as_ours, fit_data, trial
from benchmarks.harness import write_json
from benchmarks.phantom_project import KINDS, Reviewer, Said, Sizes, World, build, chance_order
from benchmarks.phantom_rare import CONTRADICT, SHOWN, met, rare, rates, refit
from benchmarks.phantom_tuning import asked, fine_tune, items
from core.cue_marks import MarkedRegion
from core.errors import FeedbackError
from core.phantoms.generator import generate
from dashboard.services.run_options import FINETUNE_OPTIONS
from dashboard.services.tuning_cases import encoder_tuning

PAGE = Path(__file__).resolve().parents[3] / "docs" / "benchmarks.md"
SMALL = Sizes(60, 10, 10)
HEADINGS = {
    "iris_cancer": "Iris-Cancer",
    "toy_colors": "Toy Colors",
    "decoy_digits": "DecoyDigits",
    "squares_symmetric": "Squares, symmetric",
    "squares_asymmetric": "Squares, asymmetric",
    "phantoms": "Dermoscopy phantoms",
}


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def _in_cache(cached: Path) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIGHT_BENCH_CACHE", str(cached))
        yield


def stem(name: str) -> str:
    """A strategy's name with N for a number and QUALITY for a kind of bad feedback."""
    for quality in feedback_protocol.QUALITIES:
        name = re.sub(rf"_{quality}$", "_QUALITY", name)
    return re.sub(r"_\d+$", "_N", name)


def in_the_docs(name: str) -> set[str]:
    """First columns of the table under a protocol's heading."""
    text = PAGE.read_text(encoding="utf-8")
    part = text.partition(f"\n### {HEADINGS[name]}\n")[2]
    part = re.split(r"\n##+ ", part)[0]
    return {stem(found) for found in re.findall(r"^\| `([^`]+)` \|", part, re.M)}


def in_the_docstring() -> set[str]:
    """What stands before two spaces at the beginning of a line of the phantoms' docstring."""
    name = r"[a-z_A-Z0-9+.]+"
    lines = re.findall(rf"^((?:{name}, )*{name})  ", feedback_phantoms.__doc__ or "", re.MULTILINE)
    found = {stem(each) for line in lines for each in line.split(", ") if "..." not in each}
    assert {"unfixed", "finetune_N", "ours_N", "ours_QUALITY", "chance_N", "oracle"} <= found
    return found


def strategies(name: str, row: Mapping[str, object]) -> set[str]:
    known = (*row, *feedback.load(name).REFERENCES)
    return {stem(key.partition(".")[0]) for key in known}


@pytest.mark.parametrize(
    "name", ["iris_cancer", "toy_colors", "decoy_digits", "squares_symmetric", "squares_asymmetric"]
)
def test_every_strategy_of_the_docs_is_in_a_quick_run(name: str) -> None:
    row = feedback.load(name).run((0,), True)
    assert in_the_docs(name)
    assert in_the_docs(name) <= strategies(name, row)
    assert "ours" in strategies(name, row)
    assert all(key.partition(".")[2] in feedback.load(name).UNITS for key in row)


def test_every_strategy_of_the_phantoms_is_in_a_trial() -> None:
    row = feedback_phantoms.one_seed(3, True, scale=trial(SMALL))
    assert in_the_docs("phantoms") <= strategies("phantoms", row)
    assert in_the_docstring() <= strategies("phantoms", row)
    tuned = {f"finetune_25.{key}" for key in ("same", "reversed", "carried", "refused", "noticed")}
    assert tuned <= set(row)
    for order in ("ours", "teach", "chance"):
        keys = {f"rare_{order}_10.{key}" for key in ("same", "reversed", "spurious", "met")}
        assert keys <= set(row)
    assert {"rare_unfixed.reversed", "rare_oracle.reversed", "rare_refit.reversed"} <= set(row)
    assert row["ours.reversed"] == row["ours_25.reversed"]
    assert all(key.partition(".")[2] in feedback_phantoms.UNITS for key in row)
    assert 0.0 <= row["finetune_25.carried"] <= 1.0


class TestFineTuning:
    @pytest.fixture(scope="class")
    @staticmethod
    def world() -> World:
        return build(3, SMALL)

    def test_what_is_refused_ends_the_work(self, world: World, tmp_path: Path) -> None:
        one = MarkedRegion(0, 7, np.ones(world.tokens_of(0).shape[0], np.bool_), "correct")
        said = Said((one,), 1)
        with pytest.raises(FeedbackError, match="nothing that people pointed at"):
            fine_tune(world, said, fit_data(world, said), tmp_path)
        assert not list(tmp_path.iterdir())

    def test_items_are_the_rows_and_only_train_is_learnt_from(self, world: World) -> None:
        found = items(world)
        assert [item.split for item in found] == ["train"] * 60 + ["test"] * 10 + ["reversed"] * 10
        assert [item.label for item in found] == world.labels_I.tolist()
        assert len({item.sha256 for item in found}) == 80

    def test_the_options_are_those_that_the_form_starts_with(self) -> None:
        usual = encoder_tuning(asked(5))
        form = {field.key: field.default for field in FINETUNE_OPTIONS}
        assert usual.tune.seed == 5
        assert (usual.blocks, usual.pasted, usual.rank) == (form["blocks"], form["pasted"], None)
        assert (usual.tune.epochs, usual.tune.lr) == (form["epochs"], form["lr"])
        assert usual.tune.losses.contribution == form["contribution"]
        assert trial().tuning == replace(
            encoder_tuning(asked(0)), tune=replace(encoder_tuning(asked(0)).tune, epochs=1)
        )

    def test_the_tuned_model_is_read_with_its_own_codes(self, world: World, tmp_path: Path) -> None:
        said = Reviewer(world).verdicts(chance_order(world), 25)
        config = trial().tuning
        found = fine_tune(world, said, fit_data(world, said), tmp_path, config)
        assert found.pooled_IN.shape == world.pooled_IN.shape
        assert not np.allclose(found.pooled_IN, world.pooled_IN)
        right_I = found.head.logits(found.pooled_IN).argmax(1) == world.labels_I
        after = replace(world, pooled_IN=found.pooled_IN).accuracy(found.head)
        assert after["reversed"] == pytest.approx(right_I[70:].mean())
        # An untouched model knows the concepts by their numbers, a tuned one by what they match.
        assert 0.0 < found.carried <= 1.0


class TestRare:
    def test_rates_by_hand(self) -> None:
        with_it, without = rates()
        # Two artefacts, three classes alike: one class with it, two against.
        assert 2 * (with_it + 2 * without) / 3 == pytest.approx(SHOWN)
        assert 2 * without / (with_it + 2 * without) == pytest.approx(CONTRADICT)

    def test_artefacts_are_rare_and_mostly_with_their_label(self) -> None:
        sizes = Sizes(300, 0, 20)
        kind = rare(0, sizes)
        shown, against = 0, 0
        for row in range(300):
            what = kind(row)
            label = generate(row, seed=45_000, size=64).label
            for each, own in zip(what.shortcuts, ("melanoma", "naevus"), strict=True):
                shown += each.label == label
                against += each.label == label != own
        assert 20 <= shown <= 55  # 36 expected
        assert against <= 6
        assert kind(310) == KINDS[1]

    def test_the_generator_obeys(self) -> None:
        kind = rare(0, Sizes(60, 0, 0))
        for row in range(60):
            what = kind(row)
            seen = generate(row, seed=45_000, shortcuts=what.shortcuts, strength=what.strength)
            wanted = {each.cue for each in what.shortcuts if each.label == seen.label}
            assert wanted >= {"ruler", "colour sticker"} & set(seen.cues)

    def test_cases_met_and_a_refit_without_words(self) -> None:
        world = build(3, SMALL)
        seen = (0, 1, 2)
        assert met(world, Said((), 3, seen)) == int(world.shown_I2[:3].any(1).sum())
        assert met(world, Said((), 0)) == 0
        head = refit(world)
        right_I = head.logits(world.pooled_IN[:60]).argmax(1) == world.labels_I[:60]
        assert right_I.mean() > 0.9


def made_up() -> dict[str, list[float]]:
    row = {
        "unfixed.reversed": 0.7, "unfixed.same": 0.98, "oracle.reversed": 0.9,
        "ours_10.reversed": 0.8, "ours_25.reversed": 0.85, "ours.reversed": 0.85,
        "ours_random.reversed": 0.7, "ours_random.noticed": 1.0, "rare_unfixed.reversed": 0.5,
        "rare_oracle.reversed": 0.9, "rare_ours_10.reversed": 0.7, "rare_ours_25.reversed": 0.9,
    }  # fmt: skip
    return {key: [value, value] for key, value in row.items()}


class TestWorlds:
    def test_each_world_has_its_own_yardsticks(self) -> None:
        found = feedback_protocol.closed(feedback.load("phantoms"), made_up())
        assert found["ours_10.gap_closed"] == [pytest.approx(0.5)]
        assert found["rare_ours_10.gap_closed"] == [pytest.approx(0.5)]
        assert found["rare_ours_25.gap_closed"] == [pytest.approx(1.0)]
        assert not {"rare_unfixed.gap_closed", "rare_oracle.gap_closed"} & set(found)

    def test_each_world_is_drawn_by_itself(self, tmp_path: Path) -> None:
        written = feedback.draw(feedback.load("phantoms"), made_up(), tmp_path)
        assert [path.name for path in written] == [
            "feedback-phantoms-efficiency.svg",
            "feedback-phantoms-quality.svg",
            "feedback-phantoms-rare-efficiency.svg",
        ]
        usual, quality, rare_one = (path.read_text("utf-8") for path in written)
        assert "unfixed 0.70" in usual
        assert "unfixed 0.50" in rare_one
        assert "rare" not in usual
        assert ">good<" in quality  # the bar of good feedback stands beside the bad ones

    def test_ours_is_the_main_budget(self) -> None:
        row = {"ours_25.reversed": 0.9, "ours_25.cases": 14.0, "ours_250.reversed": 0.1}
        assert as_ours(row) == {"ours.reversed": 0.9, "ours.cases": 14.0}

    def test_toy_colors_tells_the_worse_block(self) -> None:
        row = {
            "ours_block1.other_rule": 0.9, "ours_block2.other_rule": 1.0,
            "ours_block1.refused": 0.0, "ours_block2.refused": 1.0, "unfixed.ordinary": 1.0,
        }  # fmt: skip
        assert colours.worse(row) == {"ours.other_rule": 0.9, "ours.refused": 1.0}


class TestJoin:
    @staticmethod
    def file(folder: Path, name: str, keys: tuple[str, ...], seeds: tuple[int, ...]) -> Path:
        """A result of the phantoms with some keys; a figure is .5 + seed / 100."""
        row = {key: [0.5 + seed / 100 for seed in seeds] for key in keys}
        row |= {"unfixed.same": [1.0] * len(seeds), "oracle.reversed": [0.9] * len(seeds)}
        protocol = feedback.load("phantoms")
        metrics, notes = feedback.told(protocol, row, False, folder / "figures")
        path = folder / f"{name}.json"
        write_json(feedback.Result("feedback", seeds, tuple(metrics), tuple(notes)), path)
        return path

    def test_parts_and_seeds_are_put_together(self, tmp_path: Path) -> None:
        both = ("unfixed.reversed", "ours_10.reversed", "ours_25.reversed")
        one = self.file(tmp_path, "one", both, (0, 2))
        two = self.file(tmp_path, "two", both, (1,))
        more = self.file(tmp_path, "more", ("unfixed.reversed", "masking.reversed"), (0, 1, 2))
        result = feedback_join.join([one, two, more], tmp_path / "drawn")
        assert result.seeds == (0, 1, 2)
        by_key = {metric.key: metric for metric in result.metrics}
        assert by_key["phantoms.ours_10.reversed"].values == pytest.approx((0.5, 0.51, 0.52))
        assert by_key["phantoms.masking.reversed"].values == pytest.approx((0.5, 0.51, 0.52))
        assert by_key["phantoms.masking.gap_closed"].values == pytest.approx((0.0,))
        assert by_key["phantoms.ours_25.reversed"].target is not None
        assert by_key["phantoms.pilot_groups.reversed"].values == (0.988,)
        drawn = [path.name for path in (tmp_path / "drawn").iterdir()]
        assert drawn == ["feedback-phantoms-efficiency.svg"]

    def test_files_that_disagree_or_lack_a_seed_are_refused(self, tmp_path: Path) -> None:
        one = self.file(tmp_path, "one", ("unfixed.reversed", "masking.reversed"), (0, 1))
        two = self.file(tmp_path, "two", ("unfixed.reversed", "erase.reversed"), (0,))
        with pytest.raises(SystemExit, match=r"erase\.reversed was not measured for seed 1"):
            feedback_join.join([one, two], tmp_path)
        raw = json.loads(two.read_text("utf-8"))
        raw["metrics"]["phantoms.unfixed.reversed"]["values"] = [0.6]
        two.write_text(json.dumps(raw), encoding="utf-8")
        with pytest.raises(SystemExit, match=r"unfixed\.reversed, seed 0: 0\.5 and 0\.6"):
            feedback_join.join([one, two], tmp_path)
        raw["versions"]["torch"] = "0"
        two.write_text(json.dumps(raw), encoding="utf-8")
        with pytest.raises(SystemExit, match="other packages"):
            feedback_join.join([one, two], tmp_path)

    def test_a_trial_stays_a_trial(self, tmp_path: Path) -> None:
        one = self.file(tmp_path, "one", ("unfixed.reversed", "ours_25.reversed"), (0,))
        raw = json.loads(one.read_text("utf-8"))
        raw["notes"].append(feedback.QUICK)
        one.write_text(json.dumps(raw), encoding="utf-8")
        out = tmp_path / "out.json"
        code = main(["feedback", "--join", str(one), "--json", str(out)])
        assert code == 0
        told = json.loads(out.read_text("utf-8"))
        assert told["notes"][0] == feedback.QUICK
        assert all(entry["target"] is None for entry in told["metrics"].values())

    def test_only_the_feedback_benchmark_is_joined(self, tmp_path: Path) -> None:
        with pytest.raises(SystemExit):
            main(["shortcut", "--join", str(tmp_path / "one.json")])
