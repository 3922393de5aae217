"""Hierarchy, vocabulary and captions."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from core.phantoms import (
    ARTEFACTS,
    CLASSES,
    CUE_NAMES,
    CUES,
    HIERARCHY,
    VOCABULARY,
    caption_for,
    class_prompts,
    phrases_for,
    region_prompts,
    write_vocabulary,
)
from core.phantoms.captions import sample_caption


def test_names_are_unique_across_the_vocabulary() -> None:
    words = [word for row in VOCABULARY for word in (row.name, *row.synonyms)]
    assert len(words) == len(set(words))
    assert {cue.name for cue in CUES} | set(CLASSES) <= {row.name for row in VOCABULARY}


def test_hierarchy_holds_both_relations_and_no_cycle() -> None:
    edges = {(child, parent) for child, parent, _ in HIERARCHY}
    assert ("ruler", "artefact") in edges
    assert ("typical network", "lesion", "part-of") in HIERARCHY
    assert ("pigment network", "lesion structure", "is-a") in HIERARCHY
    assert len(HIERARCHY) == len(set(HIERARCHY))
    reach = set(edges)
    for _ in range(6):
        reach |= {(a, d) for a, b in reach for c, d in reach if b == c}
    assert not [pair for pair in reach if pair[0] == pair[1]]
    assert all((name, "artefact") in edges for name in ARTEFACTS)


def test_vocabulary_file_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.csv"
    write_vocabulary(path)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["name"] for row in rows] == [row.name for row in VOCABULARY]
    assert tuple(rows[0]["synonyms"].split("|")) == VOCABULARY[0].synonyms


def test_caption_names_the_class_and_the_signs_but_not_the_obvious() -> None:
    text = caption_for("melanoma", ("skin", "lesion", "streaks", "hair"))
    assert text == "a dermoscopy image of a melanoma with streaks and hair"


def test_prompts_carry_the_name() -> None:
    assert all("melanoma" in prompt for prompt in class_prompts("melanoma"))
    assert all("ruler" in prompt for prompt in region_prompts("ruler"))
    with pytest.raises(KeyError):
        phrases_for("unicorn")


def test_sampled_captions_name_only_what_is_there() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        text, named = sample_caption(rng, "naevus", ("skin", "globules", "hair"))
        assert set(named) <= {"globules", "hair"}
        absent = set(CUE_NAMES) - {"globules", "hair", "skin", "lesion"}
        assert not [cue for cue in absent if cue in text]
