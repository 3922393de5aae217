"""The desk's rules: idempotent, version-checked verdicts, audit beside them, undo at any depth."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import ConfigError, InputError, InsightError
from dashboard.services.case_view import letter
from dashboard.services.names import MAX_NAME, clean_name
from dashboard.viewmodels import CaseView
from db.errors import Conflict, NotFound, StaleWrite
from db.records import new_id
from tests.integration.services.world import World, make_world, reviewer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    return make_world(tmp_path_factory.mktemp("review") / "ws", splits={"train": 24, "test": 8})


@pytest.fixture
def ada(world: World) -> str:
    """A reviewer that no other test shares, so that every test starts from nothing."""
    return reviewer(world, f"Ada {new_id()[:8]}")


def first_case(world: World, me: str) -> CaseView:
    return world.services.review.case(world.project_id, None, me)


def give(world: World, me: str, cue_id: str, value: str, based_on: int, **more: object) -> object:
    return world.services.review.give_verdict(
        id=str(more.pop("id", new_id())), cue_id=cue_id, reviewer_id=me, value=value,
        based_on=based_on, **more,
    )  # fmt: skip


def test_a_case_shows_cues_by_letter_with_maps_and_names(world: World, ada: str) -> None:
    case = first_case(world, ada)
    assert [cue.letter for cue in case.cues] == [letter(n) for n in range(len(case.cues))]
    effects = [abs(cue.causal_effect) for cue in case.cues]
    assert effects == sorted(effects, reverse=True)
    assert all(len(cue.map_u8) == cue.grid[0] * cue.grid[1] for cue in case.cues)
    shown = sum(cue.contribution for cue in case.cues)
    assert shown + case.other + case.bias == pytest.approx(case.logit, abs=1e-4)
    assert case.prediction in dict(case.probabilities)
    assert case.narrative
    assert case.version_hash == world.version_hash
    assert case.total == 32
    assert case.position == 1
    assert case.previous_id is None


def test_explaining_happens_once_and_pages_link(world: World, ada: str) -> None:
    case = first_case(world, ada)
    again = world.services.review.case(world.project_id, case.id, ada)
    assert again == case
    assert case.next_id is not None
    following = world.services.review.case(world.project_id, case.next_id, ada)
    assert following.previous_id == case.id


def test_a_verdict_stands_and_is_seen_on_reload(world: World, ada: str) -> None:
    cue = first_case(world, ada).cues[0]
    given = give(world, ada, cue.id, "spurious", 0, reason="artefact", comment=" a\r\nb\x07 ")
    seen = next(c for c in first_reload(world, ada, cue.id).cues if c.id == cue.id).mine
    assert seen == given
    assert seen is not None
    assert (seen.value, seen.reason, seen.comment) == ("spurious", "artefact", "a\nb")
    assert seen.revision == 1


def first_reload(world: World, me: str, cue_id: str) -> CaseView:
    with world.services.uow(read_only=True) as uow:
        case_id = uow.cues.get(cue_id).case_id
    return world.services.review.case(world.project_id, case_id, me)


def test_the_same_id_twice_is_harmless_and_other_content_is_refused(world: World, ada: str) -> None:
    cue = first_case(world, ada).cues[0]
    one = new_id()
    first = give(world, ada, cue.id, "correct", 0, id=one)
    assert give(world, ada, cue.id, "correct", 0, id=one) == first
    with pytest.raises(Conflict):
        give(world, ada, cue.id, "spurious", 0, id=one)
    with world.services.uow(read_only=True) as uow:
        audit = uow.audit.list(entity="verdict", entity_id=one)
        assert [row.action for row in audit] == ["verdict.given"]


def test_a_stale_write_is_refused(world: World, ada: str) -> None:
    cue = first_case(world, ada).cues[0]
    give(world, ada, cue.id, "correct", 0)
    with pytest.raises(StaleWrite):
        give(world, ada, cue.id, "spurious", 0)
    give(world, ada, cue.id, "spurious", 1)


def test_reviewers_do_not_see_each_others_verdicts(world: World, ada: str) -> None:
    cue = first_case(world, ada).cues[0]
    give(world, ada, cue.id, "spurious", 0)
    other = reviewer(world, f"Bo {new_id()[:8]}")
    assert next(c for c in first_reload(world, other, cue.id).cues if c.id == cue.id).mine is None


def test_refusals_say_what_is_wrong(world: World, ada: str) -> None:
    case = first_case(world, ada)
    with pytest.raises(ConfigError, match="reason"):
        give(world, ada, case.cues[0].id, "spurious", 0, reason="because")
    with pytest.raises(ConfigError, match="longer"):
        give(world, ada, case.cues[0].id, "spurious", 0, comment="x" * 5000)
    with pytest.raises(NotFound):
        give(world, ada, new_id(), "spurious", 0)
    with pytest.raises(NotFound):
        world.services.review.case(new_id(), case.id, ada)
    with pytest.raises(ConfigError, match="not a class"):
        assess(world, ada, case.id, 0, corrected_label="wart")


def assess(world: World, me: str, case_id: str, based_on: int, **more: object) -> object:
    content: dict[str, object] = {"agree": False, "corrected_label": None, "comment": "", **more}
    ident = str(content.pop("id", new_id()))
    return world.services.review.assess(
        id=ident, case_id=case_id, reviewer_id=me, based_on=based_on, **content
    )


def test_assessments_follow_the_same_rules(world: World, ada: str) -> None:
    case = first_case(world, ada)
    one = new_id()
    given = assess(world, ada, case.id, 0, id=one, corrected_label="naevus", comment="hm")
    assert assess(world, ada, case.id, 0, id=one, corrected_label="naevus", comment="hm") == given
    assert world.services.review.case(world.project_id, case.id, ada).assessment == given
    with pytest.raises(StaleWrite):
        assess(world, ada, case.id, 0, agree=True)
    with world.services.uow(read_only=True) as uow:
        assert len(uow.audit.list(entity="assessment", entity_id=one)) == 1


def test_the_queue_marks_what_is_done_and_the_next_open_case_comes_first(
    world: World, ada: str
) -> None:
    queue = world.services.review.queue(world.project_id, ada)
    assert [row.position for row in queue] == list(range(1, 33))
    assert not any(row.done for row in queue)
    first = first_case(world, ada)
    give(world, ada, first.cues[0].id, "unsure", 0)
    assert [
        row.case_id for row in world.services.review.queue(world.project_id, ada) if row.done
    ] == [first.id]
    following = first_case(world, ada)
    assert following.id == first.next_id
    assert following.position > first.position
    assert following.previous_id == first.id


def test_signing_in_twice_gives_one_reviewer(world: World) -> None:
    name = f"Zoë {new_id()[:6]}"
    assert world.services.review.sign_in(name) == world.services.review.sign_in(f"  {name} ")
    for bad in ("", "   ", "a\x00b", "\u202eabc", "x" * (MAX_NAME + 1)):
        with pytest.raises(ConfigError):
            world.services.review.sign_in(bad)


def test_names_keep_html_as_text() -> None:
    assert clean_name(" <b>ruler</b>\u00a0") == "<b>ruler</b>"


def test_images_come_small_with_their_type_and_gone_ones_say_so(
    world: World, ada: str, tmp_path: Path
) -> None:
    case = first_case(world, ada)
    data, mime = world.services.review.image_bytes(case.image_id, max_side=16)
    assert mime == "image/png"
    assert data.startswith(b"\x89PNG")
    with world.services.uow(read_only=True) as uow:
        path = Path(uow.projects.get(world.project_id).root) / case.image_name
    kept = path.read_bytes()
    path.unlink()
    try:
        with pytest.raises(InputError, match=case.image_name):
            world.services.review.image_bytes(case.image_id)
    finally:
        path.write_bytes(kept)


def test_a_project_without_a_version_says_what_to_do(world: World, ada: str) -> None:
    with world.services.uow() as uow:
        empty = uow.projects.add(f"empty {new_id()}", "nowhere")
        uow.commit()
    with pytest.raises(InsightError, match="discover"):
        world.services.review.case(empty.id, None, ada)
    assert world.services.review.queue(empty.id, ada) == ()


ACTIONS = st.lists(
    st.one_of(
        st.just("undo"),
        st.tuples(st.integers(0, 2), st.sampled_from(["correct", "spurious", "unsure"])),
    ),
    max_size=10,
)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=ACTIONS)
def test_undo_walks_back_through_a_plain_stack(world: World, actions: list[object]) -> None:
    """The reference: a list of states; a verdict pushes, undo pops, whatever came between."""
    me = reviewer(world, f"Hyp {new_id()}")
    review = world.services.review
    case = first_case(world, me)
    cues = [cue.id for cue in case.cues][:3]
    history: list[dict[str, str]] = [{}]
    now = {cue.id: cue.mine for cue in case.cues}
    for action in actions:
        if action == "undo":
            row = review.undo(me, world.project_id, new_id())
            assert (row is None) == (len(history) == 1)
            history = history[:-1] or [{}]
        else:
            index, value = action  # type: ignore[misc]
            cue = cues[index % len(cues)]
            standing = now[cue]
            give(world, me, cue, value, standing.revision if standing else 0)
            history.append({**history[-1], cue: value})
        now = {c.id: c.mine for c in review.case(world.project_id, case.id, me).cues}
        stands = {k: v.value for k, v in now.items() if v and v.value != "withdrawn"}
        assert stands == history[-1]


def test_reviewers_at_once_lose_nothing(world: World) -> None:
    names = [f"Busy {n} {new_id()[:6]}" for n in range(4)]
    case = first_case(world, reviewer(world, names[0]))

    def work(name: str) -> int:
        me = reviewer(world, name)
        for cue in case.cues:
            give(world, me, cue.id, "correct", 0)
            give(world, me, cue.id, "spurious", 1)
        return 2 * len(case.cues)

    with ThreadPoolExecutor(len(names)) as pool:
        given = sum(pool.map(work, names))
    with world.services.uow(read_only=True) as uow:
        rows = uow.verdicts.export(world.project_id, standing_only=False)
        mine = [row for row in rows if row.reviewer in names]
        audited = {row.entity_id for row in uow.audit.list(entity="verdict", limit=10_000)}
    assert len(mine) == given
    assert {row.id for row in mine} <= audited


def test_undo_with_the_same_id_is_harmless(world: World, ada: str) -> None:
    cue = first_case(world, ada).cues[0]
    give(world, ada, cue.id, "correct", 0)
    give(world, ada, cue.id, "spurious", 1)
    one = new_id()
    first = world.services.review.undo(ada, world.project_id, one)
    assert first is not None
    assert first.value == "correct"
    assert world.services.review.undo(ada, world.project_id, one) == first
    with world.services.uow(read_only=True) as uow:
        assert len(uow.verdicts.history(cue.id, ada)) == 3
