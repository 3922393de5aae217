"""The harness's arithmetic and files; the benchmarks themselves are commands, never timed tests."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import NAMES, main
from benchmarks.harness import Metric, Result, Target, collect, print_table, write_json
from benchmarks.reviewing import honest_word
from benchmarks.shortcut import UNITS


def result() -> Result:
    rows = [{"a": 0.5, "b": 10}, {"a": 0.7, "b": 12}]
    targets = {"a": Target(">=", 0.6), "b": Target("<=", 11, of="max", text="a budget")}
    return Result("demo", (0, 1), collect(rows, {"a": "share", "b": "verdicts"}, targets))


def test_figures_and_targets_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "out.json"
    write_json(result(), path)
    body = json.loads(path.read_text())
    assert set(body) == {"name", "seeds", "versions", "metrics", "notes"}
    assert body["seeds"] == [0, 1]
    assert "python" in body["versions"]
    assert body["metrics"]["a"] == {
        "mean": pytest.approx(0.6), "min": 0.5, "max": 0.7, "values": [0.5, 0.7], "unit": "share",
        "target": "mean >= 0.6", "holds": True,
    }  # fmt: skip
    assert body["metrics"]["b"]["holds"] is False
    assert body["metrics"]["b"]["target"] == "max <= 11 (a budget)"
    assert not result().holds


@pytest.mark.parametrize(
    ("op", "value", "expected"),
    [("<", 1.0, False), ("<=", 1.0, True), (">", 1.0, False), (">=", 1.0, True)],
)
def test_comparisons(op: str, value: float, expected: bool) -> None:
    metric = Metric("m", (1.0,), "", Target(op, value))  # type: ignore[arg-type]
    assert metric.as_json()["holds"] is expected


def test_a_figure_without_target_is_only_reported() -> None:
    entry = Metric("m", (1.0, 3.0), "cases").as_json()
    assert (entry["target"], entry["holds"], entry["mean"]) == (None, None, 2.0)
    with pytest.raises(ValueError, match="no value"):
        Metric("m", (), "cases").figures()


def test_the_table_names_every_metric(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(result())
    out = capsys.readouterr().out
    assert "demo" in out
    assert "NO" in out


def test_the_command_line_knows_its_benchmarks(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in NAMES)
    with pytest.raises(SystemExit):
        main(["unknown"])


def test_the_keys_that_the_issue_names_are_reported() -> None:
    assert set(UNITS) >= {
        "before_reversed", "after_reversed", "oracle_reversed", "before_ordinary",
        "after_ordinary", "verdicts",
    }  # fmt: skip


def test_the_honest_word_by_hand() -> None:
    region = np.array([[1, 1], [0, 0]], dtype=bool)
    left, nothing = np.array([[1, 0], [1, 0]], dtype=bool), np.zeros((2, 2), dtype=bool)
    assert honest_word(region, left, nothing) == "spurious"
    assert honest_word(region, nothing, left) == "correct"
    assert honest_word(region, nothing, nothing) == "unsure"
    assert honest_word(nothing, left, left) == "unsure"
