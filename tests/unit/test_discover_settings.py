"""Settings files: every name and type checked, in plain words."""

from pathlib import Path

import pytest

from core.errors import ConfigError, TableError
from dashboard.services.discover_settings import discover_config, read_settings

TOML = """
head_c = 2
shares = [0.2, 0.1]
[sae]
n = 64
k = 3
group_fractions = [0.25, 0.75]
[train]
steps = 20
lr = 0.001
[naming]
templates = ["{}", "a {}"]
"""


def test_a_file_becomes_the_engines_settings(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(TOML, encoding="utf-8")
    config = discover_config(read_settings(path), dim=16)
    assert config.sae is not None
    assert config.train is not None
    assert (config.sae.d, config.sae.n, config.sae.k) == (16, 64, 3)
    assert config.sae.group_fractions == (0.25, 0.75)
    assert (config.train.steps, config.train.lr) == (20, 0.001)
    assert (config.head_c, config.shares) == (2.0, (0.2, 0.1))
    assert config.naming.templates == ("{}", "a {}")


def test_no_settings_are_the_defaults() -> None:
    from core.discovery import DiscoverConfig

    assert discover_config({}, dim=16) == DiscoverConfig()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"sae": {"m": 3}}, "no setting sae.m"),
        ({"widht": 3}, "no setting widht"),
        ({"sae": {"n": "many"}}, "sae.n is 'many': it must be of type int"),
        ({"sae": {"n": True}}, "sae.n is True"),
        ({"sae": 3}, "sae must be a table"),
        ({"shares": [0.1]}, "shares must hold 2 values"),
        ({"shares": 0.1}, "shares must be a list"),
        ({"train": {"seed": 1}}, "the seed is given with the command"),
        ({"sae": {"n": 4, "k": 9}}, "k is 9"),
    ],
)
def test_a_slip_is_named(raw: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        discover_config(raw, dim=16)


@pytest.mark.parametrize("content", [b"sae = [", b"\xff\xfe\x00"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"bad\.toml"):
        read_settings(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be read"):
        read_settings(tmp_path / "none.toml")
