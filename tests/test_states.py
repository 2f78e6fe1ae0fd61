"""The history of cameras: what the notices said, bounded, and not lost to a busy database."""

from __future__ import annotations

import pytest

from dashboard.errors import StoreError
from dashboard.notices import CameraState, MotionStarted
from dashboard.store import states as module
from dashboard.store.states import StateRecorder
from dashboard.store.times import utc
from tests.stores import NOON, Store, eventually


def test_the_history_is_newest_first_and_of_one_camera(store: Store) -> None:
    for n, state in enumerate(("connecting", "live", "offline")):
        store.states.record(CameraState("door", state, f"reason {n}", NOON + n))
    store.states.record(CameraState("yard", "live", "", NOON))
    history = store.states.history("door")
    assert [(view.state, view.reason, view.at) for view in history] == [
        ("offline", "reason 2", utc(NOON + 2)),
        ("live", "reason 1", utc(NOON + 1)),
        ("connecting", "reason 0", utc(NOON)),
    ]
    assert len(store.states.history("door", 2)) == 2
    assert store.states.history("nobody") == ()


def test_a_long_reason_is_cut(store: Store) -> None:
    store.states.record(CameraState("door", "offline", "x" * 1000, NOON))
    assert len(store.states.history("door")[0].reason) == 256


def test_old_and_too_many_rows_go(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PER_CAMERA", 5)
    for n in range(8):
        store.states.record(CameraState("door", "live", str(n), NOON + n))
    store.states.record(CameraState("yard", "live", "old", NOON - 31 * 86400))
    store.states.record(CameraState("yard", "live", "new", NOON - 29 * 86400))
    store.states.purge()
    assert [view.reason for view in store.states.history("door")] == ["7", "6", "5", "4", "3"]
    assert [view.reason for view in store.states.history("yard")] == ["new"]


def test_the_recorder_keeps_what_cameras_tell(store: Store) -> None:
    recorder = StateRecorder(store.states, store.notices)
    recorder.start()
    store.notices.publish(MotionStarted(1, "door", NOON))
    store.notices.publish(CameraState("door", "live", "", NOON))
    assert eventually(lambda: len(store.states.history("door")) == 1)
    assert recorder.stop()
    assert recorder.failures == 0


def test_the_recorder_tries_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = StateRecorder(store.states, store.notices)
    recorder.retry_pause = 0.01
    real, left = store.states.record, [3]

    def busy(notice: CameraState) -> None:
        if left[0]:
            left[0] -= 1
            raise StoreError("the database is busy")
        real(notice)

    monkeypatch.setattr(store.states, "record", busy)
    recorder.start()
    for n in range(3):
        store.notices.publish(CameraState("door", "live", str(n), NOON + n))
    assert eventually(lambda: len(store.states.history("door")) == 3)
    assert recorder.stop()
    assert recorder.failures == 3
