from hypothesis import given
from hypothesis import strategies as st

from core.qualifiers import Namesake, qualifiers

THINGS = st.lists(
    st.builds(
        Namesake,
        st.integers(0, 30),
        st.sampled_from(("ruler", "Ruler", "hair", "skin")),
        st.lists(st.sampled_from(("centre", "upper left", "no hint", "")), max_size=2).map(tuple),
    ),
    max_size=12,
    unique_by=lambda thing: thing.number,
)


def test_a_unique_name_needs_no_qualifier() -> None:
    assert qualifiers([Namesake(1, "ruler", ("centre",)), Namesake(2, "hair", ("centre",))]) == {}
    assert qualifiers([]) == {}


def test_namesakes_get_their_place_or_else_their_number() -> None:
    things = [
        Namesake(8, "ruler", ("centre", "large")),
        Namesake(3, "ruler", ("centre",)),
        Namesake(5, "ruler", ("", "upper left")),
        Namesake(1, "hair"),
        Namesake(2, "HAIR"),
    ]
    assert qualifiers(things) == {
        1: "no. 1", 2: "no. 2", 3: "no. 3", 5: "upper left", 8: "large",
    }  # fmt: skip


@given(THINGS)
def test_exactly_the_namesakes_are_told_apart(things: list[Namesake]) -> None:
    found = qualifiers(things)
    names = [thing.name.casefold() for thing in things]
    assert set(found) == {t.number for t in things if names.count(t.name.casefold()) > 1}
    said = [(t.name.casefold(), found[t.number]) for t in things if t.number in found]
    assert len(set(said)) == len(said)
    assert qualifiers(reversed(things)) == found
    assert all(qualifier.strip() for qualifier in found.values())
