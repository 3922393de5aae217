import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.cue_detector import RejectedCue
from core.encoder import load_encoder
from core.errors import ConfigError, TrainingStopped
from core.filling import fill_region
from core.finetuning.encoder import EncoderTuning, TunedEncoder, tune_encoder
from core.finetuning.regions import found_regions, grown
from core.finetuning.tower import ConceptTower
from core.finetuning.tower_cases import TowerCases
from core.finetuning.views import TuneCase, Views, make_views, paste_region, plan_pastes
from tests.unit.core import tunable_encoder as world

ROOT = Path(__file__).resolve().parents[3]
REAL = ROOT.parent / "shared" / "realdata" / "vit_ti_encoder"
CONFIG = EncoderTuning(blocks=1, pasted=0.3, grow=0, tune=world.TUNE)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def whole(where: Path, tmp_path_factory: pytest.TempPathFactory) -> TunedEncoder:
    return world.tune(where, tmp_path_factory.mktemp("whole"), CONFIG)


def bits(tuned: TunedEncoder) -> tuple[str, bytes, object]:
    weights = (tuned.folder / "open_clip_model.safetensors").read_bytes()
    figures = (tuned.curves, tuned.metrics)
    return hashlib.sha256(weights).hexdigest(), tuned.head.weight_CN.tobytes(), figures


def views_of(where: Path, folder: Path, pasted: int = 6) -> tuple[Views, ConceptTower]:
    encoder = world.encoder_of(where)
    tower = ConceptTower(encoder, world.dictionary(encoder), world.head(), blocks=1).eval()
    patches = encoder.info.grid[0] * encoder.info.grid[1]
    views = make_views(
        encoder, world.cases(patches), world.pictures().__getitem__, folder, blocks=1,
        tail=tower.tokens, pasted=pasted, seed=2,
    )  # fmt: skip
    return views, tower


