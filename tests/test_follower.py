"""A viewer's way through a video: what is sent to somebody who is new, in time, late, or has missed something."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from dashboard.channel import Channel, ChannelClosed
from dashboard.live.video import Edge, Videos

KEY, MISSED = True, True


@pytest.mark.parametrize(
    ("steps", "taken"),
    [
        ([(False, False, 0.0), (KEY, False, 0.0), (False, False, 0.1)], [False, True, True]),
        ([(KEY, False, 9.0), (False, False, 8.9), (False, False, 0.1)], [True, True, True]),  # a long group
        ([(KEY, False, 0.0), (False, False, 2.0), (False, False, 0.1)], [True, False, False]),  # fell behind
        ([(KEY, False, 0.0), (False, False, 2.0), (KEY, False, 0.2)], [True, False, True]),
        ([(KEY, False, 0.0), (False, MISSED, 0.1), (KEY, False, 0.1)], [True, False, True]),
        ([(KEY, False, 0.0), (KEY, MISSED, 0.1)], [True, True]),
    ],
)
def test_the_edge(steps: list[tuple[bool, bool, float]], taken: list[bool]) -> None:
    edge = Edge()
    assert [edge.takes(*step) for step in steps] == taken


def fragment(number: int, key: bool = False) -> Any:
    return SimpleNamespace(number=number, key=key, at=time.monotonic())


def test_a_follower_begins_at_the_newest_key_frame_and_waits_for_more() -> None:
    async def scenario() -> None:
        video: Channel[Any] = Channel(depth=10)
        for number, key in ((1, True), (2, False), (3, True), (4, False)):
            video.publish(fragment(number, key))
        with Videos().follow(video) as follower:
            assert [(await follower.next(1)).number for _ in range(2)] == [3, 4]  # type: ignore[union-attr]
            assert await follower.next(0.05) is None
            asyncio.get_running_loop().call_later(0.05, video.publish, fragment(5))
            found = await follower.next(2)
            assert found is not None
            assert found.number == 5
            video.close()
            with pytest.raises(ChannelClosed):
                await follower.next(1)
        assert video.followers == 0

    asyncio.run(scenario())


def test_a_channel_forgets_what_is_of_no_use() -> None:
    channel: Channel[int] = Channel(depth=10)
    with channel.subscribe() as slow:
        for number in range(6):
            channel.publish(number)
        channel.trim(2)
        assert slow.poll() == 4
        assert slow.missed == 4
    with channel.subscribe(since=lambda number: number == 4) as late:
        assert late.poll() == 4
    with channel.subscribe(since=lambda number: number == 0) as later:
        assert later.poll() is None, "nothing kept is meant: from now on"
