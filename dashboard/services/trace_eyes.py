"""What the person who asks may see: a trace must not tell what the desk still hides from them.

In a blind project a case stays closed until their own word on it is in, and others' verdicts on a
cue are shown only to those who judged that cue. Whoever works on the machine itself (`insight
trace`) sees everything, as with every export.
"""

from __future__ import annotations

from collections.abc import Iterable

from dashboard.services.blinding import OF_THE_CASE, word_is_in
from dashboard.services.case_view import assessment_view
from dashboard.services.settings_of import settings_in
from db.unit_of_work import UnitOfWork

SHUT = "This project is blind: the case opens once your own word on it is in."
PEERS = "What others said of a cue is shown once your own verdict on it stands."


class Eyes:
    """One person's view of one project; None sees everything."""

    def __init__(self, uow: UnitOfWork, project_id: str, viewer: str | None) -> None:
        self._uow = uow
        self.viewer = viewer
        hidden = settings_in(uow, project_id).blind if viewer is not None else frozenset()
        self._blind = bool(OF_THE_CASE & set(hidden))
        self._until_the_end = "peers" in hidden

    @property
    def all(self) -> bool:
        """Whether nothing is hidden from whoever asks."""
        return self.viewer is None

    @property
    def blind(self) -> bool:
        """Whether cases are closed until the person's own word is in."""
        return self._blind

    def open_case(self, case_id: str) -> bool:
        """Whether a case may be told about."""
        return not self._blind or self._said(case_id)

    def open_words(self, speakers: Iterable[str], case_id: str | None = None) -> bool:
        """Whether what these people said of one cue may be told.

        Args:
            speakers: ids of all who have a verdict on it.
            case_id: where it is known.
        """
        if self.viewer is None:
            return True
        if self.viewer not in speakers:
            return False
        return not self._until_the_end or (case_id is not None and self._said(case_id))

    def own(self, reviewer_id: str) -> bool:
        """Whether someone's words may be listed: they are one's own, or nothing is hidden."""
        return self.viewer is None or self.viewer == reviewer_id

    def _said(self, case_id: str) -> bool:
        assert self.viewer is not None
        row = self._uow.assessments.standing(case_id, self.viewer)
        return word_is_in(None if row is None else assessment_view(row))
