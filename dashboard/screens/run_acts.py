"""Cancel a piece of long work, or start it again, from the screen that asked for it."""

from dashboard.screens.context import Sitting
from dashboard.screens.telling import attempt


def cancel(sitting: Sitting, place: str, run_id: str, what: str) -> None:
    """Asks a run to stop; `tell(place)` says what came of it. `what`: "The check"."""
    attempt(
        place, lambda: sitting.services.runs.cancel(run_id, sitting.reviewer.id),
        done=f"{what} was asked to stop.", stale="Not cancelled: it has ended meanwhile.",
    )  # fmt: skip


def again(sitting: Sitting, place: str, run_id: str, what: str, *, anew: bool = True) -> None:
    """Starts a run that ended early anew, or lets it go on where it stopped; said as above."""
    attempt(
        place, lambda: sitting.services.runs.restart(run_id, sitting.reviewer.id, anew=anew),
        done=f"{what} starts again." if anew else f"{what} goes on.",
        stale="Not started: it is under way already.",
    )  # fmt: skip
