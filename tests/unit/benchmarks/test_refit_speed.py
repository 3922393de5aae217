"""The arithmetic of the benchmark refit_speed; the benchmark itself is a command."""

import numpy as np
import pytest

from benchmarks.refit_speed import CLASSES, epochs_needed, make_task


@pytest.mark.parametrize(
    ("needed", "found", "reached"),
    [(1, 1, True), (7, 7, True), (40, 40, True), (50, 56, True), (64, 64, True), (101, 100, False)],
)
def test_epochs_are_found_within_an_eighth(needed: int, found: int, reached: bool) -> None:
    asked: list[int] = []

    def loss(epochs: int) -> float:
        asked.append(epochs)
        return 1.0 if epochs >= needed else 2.0

    assert epochs_needed(loss, 1.5, 100) == (found, reached)
    assert max(asked) <= 100


def test_a_task_can_be_learnt_and_comes_back_with_its_seed() -> None:
    task = make_task(3, cases=500, held_out=100, concepts=40, active=8)
    again = make_task(3, cases=500, held_out=100, concepts=40, active=8)
    assert task.train_IN.shape == (500, 40)
    assert task.test_IN.shape == (100, 40)
    assert task.weight_I.mean() == pytest.approx(1)
    assert (task.train_I == again.train_I).all()
    assert (task.train_IN != again.train_IN).nnz == 0
    assert set(np.unique(task.train_I)) == set(range(CLASSES))


def test_a_head_without_weights_loses_the_log_of_the_classes() -> None:
    task = make_task(3, cases=50, held_out=100, concepts=40, active=8)
    assert task.loss(np.zeros((CLASSES, 40)), np.zeros(CLASSES)) == pytest.approx(np.log(CLASSES))
