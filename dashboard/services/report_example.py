"""A report that holds one of everything: what a project's own template is tried with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, Final, cast

import numpy as np

from core.images import png_bytes
from dashboard.services.report_html import Form, Front, Printed
from dashboard.services.report_pictures import Picture, uri
from dashboard.services.report_template import Look, standard_sha256
from dashboard.viewmodels.agreement import (
    AgreementView,
    CoefficientView,
    ConceptAgreementView,
    PairView,
    RaterView,
)
from dashboard.viewmodels.desk import ClassSetView, FlipView, RegionView
from dashboard.viewmodels.drift import DriftConcept, DriftView
from dashboard.viewmodels.groups import ColumnRow, GroupRow, GroupsView
from dashboard.viewmodels.judgement import Estimate, FigureView
from dashboard.viewmodels.marks import DrawingView, NoteView
from dashboard.viewmodels.report_content import (
    AgreementPart,
    CaseContent,
    Cover,
    CoveragePart,
    CoverageRow,
    CriterionLine,
    CueContent,
    DecisionLine,
    Figure,
    NameChange,
    NotJudged,
    OpenDispute,
    OpenMark,
    OpenPart,
    PersonPart,
    ProvenanceRow,
    RatingFigure,
    Reliability,
    ReliabilityBin,
    ReportContent,
    Ruling,
    RunChange,
    RunSplit,
    SaidOfCase,
    SaidOfCue,
    SignOff,
    SplitAccuracy,
    SpuriousConcept,
    SpuriousExample,
    StructureChange,
    Unit,
    VersionStep,
)
from dashboard.viewmodels.runs import NoticeView

AT: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
VERSION, PARENT, SNAPSHOT = "9f3c1ab7" * 8, "0a1b2c3d" * 8, "5e6f7a8b" * 8
NOTICE: Final = "Example of a notice: not for clinical use"
CASE: Final = "11111111-2222-4333-8444-555555555555"
CUE: Final = "66666666-7777-4888-8999-aaaaaaaaaaaa"
GRID: Final = (8, 8)
PIXEL: Final = png_bytes(np.full((1, 1, 3), 200, dtype=np.uint8))
BARE: Final = "bare-example.png"


def contexts(form: str) -> Iterator[dict[str, Any]]:
    """What a template is rendered with when it is set: a whole page and, for PDF, a later part."""
    look = Look(None, standard_sha256(), PIXEL, "ab" * 32)
    front = Front(content(), look, {CUE: picture()})
    made = cast("Form", form)
    cases = [Printed(case(), picture()), Printed(bare_case(), Picture("", "", 0, 0, "It is lost."))]
    yield {**front.context(made, cases), "example_case": BARE}
    if form == "pdf":
        part = front.context(made, cases, shows_front=False, first_number=201)
        yield {**part, "example_case": BARE}


def picture() -> Picture:
    """A picture of one pixel."""
    return Picture(uri(PIXEL, "image/png"), "An example", 1, 1)


def figure(key: str, value: float | None, unit: Unit = "share", n: int = 40) -> Figure:
    """A figure with an interval."""
    low, high = (None, None) if value is None else (max(value - 0.1, 0.0), min(value + 0.1, 1.0))
    text = "not known: nobody said anything" if value is None else f"{value:.2f}"
    return Figure(key, key.capitalize(), value, low, high, unit, n, "cases", "an example", text)


def content(text: str = "example") -> ReportContent:
    """One of everything; `text` stands where people's own words stand."""
    return ReportContent(
        cover=_cover(text),
        method=(f"How the {text} was made.",),
        headline=(figure("accuracy", 0.82), figure("agreement", 0.61, "score"),
                  figure("cases", 40.0, "count"), figure("ece", None)),
        splits=(SplitAccuracy("test", True, 2, figure("accuracy", 0.8)),
                SplitAccuracy(None, False, 0, figure("accuracy", None))),
        calibration=(_calibration(),),
        agreement=AgreementPart(_agreement(text), None, f"Note: {text}"),
        spurious=_spurious(text),
        ratings=(RatingFigure("clarity", text, figure("rating", 4.1, "score"), (0, 1, 2, 3, 4)),),
        people=(PersonPart(text, 12, 3, 4),),
        names=(NameChange(3, "concept 3", text, text, AT, text),),
        structure=(StructureChange("merge", text, "accepted", text, AT, text),),
        runs=(_run(text),),
        versions=(VersionStep(AT, "made", PARENT, None, "discover", None, "", 0),
                  VersionStep(AT, "activate", VERSION, PARENT, "reweight", text, text, 1)),
        groups=(_groups(text),),
        groups_note=text,
        drift=_drift(text),
        drift_note=text,
        open=_open(text),
        coverage=_coverage(text),
        criteria=tuple(
            CriterionLine("kappa", text, ">=", 0.6, 0.61, 0.4, 0.8, passed, text, text)
            for passed in (True, False, None)
        ),
        decisions=(DecisionLine(CUE, AT, text, "version", text, text, text, (text,), CASE),),
        limits=(f"A limit: {text}.",),
        provenance=(ProvenanceRow("Model", "Version", VERSION), ProvenanceRow("Store", text, text)),
        sign_off=SignOff(f"What is vouched for: {text}.", (("Team lead", text), ("Auditor", ""))),
        cases=2,
        case_words=1,
    )  # fmt: skip


