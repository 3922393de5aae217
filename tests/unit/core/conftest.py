"""What tests of fine-tuning share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.builders import tiny_encoder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Bits are those of one thread, as in child processes; a module asks for it with
    `pytestmark`."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny encoder with three layers."""
    return tiny_encoder(tmp_path_factory.mktemp("encoder"), layers=3)
