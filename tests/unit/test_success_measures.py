"""Thresholds as people write them, and answers that never claim too much."""

from __future__ import annotations

import pytest

from core.errors import ConfigError
from dashboard.services import success_measures as rules
from dashboard.services.success_measures import MEASURES, PRESETS, Reading
from dashboard.services.success_readings import _READERS


class TestMeasures:
    def test_every_measure_is_read_and_says_what_it_is(self) -> None:
        assert set(MEASURES) == set(_READERS)
        assert all(each.about and each.low < each.high for each in MEASURES.values())

    def test_presets_name_measures_with_thresholds_that_they_can_have(self) -> None:
        for preset in PRESETS:
            for key, comparator, threshold in preset.criteria:
                assert rules.checked(rules.find(key), comparator, threshold)[1] == threshold

    def test_unknown_words_are_named_with_what_there_is(self) -> None:
        with pytest.raises(ConfigError, match="krippendorff_alpha"):
            rules.find("luck")
        with pytest.raises(ConfigError, match="review, shortcut, release"):
            rules.preset("luck")
        assert rules.find("shortcut-gap").key == "shortcut_gap"


class TestThresholds:
    @pytest.mark.parametrize(
        ("key", "text", "value"),
        [
            ("coverage", "80%", 0.8), ("coverage", ".8", 0.8), ("coverage", "0,8", 0.8),
            ("shortcut_gap", "2 points", 0.02), ("shortcut_gap", "1 point", 0.01),
            ("kappa", "-0.1", -0.1), ("disagreements_open", "5", 5.0),
        ],
    )  # fmt: skip
    def test_written(self, key: str, text: str, value: float) -> None:
        assert rules.parse_threshold(rules.find(key), text) == pytest.approx(value)

    @pytest.mark.parametrize(
        ("key", "text"),
        [("coverage", "most"), ("coverage", "80 %%"), ("kappa", "60%"), ("coverage", "1e3"),
         ("coverage", ""), ("coverage", "nan")],
    )  # fmt: skip
    def test_not_written(self, key: str, text: str) -> None:
        with pytest.raises(ConfigError):
            rules.parse_threshold(rules.find(key), text)

    @pytest.mark.parametrize(
        ("key", "comparator", "value"),
        [("coverage", ">=", 80.0), ("coverage", ">", 0.8), ("kappa", ">=", -1.1),
         ("kappa", ">=", float("nan")), ("disagreements_open", "<=", 1.5),
         ("disagreements_open", "<=", -1.0)],
    )  # fmt: skip
    def test_out_of_range(self, key: str, comparator: str, value: float) -> None:
        with pytest.raises(ConfigError):
            rules.checked(rules.find(key), comparator, value)


class TestAnswers:
    def test_the_threshold_itself_passes(self) -> None:
        assert rules.passes(">=", 0.8, 0.8)
        assert rules.passes("<=", 0.02, 0.02)
        assert not rules.passes(">=", 0.79, 0.8)

    def test_an_interval_on_both_sides_is_told(self) -> None:
        assert rules.straddles(Reading(0.7, 0.55, 0.85), 0.6)
        assert not rules.straddles(Reading(0.7, 0.61, 0.85), 0.6)
        assert not rules.straddles(Reading(0.7), 0.6)

    def test_the_sentence_has_value_interval_n_and_what_was_asked(self) -> None:
        measure = rules.find("accuracy")
        said = rules.evidence(
            measure, ">=", 0.9, Reading(0.925, 0.88, 0.95, 1200, "held-out cases")
        )
        assert said == (
            "Accuracy is 92.5 % (95 % interval 88.0 % to 95.0 %), of 1,200 held-out cases; "
            "at least 90.0 % is asked for."
        )
        said = rules.evidence(measure, ">=", 0.9, Reading(None, why="nobody has labels"))
        assert said.startswith("Accuracy cannot be said: nobody has labels;")
