import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import TableError
from core.phantoms.spec import VOCABULARY, write_vocabulary
from core.vocabulary import (
    MAX_LENGTH,
    MAX_LEVELS,
    MAX_TERMS,
    Term,
    Vocabulary,
    default_vocabulary,
    load_vocabulary,
)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_txt_has_a_word_per_line_and_comments(tmp_path: Path) -> None:
    text = "\ufeff# what we look for\nruler\n\n  blue  veil # bluish\r\nnaevus\n"
    found = load_vocabulary(write(tmp_path, "words.txt", text))
    assert found.names == ("ruler", "blue veil", "naevus")


def test_csv_has_synonyms_and_parents(tmp_path: Path) -> None:
    text = "Name,Synonyms,Parent\nartefact,,image\n\nruler,scale; ruler ticks ;ruler,Artefact\n"
    found = load_vocabulary(write(tmp_path, "words.csv", text))
    assert found.terms == (
        Term("artefact", (), "image"),
        Term("ruler", ("scale", "ruler ticks"), "artefact"),
    )


def test_the_phantom_vocabulary_reads(tmp_path: Path) -> None:
    write_vocabulary(tmp_path / "phantoms.csv")
    found = load_vocabulary(tmp_path / "phantoms.csv")
    assert found.names == tuple(row.name for row in VOCABULARY)
    assert found.terms[0].synonyms == VOCABULARY[0].synonyms


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", "tâche".encode("latin-1"), "line 1: not in UTF-8"),
        ("a.txt", b"ruler\nna\xefvus\n", "line 2: not in UTF-8"),
        ("a.csv", "name\nruler\n".encode("utf-16"), "not in UTF-8"),
        ("a.txt", "ruler\n\nRuler\n", "line 3: 'ruler' stands already in line 1"),
        ("a.csv", "name,synonyms\nruler,scale\nscale,\n", "line 3: 'scale' stands already"),
        ("a.txt", "x" * (MAX_LENGTH + 1), "more than 80 characters"),
        ("a.csv", "name,parent\nruler,artifact\n", "line 2: the parent 'artifact'"),
        ("a.csv", "name,parent\na,b\nb,a\n", "line 2: 'a' is its own ancestor"),
        ("a.txt", "ru\x07ler\n", "line 1: control or invisible character U+0007"),
        ("a.txt", "rul\u202eer\n", "U+202E"),
        ("a.csv", "word\nruler\n", 'no column "name"'),
        ("a.csv", "name,colour\nruler,red\n", "found colour"),
        ("a.csv", "name\nruler,scale\n", "line 2: 2 cells but 1 columns"),
        ("a.csv", 'name\n"ruler\n', "not a CSV row"),
        ("a.csv", "name,parent\n ,artefact\n", "line 2: empty name"),
        ("a.txt", "# nothing\n", "no words in it"),
        ("a.txt", "", "no words in it"),
        ("a.docx", "ruler", "a vocabulary is a .txt or a .csv file"),
        ("a.txt", "ru\x00ler\n", "U+0000"),
        ("a.txt", "one\rtwo\n", "U+000D"),
        ("a.txt", "zero\u200bwidth\n", "U+200B"),
        ("a.txt", "\u3164\n", "U+3164"),
        ("a.txt", "\u0301\u0302\n", "accents alone"),
        ("a.txt", "blue veil\nblue\u00a0 veil\n", "line 2: 'blue veil' stands already"),
        ("a.txt", "na\u00efvus\nnai\u0308vus\n", "line 2: 'naïvus' stands already"),
        ("a.csv", "name,parent\na,a\n", "line 2: 'a' is its own ancestor"),
        ("a.csv", "name,parent\na,b\nb,c\nc,b\n", "is its own ancestor"),
        ("a.csv", "name,synonyms\na," + ";".join(f"s{n}" for n in range(33)), "32 synonyms"),
        ("a.csv", f'name\n"{"x" * 140_000}"\n', "not a CSV row"),
        ("a.csv", "name,name\na,b\n", "a column given twice"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, content: str, reason: str) -> None:
    with pytest.raises(TableError) as caught:
        load_vocabulary(write(tmp_path, name, content))
    assert caught.value.file == name
    assert reason in caught.value.reason


def test_markup_formulas_and_emoji_stay_the_text_they_are(tmp_path: Path) -> None:
    words = ("<b>ruler</b>", "=1+1", "@cmd", "-x", "{} %s {0}", "burn 🔥", "مقياس", "尺子")
    found = load_vocabulary(write(tmp_path, "words.txt", "\n".join(words)))
    assert found.names == words


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_spreadsheets_may_use_another_delimiter(tmp_path: Path, delimiter: str) -> None:
    text = "\ufeffname,synonyms,parent\nartefact,,image\nruler,scale|ticks,artefact\n"
    found = load_vocabulary(write(tmp_path, "words.csv", text.replace(",", delimiter)))
    assert found.terms[1] == Term("ruler", ("scale", "ticks"), "artefact")


def test_what_is_too_much_is_refused(tmp_path: Path) -> None:
    many = "\n".join(f"word {n}" for n in range(MAX_TERMS + 1))
    rows = (f"a{n}," + ";".join(f"s{n}x{m}" for m in range(32)) for n in range(1600))
    deep = "\n".join(f"a{n},a{n - 1}" if n else "a0," for n in range(MAX_LEVELS + 1))
    for name, text, reason in (
        ("a.txt", many, "more than 20000 words"),
        ("a.txt", "x" * 4_100_000, "larger than 4 MB"),
        ("a.csv", "name,synonyms\n" + "\n".join(rows), "more than 50000 names and synonyms"),
        ("a.csv", "name,parent\n" + deep, "line 34: more than 32 levels"),
    ):
        with pytest.raises(TableError, match=reason):
            load_vocabulary(write(tmp_path, name, text))


def test_a_folder_or_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder.txt").mkdir()
    os.mkfifo(tmp_path / "pipe.txt")
    for name in ("folder.txt", "pipe.txt"):
        with pytest.raises(TableError, match="is not a file"):
            load_vocabulary(tmp_path / name)


@pytest.mark.parametrize(
    "row",
    ["ruler", None, {}, {"name": 3}, {"name": "a", "synonyms": "bc"}, {"name": "a", "parent": 1}],
)
def test_json_of_another_form_is_refused(row: object) -> None:
    with pytest.raises(TableError, match="line 1: not a name"):
        Vocabulary.from_json([row])  # type: ignore[list-item]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"none\.txt: cannot be read"):
        load_vocabulary(tmp_path / "none.txt")


def test_default_vocabulary_has_the_classes_first_and_no_word_twice() -> None:
    found = default_vocabulary(("Crack", "free"))
    assert found.names[:2] == ("Crack", "free")
    folded = [name.casefold() for name in found.names]
    assert len(set(folded)) == len(folded) > 150


def test_json_round_trip() -> None:
    given_terms = Vocabulary((Term("artefact"), Term("ruler", ("scale",), "artefact")))
    assert Vocabulary.from_json(given_terms.as_json()) == given_terms


@given(st.binary(max_size=200), st.sampled_from(["a.txt", "a.csv"]))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, name: str
) -> None:
    path = write(tmp_path_factory.mktemp("vocabulary"), name, raw)
    try:
        found = load_vocabulary(path)
    except TableError:
        return
    assert found.terms
    assert all(0 < len(phrase) <= MAX_LENGTH for t in found.terms for phrase in t.phrases)
    assert Vocabulary.from_json(found.as_json()) == found
