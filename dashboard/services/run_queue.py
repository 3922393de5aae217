"""How runs reach the worker: a durable queue of dbos, seen from outside.

The runs table is the source of truth: a run is committed there first and then announced to the
queue. Where the announcement fails (the worker never started yet, its database is down) the run
simply stays queued, and the worker announces it when it comes up. Announcing twice is harmless:
the workflow id is the run's own.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from dbos import DBOSClient

QUEUE = "runs"
WORKFLOW = "insight_run"
# dbos recovers and dequeues only workflows of its own application version. This one is raised by
# hand when the steps of a run change so that a half-done run cannot go on with the new ones.
APPLICATION_VERSION = "insight-runs-2"

_log = logging.getLogger(__name__)


class RunQueue(Protocol):
    """What RunService needs of the queue."""

    def announce(self, run_id: str, workflow_id: str) -> bool:
        """Asks the worker to work on a run; False where the queue cannot be reached now."""

    def withdraw(self, workflow_id: str) -> None:
        """Takes a run out of the queue, as far as it can be reached."""


class DbosQueue:
    """The queue in dbos's system database at `url`; opened on each use, nothing is launched."""

    def __init__(self, url: str, app_version: str = APPLICATION_VERSION) -> None:
        self._url = url
        self._app_version = app_version

    def announce(self, run_id: str, workflow_id: str) -> bool:
        """See RunQueue."""
        from dbos import EnqueueOptions

        options: EnqueueOptions = {
            "workflow_name": WORKFLOW,
            "queue_name": QUEUE,
            "workflow_id": workflow_id,
            "app_version": self._app_version,
        }
        try:
            client = self._client()
            try:
                client.enqueue(options, run_id, workflow_id)
            finally:
                client.destroy()
        except SQLAlchemyError:
            _log.info("run %s waits in the database until a worker comes up", run_id)
            return False
        return True

    def withdraw(self, workflow_id: str) -> None:
        """See RunQueue."""
        try:
            client = self._client()
            try:
                client.cancel_workflow(workflow_id)
            finally:
                client.destroy()
        except SQLAlchemyError:
            # The worker looks at the runs table before every step, so nothing is lost.
            _log.info("workflow %s could not be withdrawn from the queue", workflow_id)

    def _client(self) -> DBOSClient:
        from dbos import DBOSClient

        from dashboard.services.run_json import JsonSerializer

        return DBOSClient(
            system_database_url=self._url,
            serializer=JsonSerializer(),
            retry_connection_errors=False,
        )
