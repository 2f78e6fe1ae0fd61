"""When each camera went up and down. How that is found out belongs to capture; this keeps what was told."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from dashboard.notices import CameraState as Told
from dashboard.notices import Notices
from dashboard.store.database import Database
from dashboard.store.models import CameraState
from dashboard.store.times import Clock, utc
from dashboard.worker import Worker

log = logging.getLogger(__name__)

KEPT = timedelta(days=30)
MOST_PER_CAMERA = 5000
"""A camera that goes up and down each few seconds fills days with rows, not weeks."""


@dataclass(frozen=True, slots=True)
class StateView:
    """A change of a camera's state, as read from its row."""

    camera: str
    state: str
    reason: str
    at: datetime


class States:
    """The history of states in one database."""

    def __init__(self, db: Database, clock: Clock = time.time) -> None:
        self._db = db
        self._clock = clock

    def record(self, notice: Told) -> None:
        """Keep what a notice says. Raises StoreError."""
        with self._db.write() as rows:
            rows.add(
                CameraState(camera=notice.camera, state=notice.state, reason=notice.reason[:256], at=utc(notice.at))
            )

    def history(self, camera: str, n: int = 50) -> tuple[StateView, ...]:
        """The last `n` changes of a camera, newest first."""
        with self._db.read() as rows:
            statement = select(CameraState).where(CameraState.camera == camera)
            newest = statement.order_by(CameraState.at.desc(), CameraState.id.desc()).limit(n)
            return tuple(StateView(row.camera, row.state, row.reason, row.at) for row in rows.scalars(newest))

    def purge(self) -> None:
        """Delete what is older than 30 days, and the oldest of a camera that has more than its share."""
        with self._db.write() as rows:
            rows.execute(delete(CameraState).where(CameraState.at < utc(self._clock()) - KEPT))
            for camera in rows.scalars(select(CameraState.camera).distinct()).all():
                mine = select(CameraState.id).where(CameraState.camera == camera)
                surplus = mine.order_by(CameraState.at.desc(), CameraState.id.desc()).offset(MOST_PER_CAMERA)
                rows.execute(delete(CameraState).where(CameraState.id.in_(surplus.subquery().select())))


class StateRecorder(Worker):
    """Thread `states`: listens to the notices and keeps those about cameras. What could not be kept is tried again."""

    def __init__(self, states: States, notices: Notices) -> None:
        super().__init__("states")
        self._states = states
        self._heard = notices.subscribe()
        self._pending: Told | None = None

    def run_once(self) -> None:
        if self._pending is None:
            notice = self._heard.next(timeout=60)
            if not isinstance(notice, Told):
                return
            self._pending = notice
        self._states.record(self._pending)
        self._pending = None

    def wake(self) -> None:
        self._heard.close()  # `next` then raises, and a worker that is stopping takes that for its end
