"""The protocols of `python -m benchmarks feedback`: data, keys, gate, tables and plots."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import feedback, feedback_decoy_digits, feedback_iris_cancer, feedback_squares
from benchmarks import feedback_toy_colors as colours
from benchmarks.feedback_models import Perceptron, bad_marks, dfr, drawn
from benchmarks.feedback_plots import Frame, bars_svg, efficiency_svg
from benchmarks.feedback_protocol import Figures, Gate, closed, gap_closed, gap_gate
from benchmarks.harness import Target
from core.finetuning import Examples


def protocol(**changed: Any) -> Any:
    def targets(means: Mapping[str, float]) -> Mapping[str, Target]:
        return {"ours.test": Target(">=", 0.8)}

    def gate(means: Mapping[str, float]) -> Gate:
        return gap_gate(means, "test", 0.1)

    fields = {
        "NAME": "made_up", "UNITS": {"test": "accuracy", "noticed": "share"}, "GAP": "test",
        "REFERENCES": {"published_best.test": 0.7}, "NOTES": ("a note",),
        "targets": targets, "gate": gate,
    }  # fmt: skip
    return SimpleNamespace(**(fields | changed))


def figures(ours: Sequence[float] = (0.85, 0.95)) -> Figures:
    return {
        "unfixed.test": [0.5, 0.5], "oracle.test": [0.9, 1.0], "ours.test": list(ours),
        "ours_5.test": [0.7, 0.7], "ours_25.test": [0.8, 0.9],
        "ours_random.test": [0.5, 0.5], "ours_random.noticed": [1.0, 1.0],
    }  # fmt: skip


def test_the_gap_by_hand() -> None:
    assert gap_closed(0.9, 0.5, 1.0) == pytest.approx(0.8)
    assert np.isnan(gap_closed(0.9, 0.5, 0.5))
    found = closed(protocol(), figures())
    assert found["ours.gap_closed"] == [pytest.approx(0.4 / 0.45)]
    assert "unfixed.gap_closed" not in found
    assert closed(protocol(GAP=None), figures()) == {}


def test_without_a_gap_nothing_is_scored() -> None:
    scored, notes = feedback.scores(protocol(), figures())
    by_key = {metric.key: metric for metric in scored}
    assert by_key["made_up.ours.test"].as_json()["holds"] is True
    assert by_key["made_up.published_best.test"].values == (0.7,)
    assert "SHUT" not in notes[0]
    same = figures() | {"unfixed.test": [0.9, 0.9]}
    scored, notes = feedback.scores(protocol(), same)
    assert all(metric.target is None for metric in scored)
    assert "SHUT" in notes[0]


def test_a_protocol_without_data_is_not_met() -> None:
    (metric,) = feedback.missing(protocol())
    assert metric.key == "made_up.ours.test"
    assert metric.as_json()["holds"] is False


def test_the_table_stands_strategies_beside_the_published_figures() -> None:
    rows = feedback.table_of(protocol(), figures())
    assert rows[0] == ["strategy", "test", "noticed"]
    by_name = {row[0]: row[1:] for row in rows[1:]}
    assert by_name["ours"][0] == "0.900 ± 0.071"
    assert by_name["published_best"] == ["0.700", ""]
    assert "| `ours` | 0.900 ± 0.071 |" in feedback.markdown(protocol(), figures())


def test_curves_and_bars_come_from_the_keys(tmp_path: Path) -> None:
    curves = feedback.curves_of(figures(), "test")
    assert curves == {"ours": [(5.0, [0.7, 0.7]), (25.0, [0.8, 0.9])]}
    bars = feedback.bars_of(figures(), "test")
    assert bars["random"] == ([0.5, 0.5], "seen 2/2")
    written = feedback.draw(protocol(), figures(), tmp_path)
    assert [path.name for path in written] == [
        "feedback-made_up-efficiency.svg", "feedback-made_up-quality.svg",
    ]  # fmt: skip
    for path in written:
        assert ET.fromstring(path.read_text("utf-8")).tag.endswith("svg")
        assert path.stat().st_size < 20_000


def test_places_on_the_sheet_by_hand() -> None:
    frame = Frame((1, 100), (0.0, 1.0), logarithmic=True)
    assert frame.across(10) == pytest.approx((frame.across(1) + frame.across(100)) / 2)
    assert frame.down(0.5) == pytest.approx((frame.down(0) + frame.down(1)) / 2)
    assert frame.down(2.0) == frame.down(1.0)


def test_words_in_a_plot_are_escaped() -> None:
    drawn_svg = efficiency_svg("a < b & c", "accuracy", {"ours": [(5, [0.5]), (10, [0.6])]}, {})
    assert "a &lt; b &amp; c" in drawn_svg
    assert ET.fromstring(bars_svg("x", "y", {"<b>": ([0.5], "w")})) is not None


def test_names_are_protocols_and_an_unknown_one_is_refused() -> None:
    for name in feedback.PROTOCOLS:
        found = feedback.load(name)
        assert name == found.NAME
        assert all(key.partition(".")[2] in found.UNITS for key in found.REFERENCES)
    with pytest.raises(SystemExit, match="no protocol"):
        feedback.run((0,), only=("nonsense",))


def test_a_part_of_a_protocol_is_asked_for_by_name() -> None:
    protocol, part = feedback.part_of("phantoms/efficiency")
    assert (protocol.NAME, part) == ("phantoms", {"part": "efficiency"})
    assert feedback.part_of("toy_colors")[1] == {}
    with pytest.raises(SystemExit, match="no part half; there are strategies, efficiency"):
        feedback.run((0,), only=("phantoms/half",))
    with pytest.raises(SystemExit, match="toy_colors has no part efficiency; there are none"):
        feedback.part_of("toy_colors/efficiency")


def test_iris_cancer_is_the_published_table() -> None:
    made = feedback_iris_cancer.table(0)
    assert made.train.shape == (67, 34)
    assert made.test.shape == (33, 34)
    whole = torch.cat((made.train, made.test))
    assert float(whole[:, 0].min()) == pytest.approx(4.9)  # sepal length of Iris 1 and 2
    assert feedback_iris_cancer.zeroed(made.test)[:, :4].abs().sum() == 0
    labels = torch.cat((made.train_labels_I, made.test_labels_I))
    assert labels.bincount().tolist() == [50, 50]


def test_both_rules_of_toy_colors_hold_or_fail_as_asked() -> None:
    rng = np.random.default_rng(0)
    for rule1, rule2 in ((True, True), (False, False), (True, False), (False, True)):
        found = colours.pictures(200, rule1, rule2, rng)
        corner = found[:, [0, 0, 4, 4], [0, 4, 0, 4]]
        top = found[:, 0, 1:4]
        assert ((corner == corner[:, :1]).all(1) == rule1).all()
        different = np.asarray([len(set(row)) == 3 for row in top])
        assert (different == rule2).all()
    mask = colours.rejected(colours.CORNERS, 2)
    assert mask.sum(dim=(1, 2, 3)).tolist() == [4, 4]


def test_the_swatch_of_decoy_digits_by_hand() -> None:
    bare, labels = feedback_decoy_digits.digits()
    assert bare.shape == (1797, 1, 28, 28)
    assert float(bare[:, :, :4].abs().sum()) == 0  # the frame is empty
    rng = np.random.default_rng(0)
    shown, where = feedback_decoy_digits.with_swatch(bare[:20], labels[:20].numpy(), rng)
    assert where.sum(dim=(1, 2, 3)).tolist() == [16] * 20
    for i in range(20):
        grey = shown[i][where[i]]
        assert torch.allclose(grey, torch.tensor((255 - 25 * int(labels[i])) / 255))
    assert torch.equal(shown[~where], bare[:20][~where])


def test_squares_have_the_shares_of_their_groups() -> None:
    made = feedback_squares.pictures(600, feedback_squares.SHARES["asymmetric"], (0, 0))
    shares = np.bincount(made.group_I, minlength=4) / 600
    assert shares == pytest.approx([0.25, 0.25, 0.49, 0.01], abs=0.06)
    assert (~made.outside).sum(dim=(1, 2, 3)).tolist() == [144] * 600
    ground = (made.inputs * made.outside).sum(dim=(1, 2, 3)) / (3 * made.outside.sum((1, 2, 3)))
    assert ((ground > 0).numpy() == (made.group_I % 2 == 1)).all()
    assert torch.equal(made.labels_I, torch.from_numpy(made.group_I // 2))


def test_bad_marks_are_bad_in_the_way_they_say() -> None:
    true = torch.zeros(50, 1, 20, 20, dtype=torch.bool)
    true[:, :, 2:6, 2:6] = True
    assert torch.equal(bad_marks(true, "inverted", 0), ~true)
    moved = bad_marks(true, "misplaced", 0)
    assert moved.sum(dim=(1, 2, 3)).tolist() == [16] * 50
    assert not (moved & true).any()
    wrong = (bad_marks(true, "wrong20", 0) != true).flatten(1).any(1)
    assert 3 <= int(wrong.sum()) <= 18
    assert (bad_marks(true, "random", 0) != true).flatten(1).any(1).float().mean() > 0.9


def test_a_larger_budget_holds_the_smaller_one() -> None:
    assert set(drawn(5, 100, 3)) <= set(drawn(25, 100, 3))


def test_dfr_balances_the_groups() -> None:
    """Feature 0 goes with the label in 95 %, feature 1 always: balanced, feature 1 decides."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    shortcut = np.where(rng.random(400) < 0.95, labels, 1 - labels)
    values = np.stack((4.0 * shortcut, 1.0 * labels), 1) + rng.normal(0, 0.05, (400, 2))
    inputs = torch.from_numpy(values.astype(np.float32))
    model = Perceptron((2, 2, 2), 0)
    with torch.no_grad():
        for layer in model.body:
            if isinstance(layer, torch.nn.Linear):
                layer.weight.copy_(torch.eye(2))
                layer.bias.zero_()
    examples = Examples(inputs, torch.from_numpy(labels))
    fitted = dfr(model, examples, 2 * labels + shortcut, 2, 0)
    weight = fitted.head.weight.detach()
    assert float((weight[1] - weight[0])[1]) > 5 * abs(float((weight[1] - weight[0])[0]))
