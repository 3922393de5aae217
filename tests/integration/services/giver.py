"""A reviewer without pause, for the kill test: `python -m tests.integration.services.giver WS`.

Prints the id of each verdict after the service has acknowledged it.
"""

import sys
from pathlib import Path

from dashboard.bootstrap import build
from dashboard.settings import Settings
from db.records import new_id


def main(workspace: Path) -> None:
    """Gives verdicts on the first case's cues, round and round, until it is killed."""
    services = build(Settings.load(workspace, environ={}))
    project = services.projects.get("tiny").id
    me = services.review.sign_in("Restless")
    cues = services.review.case(project, None, me).cues
    for number in range(100_000):
        cue, value = cues[number % len(cues)], ("correct", "spurious")[number % 2]
        verdict = services.review.give_verdict(
            id=new_id(), cue_id=cue.id, reviewer_id=me, value=value,
            based_on=number // len(cues),
        )  # fmt: skip
        print(verdict.id, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
