from __future__ import annotations

import logging
import threading

import pytest

from dashboard.worker import Worker


class Counting(Worker):
    """Fails on the rounds it is told to, and says when it has done `enough` rounds."""

    retry_pause = 0.0

    def __init__(self, fails: set[int], enough: int) -> None:
        super().__init__("counting")
        self.fails, self.enough, self.rounds, self.done = fails, enough, 0, threading.Event()

    def run_once(self) -> None:
        self.rounds += 1
        if self.rounds >= self.enough:
            self.done.set()
            self.stopping.wait(30)
        if self.rounds in self.fails:
            raise ValueError("on purpose")


def test_goes_on_after_failures_and_counts_them(caplog: pytest.LogCaptureFixture) -> None:
    worker = Counting(fails={1, 3}, enough=5)
    with caplog.at_level(logging.ERROR):
        worker.start()
        assert worker.done.wait(10)
        assert worker.stop()
    assert worker.failures == 2
    assert "counting failed" in caplog.text


def test_stopping_does_not_wait_for_the_pause() -> None:
    class Failing(Counting):
        retry_pause = 3600.0

        def pause_after(self, error: Exception) -> float:
            self.done.set()
            return super().pause_after(error)

    worker = Failing(fails={1}, enough=99)
    worker.start()
    assert worker.done.wait(10)
    assert worker.stop(timeout=10)
    assert not worker.alive


def test_stop_says_when_the_thread_hangs() -> None:
    free = threading.Event()

    class Hanging(Worker):
        def run_once(self) -> None:
            free.wait(30)

    worker = Hanging("hanging")
    worker.start()
    assert not worker.stop(timeout=0.05)
    free.set()
    assert worker.stop(timeout=10)


def test_a_worker_starts_once() -> None:
    worker = Counting(fails=set(), enough=1)
    worker.start()
    with pytest.raises(RuntimeError):
        worker.start()
    assert worker.stop()
