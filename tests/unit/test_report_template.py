"""Templates of a project's own: what is taken, what is refused and why; and the page itself."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import html5lib
import pytest

from core.errors import InputError
from dashboard.services import report_example as example
from dashboard.services import report_html
from dashboard.services.report_filters import isolated, printable, remark, words_on
from dashboard.services.report_html import Front, Printed
from dashboard.services.report_template import (
    TEMPLATES,
    Look,
    checked,
    standard_sha256,
    template_of,
)
from dashboard.viewmodels.report_content import SaidOfCue

OURS = (
    '{% extends "report.html.j2" %}{% block method %}<section aria-labelledby="method">'
    '<h2 id="method">{{ title_of["method"] }}</h2><p>As we do it: {{ cover.project }}</p>'
    "</section>{% endblock %}"
)
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> \"'</style></title><!-- "
    "=HYPERLINK(1) 😀 مرحبا \u202eabc \x01\x0b\udcff\ufffe {{ 7*7 }} {% raw %}"
)


def front(text: str = "example", logo: bytes | None = None) -> Front:
    look = Look(None, standard_sha256(), logo, "ab" * 32 if logo else None)
    return Front(example.content(text), look, {example.CUE: example.picture()})


def cases(text: str = "example") -> list[Printed]:
    return [
        Printed(example.case(text), example.picture()),
        Printed(example.bare_case(), example.picture()),
    ]


def page(tmp_path: Path, text: str = "example", form: report_html.Form = "html") -> str:
    target = tmp_path / "page.html"
    context = front(text, example.PIXEL).context(form, cases(text))
    report_html.write(template_of(None), context, target)
    return target.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text", ["example", HOSTILE, "long" * 2500], ids=["plain", "hostile", "long"]
)
def test_the_page_is_valid_html_whatever_people_wrote(tmp_path: Path, text: str) -> None:
    found = page(tmp_path, text)

    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(found)
    assert tree.find(".//html") is None or tree.tag == "html"
    assert not list(tree.iter("script"))
    assert [img.get("src", "")[:11] for img in tree.iter("img")] == ["data:image/"] * 4
    assert all(img.get("alt") for img in tree.iter("img"))
    assert not [e for e in tree.iter() for name in e.attrib if str(name).startswith("on")]


def test_headings_come_in_order_and_the_contents_lead_to_each_section(tmp_path: Path) -> None:
    tree = html5lib.parse(page(tmp_path), namespaceHTMLElements=False)
    levels = [int(e.tag[1]) for e in tree.iter() if e.tag in ("h1", "h2", "h3", "h4")]
    ids = {e.get("id") for e in tree.iter() if e.get("id")}
    links = [str(e.get("href")) for e in tree.iter("a")]

    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert [link.removeprefix("#") for link in links] == [key for key, _ in report_html.SECTIONS]
    assert {key for key, _ in report_html.SECTIONS} <= ids


def test_what_people_wrote_is_shown_and_does_not_act(tmp_path: Path) -> None:
    found = page(tmp_path, HOSTILE)

    assert "<script" not in found
    assert "&lt;script&gt;alert(1)" in found
    assert "{{ 7*7 }}" in found
    assert "\u202e" not in found
    assert "49" not in found.split("</style>")[1].split("alert(1)")[1][:200]


def test_every_part_of_the_content_is_on_the_page(tmp_path: Path) -> None:
    found = page(tmp_path, "marker")
    words = html5lib.parse(found, namespaceHTMLElements=False)
    text = " ".join("".join(words.find("body").itertext()).split())

    for needed in (
        example.NOTICE, example.VERSION, "✓ pass", "✗ fail", "? cannot be said", "A limit: marker",
        "not reviewed", "Sign-off", "spurious: marker", "Nobody opened this case yet",
        "disagrees with the decision", "Decided: spurious", "too few cases to rule anything out",
        standard_sha256(), "cd" * 32,
    ):  # fmt: skip
        assert needed.casefold() in text.casefold(), needed


def test_a_lost_picture_leaves_a_line_and_the_rest(tmp_path: Path) -> None:
    lost = report_html.Picture("", "", 0, 0, "The picture cannot be shown: the file is empty.")
    context = front().context("html", [Printed(example.case(), lost)])
    report_html.write(template_of(None), context, tmp_path / "p.html")

    found = (tmp_path / "p.html").read_text("utf-8")
    assert "The picture cannot be shown: the file is empty." in found
    assert "Sign-off" in found


def test_the_standard_template_passes_its_own_check() -> None:
    source = (TEMPLATES / "report.html.j2").read_text("utf-8")
    assert "{% block cover %}" in source
    checked(source, "report.html.j2")


def test_a_template_that_fills_a_block_is_taken() -> None:
    checked(OURS, "ours.html.j2")
    made = "".join(template_of(OURS).generate(**front().context("html", cases())))
    assert "As we do it: example" in made


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ report.cover.project | safe }}", "line 1: the filter safe"),
        ("\n{% autoescape false %}x{% endautoescape %}", "line 2: escaping must stay on"),
        ("<p>hi</p>", "Content-Security-Policy"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ cycler.__init__.__globals__ }}", "unsafe"),
        ("{% for x in %}", "line 1"),
        ("{{ nothing }}", "'nothing' is undefined"),
        ("{{ 1 / 0 }}", "division by zero"),
        ('{% extends "../../etc/passwd" %}', "passwd"),
        (OURS.replace("As we", "<script>1</script>"), "script element"),
        (OURS.replace("As we", '<p onclick="x()">x</p>'), "the handler onclick"),
        (OURS.replace("As we", '<img src="http://a.example/b.png" alt="">'), "src points out"),
        (OURS.replace("As we", '<a href="javascript:x()">x</a>'), "href points out"),
        (OURS.replace("As we", '<b style="background: url(http://a.example)">x</b>'), "a style"),
        (OURS + "{% block style %}@import 'http://a.example/x.css';{% endblock %}", "style sheet"),
        ('{% extends "report.html.j2" %}{% block cover %}{% endblock %}', "notice"),
        ('{% extends "report.html.j2" %}{% block provenance %}{% endblock %}', "its own hash"),
        ('{% extends "report.html.j2" %}{% block annex %}{% endblock %}', "cases out"),
    ],
)
def test_a_template_that_will_not_do_is_refused_with_the_reason(source: str, why: str) -> None:
    with pytest.raises(InputError) as refused:
        checked(source, "ours.html.j2")
    assert "ours.html.j2" in str(refused.value)
    assert why in str(refused.value)


def test_who_says_the_same_stands_together() -> None:
    def said(who: str, value: str, reason: str | None = None, comment: str = "") -> SaidOfCue:
        return SaidOfCue(who, who, value, "here", reason, comment, 1, example.AT)

    found = words_on(
        (said("A", "spurious", "artefact", "a <b>"), said("B", "correct"), said("C", "spurious"))
    )

    assert found == "correct: B; spurious: A (artefact: a &lt;b&gt;), C"


def test_texts_are_made_printable_and_short() -> None:
    assert printable("a\x00b\udcffc\u202ed") == "a\ufffdb\ufffdc\ufffdd"
    assert remark("x" * 900).startswith("x" * 700 + " … (200 more")
    assert isolated("שלום <b>") == "<bdi>שלום &lt;b&gt;</bdi>"


def test_a_word_without_an_end_gets_places_to_break_and_an_end() -> None:
    shown = str(printable("x" * 10_000))

    assert max(len(piece) for piece in shown.replace(" ", "\u200b").split("\u200b")) == 70
    assert shown.count("x") == 3200
    assert printable("ab" * 32) == "ab" * 32  # a hash stays whole
    assert isolated("<" * 80).count("&lt;") == 80