def _cover(text: str) -> Cover:
    return Cover(
        project=text, notice=NOTICE, classes=("naevus", text), scope=(("class", text),),
        scope_sentence=f"Cases of {text}.", version=VERSION, version_kind="reweight",
        since=date(2026, 1, 1), until=date(2026, 3, 31), first_word=AT, last_word=AT,
        generated_at=AT, generated_by=text,
    )  # fmt: skip


def _calibration() -> Reliability:
    bins = (
        ReliabilityBin(0.0, 0.5, 0, None, figure("bin", None)),
        ReliabilityBin(0.5, 0.75, 12, 0.66, figure("bin", 0.5)),
        ReliabilityBin(0.75, 1.0, 28, 0.9, figure("bin", 0.86)),
    )
    return Reliability("held-out cases", figure("ece", 0.05), bins)


def _agreement(text: str) -> AgreementView:
    alpha = CoefficientView("Krippendorff's alpha", 0.6, (0.4, 0.8), None, 0.85, 30, 10, text)
    none = CoefficientView("Cohen's kappa", None, None, None, None, 0, 0, "too few")
    return AgreementView(
        subject="cue", words=("correct", "spurious"), items=30, cases=10, reviewers=2, disputed=5,
        open=2, overall=(alpha, none),
        pairs=(PairView(text, "Ada", alpha), PairView("B", "C", none)),
        concepts=(ConceptAgreementView(CUE, text, 30, 5, 2, alpha),),
        raters=(RaterView(text, 30, 1, 0.9, (("correct", 0.9, 20),)),), consensus=None,
    )  # fmt: skip


def _spurious(text: str) -> tuple[SpuriousConcept, ...]:
    example = SpuriousExample(CUE, CASE, CASE, text, "cd" * 32, text, "naevus", 1.2, 3)
    return (
        SpuriousConcept(
            CUE, 3, PARENT, text, 1, 9, 2, 8, 3, figure("concept", 0.9), 1.4, (example,)
        ),
        SpuriousConcept(CASE, 4, PARENT, "hair", 0, 0, 2, 2, 1, figure("concept", None), 0.1),
    )


def _run(text: str) -> RunChange:
    row = FigureView(
        "accuracy", "Accuracy", "share", True, "share that is right", Estimate(0.7, 0.6, 0.8),
        Estimate(0.9, 0.85, 0.94), Estimate(0.2, 0.1, 0.3), 0.001, "better",
        "better by 20 points",
    )  # fmt: skip
    lost = FigureView(
        "ece", "Calibration error", "score", False, "gap", Estimate(None), Estimate(0.1),
        Estimate(None), None, "", "cannot be said",
    )  # fmt: skip
    part = RunSplit("test", 40, 3, text, (row, lost), (text,))
    return RunChange(
        CUE, "reweight", "auto", "succeeded", 0, text, AT, PARENT, VERSION, "active", SNAPSHOT, 25,
        text, (part,), (NoticeView("warning", text, text),),
    )  # fmt: skip


def _groups(text: str) -> GroupsView:
    half = Estimate(0.5, 0.4, 0.6)
    rows = tuple(
        GroupRow(name, 20, half, 0.5, half, half, half, 0.2, 0.4, name == text, small, text)
        for name, small in ((text, False), ("B", True))
    )
    column = ColumnRow("group", text, "words", 2, 40, 0, True)
    return GroupsView(column, VERSION, ("test",), rows, rows[0], 0.1, 0.2, text, text, (text,))


