"""Settings as JSON: what is read, what is refused, and who may do what."""

import json

import pytest

from core.errors import ConfigError
from dashboard.services.project_settings import (
    CRITERIA,
    ProjectSettings,
    changed,
    parse,
)
from dashboard.services.roles import Forbidden, allows, as_role, is_open, role_of
from dashboard.viewmodels import REASONS


def test_nothing_given_is_the_defaults_and_they_survive_the_round_trip() -> None:
    assert parse({}) == ProjectSettings()
    assert ProjectSettings().reasons == REASONS
    assert [each.key for each in CRITERIA] == ["clarity", "relevance", "actionability"]
    text = json.dumps(ProjectSettings().as_json())
    assert parse(json.loads(text)) == ProjectSettings()


def test_what_is_given_is_kept() -> None:
    raw = {
        "reasons": [" wrong  side ", "<b>blur</b>"], "blind": ["labels", "model"],
        "criteria": [{"label": "Would I act on it", "text": " 1: no.\n 5: yes. "}],
        "order": "random", "seed": 7, "weights": {"experts": 3}, "control_share": 0,
        "overlap_share": 1, "reviews_wanted": 3, "lease_minutes": 5, "near_miss_margin": 0.3,
        "tolerance": 0.05, "cluster_column": "  patient   no ",
    }  # fmt: skip
    got = parse(raw)
    assert got.reasons == ("wrong side", "<b>blur</b>")
    assert got.criteria[0].key == "would-i-act-on-it"
    assert got.criteria[0].text == "1: no. 5: yes."
    assert got.as_json()["blind"] == ["model", "labels"]
    assert got.weights == {"uncertain": 0, "explanation": 0, "experts": 3, "shortcut": 0,
                           "diverse": 0, "teach": 0}  # fmt: skip
    assert (got.tolerance, got.cluster_column) == (0.05, "patient no")
    assert parse({"cluster_column": " "}).cluster_column == ""
    assert parse(got.as_json()) == got


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"colour": "red"}, "no setting 'colour'"),
        ({"reasons": []}, "1 to 12"),
        ({"reasons": ["a", "A"]}, "twice"),
        ({"reasons": "artefact"}, "must be a list"),
        ({"reasons": ["\u202eabc"]}, "invisible"),
        ({"criteria": [{"text": "no label"}]}, "has a label"),
        ({"criteria": ["clarity"]}, "has a label"),
        ({"criteria": [{"label": f"c{n}"} for n in range(9)]}, "at most 8"),
        ({"criteria": [{"label": "A"}, {"label": "a"}]}, "twice"),
        ({"criteria": [{"label": "A", "text": "x" * 301}]}, "longer"),
        ({"blind": ["names"]}, "cannot be hidden"),
        ({"order": "newest"}, "priority or random"),
        ({"seed": -1}, "0..2147483647"),
        ({"tolerance": 1.5}, "tolerance must lie in 0..1"),
        ({"cluster_column": 7}, "name of a column"),
        ({"seed": 1.5}, "whole number"),
        ({"weights": {"speed": 1}}, "one figure for each"),
        ({"weights": {"experts": -1}}, "0..100"),
        ({"control_share": 1.1}, "0..1"),
        ({"overlap_share": float("nan")}, "a number"),
        ({"overlap_share": float("inf")}, "finite"),
        ({"control_share": "0.1"}, "a number"),
        ({"reviews_wanted": 0}, "1..10"),
        ({"reviews_wanted": True}, "a number"),
        ({"lease_minutes": 0}, "1..1440"),
    ],
)
def test_what_is_refused_names_the_field(raw: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(raw)


def test_changes_are_named() -> None:
    before = ProjectSettings()
    assert changed(before, before) == ()
    after = parse({"seed": 4, "blind": ["peers"]})
    assert changed(before, after) == ("blind", "seed")


def test_a_project_without_a_lead_is_open() -> None:
    assert is_open({})
    assert role_of("ada", {}) == "lead"
    assert role_of("ada", {"bo": "annotator"}) == "lead"
    roles = {"bo": "lead", "cy": "annotator"}
    assert not is_open(roles)
    assert [role_of(who, roles) for who in ("ada", "bo", "cy")] == ["expert", "lead", "annotator"]


def test_each_role_may_do_what_the_one_before_may() -> None:
    assert [allows("expert", needed) for needed in ("expert", "annotator", "lead")] == [
        True, False, False,
    ]  # fmt: skip
    assert allows("annotator", "annotator")
    assert allows("lead", "expert")
    with pytest.raises(ConfigError, match="one of expert"):
        as_role("boss")


def test_forbidden_says_what_is_needed_and_travels() -> None:
    import copy

    error = Forbidden("lead", "expert")
    assert "needs the role lead" in str(error)
    assert str(copy.copy(error)) == str(error)
