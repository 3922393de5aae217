"""Marks that lie on nothing in particular are told from marks that lie on things."""

from dataclasses import replace

import numpy as np
import pytest

from core.cue_marks import MarkedRegion
from core.errors import ConfigError, DetectorFailed
from core.strategies.data import FitData
from core.strategies.places import ASTRAY, CASES, DOUBTED, check_places, ranked_places
from core.strategies.sanity import check_words
from tests.unit.core.strategies.worlds import fit_data, honest, turned
from tests.unit.core.tiny import PATCHES, TokenWorld, token_world

TRAIN = 160


@pytest.fixture(scope="module")
def world() -> TokenWorld:
    return token_world(TRAIN, strength=0.95, seed=3)


def scattered(marks: list[MarkedRegion], seed: int = 0) -> list[MarkedRegion]:
    """As many patches of the same pictures, drawn at random."""
    rng = np.random.default_rng(seed)
    found = []
    for mark in marks:
        region = np.zeros(PATCHES, dtype=np.bool_)
        region[rng.permutation(PATCHES)[: int(mark.region_P.sum())]] = True
        found.append(replace(mark, region_P=region))
    return found


def data(world: TokenWorld, marks: list[MarkedRegion]) -> FitData:
    return fit_data(world, marks, TRAIN)


def test_honest_places_rank_above_others(world: TokenWorld) -> None:
    found = ranked_places(data(world, honest(world, 10)))
    assert found.auc > 0.9
    assert found.cases >= CASES
    assert check_places(data(world, honest(world, 10))) == ()


@pytest.mark.parametrize("seed", range(3))
def test_places_by_chance_are_refused(world: TokenWorld, seed: int) -> None:
    marks = scattered(honest(world, 12), seed)
    assert ranked_places(data(world, marks)).auc < ASTRAY
    with pytest.raises(DetectorFailed, match=r"hardly be told.*Nothing was changed"):
        check_places(data(world, marks))
    with pytest.raises(DetectorFailed, match="hardly be told"):
        check_words(data(world, marks))


def test_half_of_the_places_astray_are_doubted(world: TokenWorld) -> None:
    marks = honest(world, 12)
    mixed = [*scattered(marks[::2]), *marks[1::2]]
    found = ranked_places(data(world, mixed))
    assert ASTRAY < found.auc < 0.9
    (note,) = check_places(data(world, mixed)) or (None,)
    assert (note is not None) == (found.auc < DOUBTED)


def test_wrong_words_on_right_places_are_not_astray(world: TokenWorld) -> None:
    marks = honest(world, 10)
    mixed = [*turned(marks[::2]), *marks[1::2]]
    assert ranked_places(data(world, mixed)).auc > DOUBTED


def test_few_marks_say_nothing(world: TokenWorld) -> None:
    few = scattered(honest(world, 2))
    assert check_places(data(world, few)) == ()
    assert ranked_places(data(world, few[:1])).cases == 0
    everywhere = [replace(mark, region_P=np.ones(PATCHES, bool)) for mark in honest(world, 10)]
    assert ranked_places(data(world, everywhere)).cases == 0
    with pytest.raises(ConfigError, match="tokens"):
        ranked_places(replace(data(world, few), tokens_of=None))
