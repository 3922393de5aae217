"""What the benchmark `report` reads of memory, on this very process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.report import run
from benchmarks.report_memory import PROC, tree

needs_proc = pytest.mark.skipif(not PROC.is_dir(), reason="the system has no /proc")


@needs_proc
def test_a_process_and_what_it_started_are_found() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        found = tree(os.getpid())
        assert {os.getpid(), child.pid} <= set(found)
        mine = found[os.getpid()]
        assert 0 < mine.now <= mine.peak
    finally:
        child.communicate(b"\n")
    assert child.pid not in tree(os.getpid())


@needs_proc
def test_a_process_that_is_not_there_has_no_memory() -> None:
    assert tree(2**22 + 1) == {}


def test_an_unknown_form_is_refused_before_anything_is_filled() -> None:
    with pytest.raises(ValueError, match="docx"):
        run(only=("docx",), cases=5)
