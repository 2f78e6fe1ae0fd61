from __future__ import annotations

import itertools

import pytest

from dashboard.capture.pace import Backoff, Pace, Quota, Rate


@pytest.mark.parametrize("fps", [0.5, 1, 15, 500])
def test_rate_is_what_came_lately(fps: float) -> None:
    rate = Rate()
    for index in range(int(20 * fps)):
        rate.add(index / fps)
    last = (int(20 * fps) - 1) / fps
    assert rate.per_second(last) == pytest.approx(fps, rel=0.01)
    assert rate.interval == pytest.approx(1 / fps, rel=0.01)


def test_rate_sinks_in_silence_and_follows_a_change() -> None:
    rate = Rate()
    for index in range(100):
        rate.add(index / 10)
    assert rate.per_second(10.0) == pytest.approx(10, rel=0.05)
    assert rate.per_second(15.0) < 6
    assert rate.per_second(60.0) < 1.1
    for index in range(100):
        rate.add(20 + index / 5)
    assert rate.per_second(40.0) == pytest.approx(5, rel=0.05)


def test_rate_without_pictures() -> None:
    rate = Rate()
    assert (rate.per_second(1.0), rate.interval) == (0.0, 0.0)
    rate.add(1.0)
    assert (rate.per_second(1.0), rate.interval) == (0.0, 0.0)
    rate.add(1.0)  # twice in the same moment
    assert rate.per_second(1.0) <= 1000
    rate.clear()
    assert rate.per_second(2.0) == 0.0


@pytest.mark.parametrize(("limit", "fps"), [(5, 500), (5, 7), (15, 15), (15, 14.9), (60, 25), (0.5, 25)])
def test_pace_lets_through_what_is_allowed(limit: float, fps: float) -> None:
    pace = Pace(limit)
    jitter = itertools.cycle([0.0, 0.3, -0.2, 0.1])
    passed = sum(pace.allows((index + next(jitter)) / fps) for index in range(int(60 * fps)))
    assert passed / 60 == pytest.approx(min(limit, fps), rel=0.06, abs=0.05)


def test_pace_does_not_catch_up_after_silence() -> None:
    pace = Pace(10)
    assert pace.allows(0.0)
    assert sum(pace.allows(100 + index / 1000) for index in range(1000)) <= 11


def test_pace_may_let_a_burst_through() -> None:
    pace = Pace(10, slack=5)
    assert sum(pace.allows(0.0) for _ in range(50)) == 11
    assert pace.allows(0.2)
    passed = sum(pace.allows(10 + index / 100) for index in range(6000))
    assert passed / 60 == pytest.approx(10, rel=0.03)


def middle() -> float:
    return 0.5


def test_backoff_doubles_and_is_patient_only_after_ten_minutes() -> None:
    backoff = Backoff(middle)
    now, pauses = 0.0, []
    while now < 86_400:
        pauses.append(backoff.pause(now))
        now += pauses[-1]
    assert pauses[:5] == [1, 2, 4, 8, 8]
    assert max(pauses) == 30
    assert pauses[-1] == 30


@pytest.mark.parametrize("luck", [0.0, 0.999])
def test_backoff_jitter_stays_within_a_fifth(luck: float) -> None:
    backoff = Backoff(lambda: luck)
    pauses = [backoff.pause(0.0) for _ in range(50)]
    assert pauses[0] == pytest.approx(0.8 if luck < 0.5 else 1.2, abs=0.01)
    assert max(pauses) <= 8


def test_backoff_forgets_after_a_good_run_only() -> None:
    backoff = Backoff(middle)
    assert [backoff.pause(0.0) for _ in range(3)] == [1, 2, 4]
    backoff.ran(1.0)
    assert backoff.pause(1.0) == 8
    backoff.ran(60.0)
    assert backoff.pause(61.0) == 1


def test_a_camera_that_refuses_is_asked_twice_a_minute_at_most() -> None:
    for luck in (0.0, 0.999):
        pauses = [Backoff(lambda luck=luck: luck).pause(0.0, refused=True) for _ in range(5)]  # type: ignore[misc]
        assert min(pauses) > 30
        assert max(pauses) < 60


def test_quota_counts_what_it_holds_back() -> None:
    quota = Quota(2, 60)
    assert [quota.take(now) for now in (0, 1, 2, 3)] == [0, 0, None, None]
    assert quota.take(60) == 2
    assert quota.take(61) == 0
    assert quota.take(62) is None
