"""Passes: bound to one address, good for hours, worth nothing elsewhere."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.services.passes import EXPIRES, PASS, Passes

PATH = "/insight/image/6f9619ff-8b86-4d01-b42d-00cf4fc964ff"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def passes(clock: Clock) -> Passes:
    return Passes(b"k" * 32, clock, window=100)


def taken_apart(url: str) -> tuple[str, list[tuple[str, str]]]:
    parts = urlsplit(url)
    return parts.path, parse_qsl(parts.query)


def test_what_was_signed_passes(passes: Passes) -> None:
    assert passes.allows(*taken_apart(passes.url(PATH, side=1600)))
    assert passes.allows(*taken_apart(passes.url("/insight/layer/x/grad cam é/%2e")))


def test_within_a_window_the_address_stays_the_same(passes: Passes, clock: Clock) -> None:
    """Else a rerun would have something new to send, and the browser's cache would miss."""
    first = passes.url(PATH)
    clock.now += 99.0 - clock.now % 100
    assert passes.url(PATH) == first
    clock.now += 2
    assert passes.url(PATH) != first


def test_a_pass_lives_for_one_to_two_windows(passes: Passes, clock: Clock) -> None:
    address = taken_apart(passes.url(PATH))
    clock.now += 100
    assert passes.allows(*address)
    clock.now += 100
    assert not passes.allows(*address)


def test_a_later_end_cannot_be_written_in(passes: Passes) -> None:
    path, query = taken_apart(passes.url(PATH))
    later = [(name, "9999999999" if name == EXPIRES else value) for name, value in query]
    assert not passes.allows(path, later)


def test_a_pass_opens_no_other_path_or_query(passes: Passes) -> None:
    path, query = taken_apart(passes.url(PATH, side=100))
    assert not passes.allows(path[:-1] + "0", query)
    assert not passes.allows(path, [("side", "4096"), *query[1:]])
    assert not passes.allows(path, [*query, ("side", "100")])
    assert not passes.allows(path, [*query, ("more", "1")])
    assert not passes.allows(path, query[1:])


@pytest.mark.parametrize("name", [PASS, EXPIRES])
def test_pass_and_end_must_be_there_once(passes: Passes, name: str) -> None:
    path, query = taken_apart(passes.url(PATH))
    assert not passes.allows(path, [pair for pair in query if pair[0] != name])
    assert not passes.allows(path, query + [pair for pair in query if pair[0] == name])


def test_another_process_has_another_secret(clock: Clock) -> None:
    one, other = Passes(clock=clock), Passes(clock=clock)
    assert one.allows(*taken_apart(one.url(PATH)))
    assert not other.allows(*taken_apart(one.url(PATH)))


@given(st.text(), st.text())
def test_nothing_made_up_passes(path: str, value: str) -> None:
    passes = Passes(b"k" * 32, Clock())
    assert not passes.allows(path, [(EXPIRES, "9999999999"), (PASS, value)])
    assert not passes.allows(path, [(EXPIRES, value), (PASS, value)])
