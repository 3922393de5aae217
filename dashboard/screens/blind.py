"""Which cases a list may tell about in a blind project."""

from dashboard.screens.context import Sitting


def said(sitting: Sitting) -> frozenset[str] | None:
    """Cases on which this reviewer's word is in; None where the project hides nothing of a case.

    Lists of errors and captions of pictures name label and decision, so in a blind project they
    leave out the cases on which the reviewer has still to give their own word.
    """
    settings = sitting.services.settings_of.of(sitting.project.id)
    if not {"labels", "prediction"} & set(settings.blind):
        return None
    return sitting.services.diagnosing.said(sitting.project.id, sitting.reviewer.id)
