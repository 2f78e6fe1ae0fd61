"""Too many failures, by a clock that the test turns."""

from __future__ import annotations

from dashboard.web.throttle import Throttle


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_eleventh_failure_waits_and_the_window_lets_go() -> None:
    clock = Clock()
    throttle = Throttle(clock=clock)
    for second in range(10):
        clock.now = 1000.0 + second
        assert throttle.attempt("a") == 0
    assert throttle.attempt("a") == 291, "until the first failure is 300 s old"
    assert throttle.attempt("b") == 0, "another key is another matter"
    clock.now = 1000.0 + 300
    assert throttle.attempt("a") == 0
    assert throttle.attempt("a") == 60, "the next place is free in 1 s, but nobody is told less than a minute"


def test_refused_attempts_do_not_prolong_the_wait() -> None:
    clock = Clock()
    throttle = Throttle(limit=2, window=100, clock=clock)
    throttle.attempt("a")
    throttle.attempt("a")
    for second in range(100):
        clock.now = 1000.0 + second
        assert throttle.attempt("a") >= 60
    clock.now = 1100.0
    assert throttle.attempt("a") == 0


def test_success_begins_anew_and_undo_takes_one_back() -> None:
    throttle = Throttle(limit=2, clock=Clock())
    throttle.attempt("a")
    throttle.attempt("a")
    throttle.undo("a")
    assert throttle.attempt("a") == 0
    assert throttle.attempt("a") > 0
    throttle.succeeded("a")
    assert throttle.attempt("a") == 0


def test_memory_is_bounded() -> None:
    throttle = Throttle(bound=100, clock=Clock())
    for number in range(1000):
        throttle.attempt(number)
    assert len(throttle) == 100
