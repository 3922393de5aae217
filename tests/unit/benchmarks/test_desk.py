"""The benchmark `desk`: its figures by hand, and the store that it fills."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from benchmarks.desk import figures, p95
from benchmarks.desk_browser import Timings, Waits
from benchmarks.desk_store import CUES, OPENED_CUES, RATERS, Size, fill
from dashboard.bootstrap import build
from db.models import Cue, Verdict


def test_ratios_are_of_the_95th_percentiles() -> None:
    timing = Timings(
        empty=[50.0, 100.0],
        large=Waits(verdict=[195.0] * 3, next_case=[97.5] * 3, search=[292.5]),
        small=Waits(verdict=[150.0], next_case=[100.0], search=[1.0]),
        key_presses=7,
    )
    found = figures(timing)
    assert p95([50.0, 100.0]) == 97.5  # linear between the two: 50 + .95 x 50
    assert found["verdict_ratio"] == 2.0
    assert found["next_case_ratio"] == 1.0
    assert found["search_ratio"] == 3.0
    assert found["verdict_growth"] == found["growth_ratio"] == 1.3
    assert found["next_case_growth"] == 0.975
    assert found["key_presses"] == 7.0


def test_what_was_never_timed_is_no_figure() -> None:
    with pytest.raises(ValueError, match="nothing was timed"):
        p95([])


def test_a_store_that_leaves_no_open_case_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="open cases"):
        fill(tmp_path, Size(cases=10, verdicts=250, concepts=16, opened=5), seed=0)


def test_the_store_is_as_large_as_it_says_and_the_desk_opens_it(tmp_path: Path) -> None:
    size = Size(cases=12, verdicts=150, concepts=16, opened=3)
    store = fill(tmp_path / "full", size, seed=0)
    services = build(store.settings)
    with services.uow.engine.connect() as connection:
        verdicts = connection.scalar(select(func.count()).select_from(Verdict))
        cues = connection.scalar(select(func.count()).select_from(Cue))
    assert size.judged == 6
    assert verdicts == 150
    assert cues == 6 * CUES + 6 * OPENED_CUES
    rater = services.review.sign_in(RATERS[0])
    case = services.review.case(store.project_id, None, rater)
    assert (case.position, case.total) == (7, 12)  # the first that she did not judge
    assert len(case.cues) == OPENED_CUES
    content, mime = services.review.image_bytes(case.image_id)
    assert content
    assert mime == "image/jpeg"
    services.uow.engine.dispose()
