"""Drift checks over the phantoms: one with an alert, then whatever a test starts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from core.errors import ConfigError
from dashboard.viewmodels.drift import (
    DecisionShift,
    DriftConcept,
    DriftForm,
    DriftRow,
    DriftView,
    ImageSet,
    SetChoice,
    Within,
)
from dashboard.viewmodels.words import RunState
from db.errors import NotFound
from tests.fakes.cases import HOSTILE, START, Book, uid
from tests.fakes.modes import pictures
from tests.fakes.runs import BASE

CHOICES = (
    SetChoice("split", "", "Split", (("train", 600), ("test", 249)), True),
    SetChoice("column", "camera", "camera", (("phone", 122), ("scanner", 6)), True),
    SetChoice("since", "", "Ingested since", (("2026-05-04", 249), ("2026-05-03", 849)), True),
    SetChoice("column", "patient", "patient", (), False, "too many values (790)"),
)
WITHIN: tuple[tuple[Within, str, str], ...] = (
    ("nothing", "All images together", "The plain question: are they alike?"),
    ("label", "Within each label", "Leaves out how many of each label there are."),
)

SHIFTS = (
    DecisionShift("naevus", 0.61, 0.44, 0.01), DecisionShift("melanoma", 0.3, 0.47, 0.01),
)  # fmt: skip


@dataclass
class _Check:
    id: str
    state: RunState
    new: str
    reference: str
    within: Within = "nothing"
    level: float = 0.05
    progress: float = 1.0


class FakeDrift:
    """Checks in a list; a new one is done the third time it is looked at."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.checks: list[_Check] = []
        self.calm = False  # nothing differs
        self.bare = False  # nothing to tell new images by

    def past(self) -> None:
        """One check that ended with an alert."""
        self.checks.append(
            _Check(uid("drift", 0), "succeeded", "split test", "split train", "label")
        )

    def form(self, project_id: str) -> DriftForm:
        if self.bare:
            return DriftForm(CHOICES[3:], 849, None, WITHIN, 20, False, "Bring more images in.")
        proposed = ImageSet("split", ("test",))
        return DriftForm(CHOICES, 849, proposed, WITHIN, 20, True)

    def start(
        self, *, id: str, project_id: str, reviewer_id: str, new: ImageSet,
        reference: ImageSet | None = None, within: Within = "nothing", level: float = 0.05,
        seed: int = 0,
    ) -> DriftRow:  # fmt: skip
        if "scanner" in new.values:
            raise ConfigError("only 6 images are new; at least 20 are needed")
        other = "the images it learnt from" if reference is None else _words(reference)
        self.checks.append(_Check(id, "queued", _words(new), other, within, level, 0.0))
        return self.list(project_id)[0]

    def list(self, project_id: str) -> tuple[DriftRow, ...]:
        rows = [
            DriftRow(
                each.id, each.state, START + timedelta(hours=n), "Dr Example", each.new,
                each.reference, None if each.state != "succeeded" else not self.calm,
                "" if each.state != "succeeded" else self._view(each).sentence,
            )
            for n, each in enumerate(self.checks)
        ]  # fmt: skip
        return tuple(reversed(rows))

    def view(self, run_id: str, *, pictures: bool = True) -> DriftView:
        found = next((each for each in self.checks if each.id == run_id), None)
        if found is None:
            raise NotFound("run", run_id)
        if found.state in {"queued", "running"}:
            found.progress += 0.5
            found.state = "running" if found.progress < 1.5 else "succeeded"
        return self._view(found)

    def fail(self, run_id: str) -> None:
        """Let a check end badly."""
        next(each for each in self.checks if each.id == run_id).state = "failed"

    def _view(self, check: _Check) -> DriftView:
        done = check.state == "succeeded"
        head = (check.id, check.state, min(check.progress, 1.0), "comparing the concepts")
        said = "Too few images" if check.state == "failed" else ""
        names = (said, START, "Dr Example", BASE, check.new, check.reference)
        if not done:
            return DriftView(*head, *names, False)
        concepts = () if self.calm else self._concepts()
        alert = not self.calm
        p = 0.0005 if alert else 0.4
        return DriftView(
            *head, *names, True, alert,
            "The new images differ: ruler fires more, streaks fires less." if alert
            else "No difference beyond chance was found.",
            "Look at the cases below before you trust decisions on such images." if alert else "",
            249, 600, "", check.level, check.within, p, whole_p=p,
            told_apart=0.87 if alert else 0.52, energy=0.083, energy_p=p, least_effect=0.1,
            detectable=0.09, tested=41, alerts=2 if alert else 0, concepts=concepts,
            cases=pictures(4) if alert else (), decisions=SHIFTS,
            decisions_sentence="Melanoma is decided more often than before (p = 0.010).",
        )  # fmt: skip

    def _concepts(self) -> tuple[DriftConcept, ...]:
        name = HOSTILE if self._book.hostile else "ruler"
        return (
            DriftConcept(
                uid("concept", "ruler"), 41, name, "melanoma", "more", 0.74, 0.11, 0.58, 0.4, 1.9,
                1e-6, 4e-5, True, 0.31, "It fires in 58 % of the new images, 11 % before.",
                pictures(4),
            ),
            DriftConcept(
                uid("concept", "streaks"), 44, "streaks", "", "less", 0.36, 0.3, 0.16, 0.9, 0.4,
                1e-4, 2e-3, True, 0.18, "It fires in 16 % of the new images, 30 % before.",
                pictures(2),
            ),
            DriftConcept(
                uid("concept", "hair"), 45, "hair", "", "more", 0.52, 0.2, 0.22, 0.3, 0.3, 0.4, 0.8,
                False, None, "No difference beyond chance.",
            ),
        )  # fmt: skip


def _words(chosen: ImageSet) -> str:
    name = {"split": "split", "since": "ingested since"}.get(chosen.kind, f"{chosen.column} =")
    return f"{name} {', '.join(chosen.values)}"