def test_killed_at_random_places_and_resumed_is_bit_identical(
    where: Path, whole: TunedEncoder, tmp_path: Path
) -> None:
    """Three kills in a row, while pictures are prepared and between training steps."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for step in (2, *random.Random(5).choices(range(3, 6), k=2)):
        arguments = [sys.executable, world.__file__, str(where), str(tmp_path), str(step)]
        with subprocess.Popen(
            arguments, stdout=subprocess.PIPE, env=environment, cwd=ROOT, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == f"step {step}\n"
            child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL
    resumed = world.tune(where, tmp_path, CONFIG)
    assert bits(resumed) == bits(whole)


def test_stopped_at_every_stage_and_resumed(
    where: Path, whole: TunedEncoder, tmp_path: Path
) -> None:
    stops = 0
    for after in (1, 2, 4):
        calls = iter(range(1000))
        with pytest.raises(TrainingStopped):
            world.tune(where, tmp_path, CONFIG, lambda a=after, c=calls: next(c) == a)  # type: ignore[misc]
        stops += 1
    assert stops == 3
    assert bits(world.tune(where, tmp_path, CONFIG)) == bits(whole)


def test_it_learns_and_says_what_it_did(whole: TunedEncoder, where: Path) -> None:
    before = world.encoder_of(where)
    assert whole.encoder.info.hash != before.info.hash
    assert whole.metrics["marked"] == sum(case.marked and not case.held for case in world.cases(64))
    assert whole.metrics["pasted"] > 0
    values = [value for _, value in whole.curves["train.loss"]]
    assert np.mean(values[-4:]) < np.mean(values[:4])
    assert not np.array_equal(whole.head.weight_CN, world.head().weight_CN)
    assert {"validation.loss", "train.reasons"} <= set(whole.curves)


def test_low_rank_changes_stay_small(where: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, rank=1)
    tuned = world.tune(where, tmp_path, config)
    before = world.encoder_of(where).model.state_dict()
    after = tuned.encoder.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {
        f"visual.transformer.resblocks.2.{name}"
        for name in ("attn.in_proj_weight", "attn.out_proj.weight", "mlp.c_fc.weight",
                     "mlp.c_proj.weight")
    }  # fmt: skip
    for name in changed:
        moved = after[name].double() - before[name].double()
        values = torch.linalg.svdvals(moved)
        assert float(values[1]) < 1e-3 * float(values[0])


def test_it_needs_a_rejected_region(where: Path, tmp_path: Path) -> None:
    encoder = world.encoder_of(where)
    bare = [TuneCase(key, i % 2) for i, key in enumerate(world.pictures())]
    with pytest.raises(ConfigError, match="no case that is learnt from"):
        tune_encoder(
            encoder, world.dictionary(encoder), world.head(), bare,
            world.pictures().__getitem__, tmp_path, CONFIG,
        )  # fmt: skip


def marked(label: int, *, held: bool = False, region: bool = True) -> TuneCase:
    flags = np.zeros(4, np.bool_)
    flags[0] = region
    return TuneCase(f"{label}{held}{region}{np.random.default_rng().random()}", label, held,
                    rejected_P=flags)  # fmt: skip


def test_pastes_go_across_classes() -> None:
    cases = [marked(0), marked(0), marked(1, region=False), marked(1, region=False),
             marked(0, held=True), marked(1, held=True)]  # fmt: skip
    pairs = plan_pastes(cases, 200, seed=1)
    assert {donor for _, donor in pairs} == {0, 1}
    assert {receiver for receiver, _ in pairs} == {2, 3}
    assert pairs == plan_pastes(cases, 200, seed=1)
    assert pairs != plan_pastes(cases, 200, seed=2)
    assert plan_pastes(cases[2:], 5, seed=1) == ()
    both = plan_pastes([marked(0), marked(1)], 20, seed=1)
    assert set(both) == {(0, 1), (1, 0)}
    assert len(both) == 20


def test_paste_region() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    donor = np.full((4, 4, 3), 200, np.uint8)
    region = np.array([[True, True], [False, False]])
    kept = np.array([[False, True], [False, False]])
    pasted = paste_region(image, donor, region, kept)
    assert (pasted[:2, :2] == 200).all()
    assert pasted.sum() == 200 * 4 * 3
    small = np.full((2, 8, 3), 200, np.uint8)  # another size: brought to the receiver's
    assert (paste_region(image, small, region)[:2] == 200).all()


def test_regions_grow_but_not_over_what_is_right() -> None:
    region = np.zeros((4, 4), np.bool_)
    region[0, 0] = True
    kept = np.zeros((4, 4), np.bool_)
    kept[1] = True
    wide = grown(region.ravel(), (4, 4), 1).reshape(4, 4)
    assert np.argwhere(wide).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    spared = grown(region.ravel(), (4, 4), 1, kept.ravel()).reshape(4, 4)
    assert np.argwhere(spared).tolist() == [[0, 0], [0, 1]]
    assert np.array_equal(grown(region.ravel(), (4, 4), 0).reshape(4, 4), region)
    with pytest.raises(ConfigError, match="grid"):
        grown(region.ravel(), (2, 2), 1)


def test_detectors_find_regions_where_nobody_marked() -> None:
    cue = RejectedCue((3,), np.float32([1.0, 0.0]), -1.0, 0.5, 2, 1.0, 3, (0,))
    quiet = np.zeros((4, 2), np.float32)
    loud = quiet.copy()
    loud[1:3, 0] = 4.0
    lone = quiet.copy()
    lone[0, 0] = 1.5  # one patch looks like it, the case as a whole does not
    tokens = {0: quiet, 1: loud, 2: lone}
    found = found_regions([cue], tokens.__getitem__, [0, 1, 2])
    assert {row: region.tolist() for row, region in found.items()} == {
        1: [False, True, True, False]
    }
    assert found_regions([], tokens.__getitem__, [0]) == {}


def test_views_are_what_the_frozen_blocks_say(where: Path, tmp_path: Path) -> None:
    views, tower = views_of(where, tmp_path)
    encoder = world.encoder_of(where)
    assert encoder.vit is not None
    images, grid = world.pictures(), encoder.info.grid

    def prefix(image: NDArray[np.uint8]) -> torch.Tensor:
        assert encoder.vit is not None
        with torch.no_grad():
            return encoder.vit.until(encoder.prepare([image]), len(encoder.vit.blocks) - 1)[0]

    case = next(i for i, c in enumerate(views.cases) if c.marked)
    region = views.cases[case].rejected_P
    assert region is not None
    image = images[views.cases[case].key]
    pairs = [
        (views.whole(case), image),
        (views.filled(case), fill_region(image, region.reshape(grid))),
    ]
    receiver, donor = views.pairs[0]
    kept, pasted = views.cases[receiver].accepted_P, views.cases[donor].rejected_P
    assert pasted is not None
    both = paste_region(
        images[views.cases[receiver].key], images[views.cases[donor].key], pasted.reshape(grid),
        None if kept is None else kept.reshape(grid),
    )  # fmt: skip
    for name, picture in [*pairs, (views.pasted(0), both)]:
        torch.testing.assert_close(views.prefixes.get(name), prefix(picture), rtol=2e-3, atol=2e-3)
        with torch.no_grad():
            tokens = tower.tokens(prefix(picture)[None])[0]
        torch.testing.assert_close(views.anchors.get(name), tokens, rtol=2e-3, atol=2e-3)


def test_views_that_were_lost_come_back_with_the_same_bits(where: Path, tmp_path: Path) -> None:
    views, _ = views_of(where, tmp_path)
    names = [view.name for view in views.all()]
    before = views.prefixes.rows(names)
    listing = sorted(views.prefixes.folder.glob("*.json"))
    assert len(listing) > 1
    for path in (listing[-1], listing[-1].with_suffix(".npy")):
        path.unlink()
    again, _ = views_of(where, tmp_path)
    assert again.identity == views.identity
    assert torch.equal(again.prefixes.rows(names), before)
    shutil.rmtree(tmp_path)


def test_cases_of_the_loop(where: Path, tmp_path: Path) -> None:
    views, _ = views_of(where, tmp_path)
    source = TowerCases(views, world.N)
    held = TowerCases(views, world.N, held=True, anchored=False)
    learnt = [case for case in views.cases if not case.held]
    assert len(source) == len(learnt) + len(views.pairs)
    assert len(held) == len(views.cases) - len(learnt)
    plain = next(i for i, c in enumerate(learnt) if not c.marked)
    own = next(i for i, c in enumerate(learnt) if c.marked and c.concepts is not None)
    pasted = len(learnt)
    batch = source.take(np.array([plain, own, pasted]))
    region, rejected, concepts = batch.region_BP, batch.rejected, batch.concepts_BN
    assert region is not None
    assert rejected is not None
    assert concepts is not None
    assert region.any(1).tolist() == [False, True, True]
    assert source.marked_I[[plain, own, pasted]].tolist() == [False, True, True]
    assert torch.equal(rejected[:, 1:, 0], region)
    assert not rejected[:, 0].any()  # the class token
    assert concepts[1].nonzero().flatten().tolist() == [1, 3]
    assert batch.filled is not None
    assert torch.equal(batch.filled[0], batch.inputs[0])
    assert not torch.equal(batch.filled[1], batch.inputs[1])
    receiver = views.cases[views.pairs[0][0]]
    own_copy = views.filled(views.pairs[0][0]) if receiver.marked else receiver.key
    assert torch.equal(batch.filled[2], views.prefixes.get(own_copy))
    assert int(batch.labels_B[2]) == receiver.label
    assert batch.weight_B[2] == pytest.approx(receiver.weight)
    assert held.take(np.array([0])).anchor_BPD is None
    assert source.identity != held.identity


def test_a_wrong_case_is_refused(where: Path, tmp_path: Path) -> None:
    encoder = world.encoder_of(where)
    twice = [TuneCase("a", 0), TuneCase("a", 1)]
    odd = [TuneCase("a", 0, rejected_P=np.zeros(3, np.bool_))]
    for cases, words in ((twice, "twice"), (odd, "region is bool")):
        with pytest.raises(ConfigError, match=words):
            make_views(
                encoder, cases, world.pictures().__getitem__, tmp_path, blocks=1,
                tail=lambda x: x,
            )  # fmt: skip


@pytest.mark.realdata
@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/realdata is not here")
def test_a_real_encoder_is_tuned(tmp_path: Path) -> None:
    """The ViT-Ti on ten pictures, one step: it loads again, and only its last block moved."""
    encoder = load_encoder(str(REAL))
    patches = encoder.info.grid[0] * encoder.info.grid[1]
    images = dict(list(world.pictures().items())[:10])
    corner_P = np.arange(patches) < 3
    cases = [TuneCase(k, i % 2, rejected_P=corner_P) for i, k in enumerate(images)]
    config = replace(CONFIG, pasted=0.0, tune=replace(world.TUNE, epochs=1, batch=10))
    tuned = tune_encoder(
        encoder, world.dictionary(encoder), world.head(), cases, images.__getitem__, tmp_path,
        config,
    )  # fmt: skip
    assert (tuned.metrics["steps"], tuned.encoder.info.grid) == (1.0, encoder.info.grid)
    before, after = encoder.model.state_dict(), tuned.encoder.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("visual.transformer.resblocks.11.") for name in changed)


def test_settings_round_trip_and_refuse() -> None:
    config = EncoderTuning(rank=4, pasted=0.0)
    assert EncoderTuning.from_json(config.to_json()) == config
    part = EncoderTuning.from_json({"blocks": 3, "tune": {"epochs": 1, "losses": {"paste": 0.5}}})
    assert (part.blocks, part.tune.epochs, part.tune.losses.paste) == (3, 1, 0.5)
    assert part.tune.losses.anchor == EncoderTuning().tune.losses.anchor
    for wrong in ({"blocks": 0}, {"rank": 0}, {"pasted": -1.0}, {"grow": -1}, {"block": 1}):
        with pytest.raises(ConfigError):
            EncoderTuning.from_json(wrong)