def _drift(text: str) -> DriftView:
    concept = DriftConcept(
        CUE, 3, text, "", "more", 0.7, 0.1, 0.4, 0.2, 0.5, 0.001, 0.01, True, 0.2, text
    )
    return DriftView(
        CUE, "succeeded", 1.0, "done", "", AT, text, VERSION, text, "split train", True, alert=True,
        sentence=text, advice=text, n_new=40, n_reference=120, tested=12, alerts=1,
        concepts=(concept,), notices=(NoticeView("info", text),),
    )  # fmt: skip


def _open(text: str) -> OpenPart:
    said = (("correct", 1), ("spurious", 2))
    return OpenPart(
        (OpenDispute("cue", CUE, CASE, text, said),), 3,
        (OpenMark("escalate", CASE, text, text, AT, text),), 1, text,
    )  # fmt: skip


def _coverage(text: str) -> CoveragePart:
    rows = (
        CoverageRow("class", text, 20, 5, figure("covered", 0.25)),
        CoverageRow("group", None, 20, 15, figure("covered", 0.75)),
    )
    missing = (NotJudged(CUE, 7, text, 12, 1.1),)
    return CoveragePart(
        40, 20, figure("covered", 0.5), text, rows, 4, 9, 1, missing, (("group", 2),)
    )


def case(text: str = "example") -> CaseContent:
    """A case with everything that people can say."""
    said = (
        SaidOfCue(CUE, text, "spurious", "everywhere", text, text, 1, AT),
        SaidOfCue(CASE, "Ada", "correct", "here", None, "", 1, AT),
    )
    ruling = Ruling("spurious", text, text, AT)
    cues = (
        _cue("A", text, said, ruling),
        _cue("B", "hair", (), None),
    )
    return CaseContent(
        id=CASE, version=VERSION, image_id=CASE, image_name=text, image_sha256="cd" * 32, width=64,
        height=64, label=text, split="test", group=text, prediction="naevus", confidence=0.83,
        probabilities=(("naevus", 0.83), (text, 0.17)), logit=1.2, bias=0.1, explained=True,
        class_set=ClassSetView(("naevus", text), 0.9, False, text),
        flip=FlipView(((text, 0.5, 0.0),), text, 0.2, None), narrative=text, uncertainty=(text,),
        trust=0.7, reconstruction=0.8, other=0.1, cues=cues,
        assessments=(SaidOfCase(CUE, text, False, text, (("clarity", 4),), text, True, 1, AT),
                     SaidOfCase(CASE, "Ada", True, None, (), "", False, 1, AT),
                     SaidOfCase(PARENT, "Bo", None, None, (), text, False, 1, AT)),
        ruling=ruling,
        drawings=(
            DrawingView(CUE, "missed", "box", ((0.1, 0.1), (0.5, 0.5)), text, None, text, AT),
        ),
        notes=(NoteView(CUE, "note", text, {}, text, AT),),
    )  # fmt: skip


def bare_case() -> CaseContent:
    """A case that nobody opened."""
    return CaseContent(
        id=PARENT[:36], version=VERSION, image_id=CASE, image_name=BARE,
        image_sha256="ef" * 32, width=64, height=64, label=None, split=None, group=None,
        prediction="naevus", confidence=0.999, probabilities=(), logit=0.0, bias=0.0,
        explained=False, class_set=None, flip=None, narrative="", uncertainty=(), trust=None,
        reconstruction=None, other=None, cues=(), assessments=(), ruling=None,
    )  # fmt: skip


def _cue(letter: str, name: str, said: tuple[SaidOfCue, ...], ruling: Ruling | None) -> CueContent:
    bits = bytes([0, 0, 0b00111100, 0b00111100, 0, 0, 0, 0])
    return CueContent(
        id=CUE, letter=letter, concept_id=CUE, concept=3, name=name, qualifier="on the left",
        level=1, activation=1.0, contribution=0.9, causal_effect=-0.4, trust=0.6,
        doubts=("it is unsure where it lies",), regions=(RegionView(0.25, 0.25, 0.75, 0.5, 0.125),),
        verdicts=said, ruling=ruling, grid=GRID, map_u8=bytes(64), region_bits=bits,
    )  # fmt: skip
