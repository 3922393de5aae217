import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.errors import BundleError
from core.tokens import TokenStore

P, D = 4, 3


def tokens(image: int) -> Tensor:
    """Tokens that fp16 holds exactly, all different: image, patch, and a constant."""
    patches = torch.arange(P, dtype=torch.float32)
    return torch.stack((torch.full((P,), float(image)), patches, torch.ones(P)), dim=1)


def items(count: int, start: int = 0) -> Iterator[tuple[str, Tensor]]:
    for image in range(start, start + count):
        yield f"sha{image}", tokens(image)


def filled(folder: Path, count: int = 7) -> TokenStore:
    store = TokenStore(folder)
    store.write(items(count), shard_images=3)
    return store


def test_round_trip(tmp_path: Path) -> None:
    filled(tmp_path / "tokens")
    store = TokenStore(tmp_path / "tokens")
    assert len(store) == 7
    assert store.get("sha5").dtype == torch.float32
    assert torch.equal(store.get("sha5"), tokens(5))
    assert torch.equal(store.rows(["sha6", "sha0"]), torch.stack((tokens(6), tokens(0))))
    assert set(store.shas()) == {f"sha{image}" for image in range(7)}
    assert len(list((tmp_path / "tokens").glob("*.npy"))) == 3
    with pytest.raises(KeyError):
        store.get("absent")


def test_what_is_present_is_skipped(tmp_path: Path) -> None:
    store = filled(tmp_path)
    assert store.missing(["sha1", "new", "new", "sha9"]) == ["new", "sha9"]
    assert store.write(items(9)) == 2
    assert store.write([*items(1, 9), *items(1, 9)]) == 1
    assert "sha8" in store
    assert len(store) == 10


def test_a_killed_write_keeps_whole_shards_only(tmp_path: Path) -> None:
    def dying() -> Iterator[tuple[str, Tensor]]:
        yield from items(5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TokenStore(tmp_path).write(dying(), shard_images=2)
    (tmp_path / "shard-000009-dead.npy").write_bytes(b"half a shard")
    (tmp_path / "shard-000009-dead.json.1a2b.tmp").write_text("{")
    store = TokenStore(tmp_path)
    assert len(store) == 4
    assert store.write(items(5)) == 1
    assert torch.equal(TokenStore(tmp_path).get("sha4"), tokens(4))


def test_two_writers_see_each_other(tmp_path: Path) -> None:
    one, two = TokenStore(tmp_path), TokenStore(tmp_path)
    one.write(items(2))
    two.write(items(3, 1))
    one.refresh()
    assert len(one) == 4
    assert torch.equal(one.get("sha3"), tokens(3))


def test_readers_in_threads(tmp_path: Path) -> None:
    store = filled(tmp_path)
    wrong: list[int] = []

    def read(image: int) -> None:
        if not torch.equal(store.get(f"sha{image}"), tokens(image)):
            wrong.append(image)

    threads = [threading.Thread(target=read, args=(image % 7,)) for image in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@settings(max_examples=30, deadline=None)
@given(batch=st.integers(1, 40), buffer=st.integers(1, 60), seed=st.integers(0, 99))
def test_every_token_comes_once(
    tmp_path_factory: pytest.TempPathFactory, batch: int, buffer: int, seed: int
) -> None:
    store = filled(tmp_path_factory.mktemp("tokens"))
    shas = [f"sha{image}" for image in range(1, 7)]
    batches = list(store.shuffled_batches(shas, batch, seed, buffer))
    expected = {(float(image), float(patch), 1.0) for image in range(1, 7) for patch in range(P)}
    rows = [tuple(row) for row in torch.cat(batches).tolist()]
    assert len(rows) == len(expected)
    assert set(rows) == expected
    assert all(len(tokens_MD) == batch for tokens_MD in batches[:-1])


def test_order_depends_on_the_seed_alone(tmp_path: Path) -> None:
    store = filled(tmp_path)

    def order(seed: int) -> Tensor:
        return torch.cat(list(store.shuffled_batches(store.shas(), 5, seed, 12)))

    assert torch.equal(order(1), order(1))
    assert not torch.equal(order(1), order(2))


def test_no_images_give_no_batches(tmp_path: Path) -> None:
    assert list(TokenStore(tmp_path).shuffled_batches([], 4, 0)) == []


def test_bf16_shards(tmp_path: Path) -> None:
    """bf16 keeps 8 bits of precision at any size; 2 bytes each; may be mixed with fp16 shards."""
    store = TokenStore(tmp_path, "bf16")
    large = torch.tensor([[1.0, -3.0e38, 257.0], [0.0, 1e-30, 258.0]])
    store.write([("a", large)])
    again = TokenStore(tmp_path)
    assert again.half("a").dtype == torch.bfloat16
    assert torch.equal(again.get("a"), large.bfloat16().float())
    assert again.get("a")[:, 2].tolist() == [256.0, 258.0]  # to nearest, ties to even
    again.write([("b", torch.ones(2, 3))])
    assert again.half("b").dtype == torch.float16
    assert again.rows(["b", "a"])[0].tolist() == torch.ones(2, 3).tolist()
    with pytest.raises(ValueError, match="range of bf16"):
        store.write([("c", torch.full((2, 3), torch.inf))])


def test_shards_of_another_kind_are_reported(tmp_path: Path) -> None:
    filled(tmp_path)
    listing = sorted(tmp_path.glob("*.json"))[0]
    listing.write_text('{"shas": ["sha0"], "dtype": "bf16"}')
    with pytest.raises(BundleError, match="another form than recorded"):
        TokenStore(tmp_path).get("sha0")
    listing.write_text('{"shas": ["sha0"], "dtype": "int4"}')
    with pytest.raises(BundleError, match="'int4' are unknown"):
        TokenStore(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.full((P, D), 1e5), "beyond the range of fp16"),
        (torch.full((P, D), torch.nan), "not finite"),
        (torch.zeros(P, D + 1), "different shapes"),
        (torch.zeros(P), "expected"),
    ],
)
def test_unfit_tokens_are_refused(tmp_path: Path, wrong: Tensor, message: str) -> None:
    store = filled(tmp_path)
    with pytest.raises(ValueError, match=message):
        store.write([("bad", wrong)])
    assert len(TokenStore(tmp_path)) == 7


def test_a_damaged_shard_is_reported(tmp_path: Path) -> None:
    filled(tmp_path)
    for shard in tmp_path.glob("*.npy"):
        shard.write_bytes(b"")
    with pytest.raises(BundleError, match="missing or damaged"):
        TokenStore(tmp_path).get("sha0")
