"""What the browser needs to reckon a decision by itself, against the head asked again."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from core.errors import BundleError
from core.heads import LinearHead
from dashboard.services.what_if import LEVERS, WhatIfService, logits, what_if
from dashboard.viewmodels import WhatIfView
from db.records import CaseRecord, CueRecord, VersionRecord
from tests.integration.services.world import World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("whatif") / "ws", splits={"train": 30, "test": 8})


Read = tuple[CaseRecord, VersionRecord, tuple[CueRecord, ...], dict[int, str], dict[int, str]]


def read(world: World, place: int) -> Read:
    services = world.services
    with services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
        assert version is not None
        case_id = uow.cases.list(version.id)[place].id
    services.explain.explain_case(case_id)
    with services.uow(read_only=True) as uow:
        key = (world.project_id, version.dictionary_hash)
        return (
            uow.cases.get(case_id), version, uow.cues.list(case_id), uow.concepts.names(*key),
            uow.concepts.ids(*key),
        )  # fmt: skip


def asked(world: World, place: int) -> tuple[WhatIfView, LinearHead, np.ndarray]:
    """The view, the head, and the true pooled codes of the case."""
    found = read(world, place)
    view = world.services.what_if.of(*found)
    assert view is not None
    engines, version = world.services.engines, found[1]
    bundle = engines.bundle(version.folder)
    tokens = engines.tokens(world.project_id, version.encoder_hash)
    pooled = engines.pooled(world.project_id, bundle, tokens, [found[0].image.sha256])
    return view, bundle.head, pooled.toarray()[0]


@pytest.mark.parametrize("place", [0, 5, 11])
def test_it_starts_from_the_decision_as_it_stands(world: World, place: int) -> None:
    view, head, pooled = asked(world, place)
    np.testing.assert_allclose(view.logits, head.logits(pooled[None])[0], atol=1e-6)
    expected = head.probabilities(pooled[None])[0]
    np.testing.assert_allclose(softmax(np.array(view.logits) / view.temperature), expected)
    assert view.classes == head.classes


def test_every_concept_that_is_there_can_be_moved_and_its_strength_is_exact(world: World) -> None:
    view, head, pooled = asked(world, 3)
    levers = {lever.concept: lever for lever in view.levers}
    assert set(levers) >= set(np.flatnonzero(pooled).tolist())
    for number, lever in levers.items():
        assert lever.activation == pytest.approx(float(pooled[number]), abs=1e-5)
        assert lever.top >= lever.activation
        np.testing.assert_allclose(lever.weights, head.weight_CN[:, number])


def test_moving_a_lever_is_asking_the_head_again(world: World) -> None:
    view, head, pooled = asked(world, 2)
    moved, reckoned = pooled.astype(np.float64), np.array(view.logits)
    for lever in view.levers[:3]:
        reckoned += np.array(lever.weights) * (lever.top - lever.activation)
        moved[lever.concept] = lever.top
    np.testing.assert_allclose(reckoned, head.logits(moved[None])[0], atol=1e-5)


def test_the_slider_ends_at_the_highest_of_training_or_twice_what_is_there(world: World) -> None:
    case, version, cues, names, ids = read(world, 1)
    head = world.services.engines.bundle(version.folder).head
    assert head.upper_N is not None
    view = what_if(head, case, cues, names, ids)
    first = view.levers[0]
    assert first.top == pytest.approx(max(float(head.upper_N[first.concept]), first.activation))
    old = LinearHead(head.weight_CN, head.bias_C, head.classes, head.temperature)
    first = what_if(old, case, cues, names, ids).levers[0]
    assert first.top == pytest.approx(max(2 * first.activation, 1.0))


def test_concepts_of_no_id_and_beyond_the_limit_are_left_out(world: World) -> None:
    case, version, cues, names, ids = read(world, 1)
    head = world.services.engines.bundle(version.folder).head
    some = {cues[0].number: ids[cues[0].number]}
    (only,) = what_if(head, case, cues, {}, some).levers
    assert only.name == f"concept {cues[0].number}"
    assert len(what_if(head, case, cues, names, ids).levers) <= LEVERS


def test_logits_of_a_probability_that_underflowed_are_finite(world: World) -> None:
    from dataclasses import replace

    case = read(world, 1)[0]
    sure = replace(case, probabilities=tuple(
        (name, 1.0 if name == case.prediction else 0.0) for name, _ in case.probabilities
    ))  # fmt: skip
    assert all(np.isfinite(logits(sure, ("naevus", "melanoma"), 0.5)))


def test_no_files_no_what_if(world: World) -> None:
    class Gone:
        def bundle(self, folder: str | Path) -> object:
            raise BundleError(str(folder), "gone")

    assert WhatIfService(Gone()).of(*read(world, 0)) is None  # type: ignore[arg-type]
