"""Traces over the fakes: the chain of a patch, and what a hash or a name stands for."""

from __future__ import annotations

from core.errors import InsightError
from dashboard.services.trace_find import Ambiguous
from dashboard.viewmodels import CaseView
from dashboard.viewmodels.trace import TraceMatch, TraceNode, TracePlace, TraceView
from db.errors import NotFound
from tests.fakes.cases import GRID, Book, case_view, uid
from tests.fakes.runs import BASE

SNAPSHOT = "77aa" * 16
MADE = "4be0c2d1" * 8
FILE = "e0e0" * 16


class FakeTrace:
    """Answers as the real service does; remembers who asked."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.asked: list[tuple[str, str | None]] = []
        self.shut: frozenset[str] = frozenset()  # cases that are closed to whoever asks

    def place(self, case_id: str, *, viewer: str | None = None) -> TracePlace:
        case = self._case(case_id)
        shut = "This project is blind." if case_id in self.shut else ""
        cues = () if shut else case.cues
        return TracePlace(
            case.id, case.image_id, "" if shut else case.image_name, case.width, case.height,
            GRID, GRID, tuple((cue.letter, cue.name) for cue in cues),
            tuple(cue.map_u8 for cue in cues), shut,
        )  # fmt: skip

    def pixel(
        self, case_id: str, x: float, y: float, *, cue: str | None = None,
        viewer: str | None = None,
    ) -> TraceView:  # fmt: skip
        self.asked.append((f"pixel {x:.3f} {y:.3f} {cue or ''}".strip(), viewer))
        case = self._case(case_id)
        row, column = int(y * GRID), int(x * GRID)
        shown = [each for each in case.cues if cue in (None, each.letter)]
        nodes = (
            TraceNode("image", case.image_name, "ab" * 32, (("size", "160 x 160 pixels"),)),
            TraceNode("place", f"Patch in row {row + 1}, column {column + 1}"),
            TraceNode("encoder", "Encoder demo", "", (("layer", "the last block's tokens"),)),
            *(
                TraceNode(
                    "cue", f"Cue {each.letter}: {each.name}", each.id,
                    (("contribution", f"{each.contribution:+.3f} logit"),), "",
                    (
                        TraceNode("concept", f"Concept {each.concept}: {each.name}"),
                        TraceNode("word", "Dr Before: spurious", uid("said", each.name)),
                    ),
                )
                for each in shown
            ),
            TraceNode("case", f"Decision: {case.prediction}", case.id),
            TraceNode("version", f"Version {BASE[:12]} (discovery, active)", BASE),
        )  # fmt: skip
        return TraceView(f"pixel {case_id}", f"Row {row + 1}, column {column + 1}", nodes)

    def find(
        self, key: str, *, project_id: str | None = None, viewer: str | None = None
    ) -> TraceView:
        self.asked.append((key, viewer))
        if key == "abcd":
            raise Ambiguous(
                key,
                (TraceMatch("image", "demo", "abcd" * 16, "phantom_0001.png"),
                 TraceMatch("version", "demo", "abcde" + "0" * 59, "reweight")),
            )  # fmt: skip
        if MADE.startswith(key):
            return self._version()
        if key in self._book.reviewers:
            node = TraceNode("person", f"{key} in demo", key, (("verdicts", "3"),))
            return TraceView(f"person {key}", f"{key} spoke in 1 project(s).", (node,))
        raise NotFound("version or snapshot or image", key)

    def _version(self) -> TraceView:
        turned = TraceNode(
            "changed", "phantom_0002.png: melanoma -> naevus", uid("case", 2),
            (("label", "naevus"),),
        )  # fmt: skip
        words = TraceNode("word", "Dr Before: spurious", uid("said", "ruler"))
        name = "<b>ruler</b> :red[x]" if self._book.hostile else "ruler"
        title = f"{name} in phantom_0001.png: spurious"
        held = TraceNode("evidence", title, "ab" * 32, (("weight", "0.9"),), "", (words,))
        frozen = TraceNode(
            "snapshot", "Snapshot 77aa77aa77aa (18 words)", SNAPSHOT, (), "", (held,)
        )
        return TraceView(
            f"version {MADE}", "Version 4be0c2d14be0 was made by reweight, from people's words.",
            (
                TraceNode("version", "Version 4be0c2d14be0 (reweighting, candidate)", MADE),
                TraceNode("effect", "Version 4be0c2d14be0", MADE, (("decides otherwise", "14"),),
                          "what this word did alone is not known", (turned,), 13),
                frozen,
                TraceNode("export", "Files that tell of it", "", (), "",
                          (TraceNode("export", "report as pdf", FILE),)),
            ),
        )  # fmt: skip

    def _case(self, case_id: str) -> CaseView:
        ids = [uid("case", at) for at in range(self._book.cases)]
        if case_id not in ids:
            raise NotFound("case", case_id)
        if not ids:
            raise InsightError("no case")
        return case_view(self._book, ids.index(case_id), ids, "")
