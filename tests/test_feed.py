"""Feeds: one subscription a camera, one encode a picture, newest only, and rest when nobody looks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from dashboard.channel import ChannelClosed
from dashboard.live.feed import Feeds, Picture, Viewer
from tests.web_fakes import FakeCamera, FakeFrame


class SlowFrame(FakeFrame):
    """Encoding takes a while, and is counted over all frames."""

    made: list[tuple[int, int | None, int]]
    pause = 0.0

    def jpeg(self, width: int | None = None, quality: int = 85) -> bytes:
        assert threading.current_thread().name.startswith("encode"), "never on the loop"
        time.sleep(self.pause)
        self.made.append((self.number, width, quality))
        return b"%d" % self.number


def run(body: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(body, 20))


def frames(pause: float = 0.0) -> type[SlowFrame]:
    class Kind(SlowFrame):
        made: list[tuple[int, int | None, int]] = []  # noqa: RUF012 - one list for the frames of one test

    Kind.pause = pause
    return Kind


def test_many_viewers_cost_one_encode_and_one_subscription() -> None:
    async def body() -> None:
        camera, kind, feeds = FakeCamera("door"), frames(), Feeds()
        viewers = [feeds.join(camera.frames) for _ in range(50)]
        assert camera.frames.followers == 1
        for number in range(1, 6):
            waits = [asyncio.create_task(viewer.next(5)) for viewer in viewers]
            await asyncio.sleep(0)
            camera.publish(kind("door", number))
            pictures = await asyncio.gather(*waits)
            assert {picture.number for picture in pictures if picture} == {number}
        assert kind.made == [(number, None, 85) for number in range(1, 6)]
        for viewer in viewers:
            viewer.close()
        assert camera.frames.followers == 0
        assert len(feeds) == 0
        feeds.close()

    run(body())


def test_sizes_and_qualities_are_encoded_apart_and_never_enlarged() -> None:
    async def body() -> None:
        camera, kind, feeds = FakeCamera("door"), frames(), Feeds()
        viewers = [feeds.join(camera.frames, width, quality) for width, quality in ((320, 70), (320, 70), (1280, 85))]
        waits = [asyncio.create_task(viewer.next(5)) for viewer in viewers]
        await asyncio.sleep(0)
        camera.publish(kind("door", 1))
        await asyncio.gather(*waits)
        assert sorted(kind.made, key=str) == [(1, 320, 70), (1, None, 85)]
        for viewer in viewers:
            viewer.close()
        feeds.close()

    run(body())


def test_nothing_is_encoded_while_nobody_waits() -> None:
    async def body() -> None:
        camera, kind, feeds = FakeCamera("door"), frames(), Feeds()
        with feeds.join(camera.frames) as viewer:
            for number in range(1, 20):
                camera.publish(kind("door", number))
                await asyncio.sleep(0.005)
            assert kind.made == []
            picture = await viewer.next(5)
            assert picture is not None
            assert picture.number == 19, "the newest, not the oldest"
        feeds.close()

    run(body())


def test_a_slow_encoder_skips_frames_instead_of_queueing_them() -> None:
    async def body() -> None:
        camera, kind, feeds = FakeCamera("door"), frames(pause=0.03), Feeds()
        got: list[Picture] = []

        async def watch(viewer: Viewer) -> None:
            while True:
                if picture := await viewer.next(5):
                    got.append(picture)

        with feeds.join(camera.frames) as viewer:
            task = asyncio.create_task(watch(viewer))
            for number in range(1, 101):
                camera.publish(kind("door", number))
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.2)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        numbers = [picture.number for picture in got]
        assert numbers == sorted(set(numbers)), "in order, none twice"
        assert len(numbers) < 60
        assert numbers[-1] == 100, "and the last one is not lost"
        feeds.close()

    run(body())


def test_a_frame_that_cannot_be_encoded_is_skipped() -> None:
    class Broken(FakeFrame):
        def jpeg(self, width: int | None = None, quality: int = 85) -> bytes:
            raise OSError("not a JPEG")

    async def body() -> None:
        camera, kind, feeds = FakeCamera("door"), frames(), Feeds()
        with feeds.join(camera.frames) as viewer:
            camera.publish(Broken("door", 1))
            assert await viewer.next(0.1) is None
            camera.publish(kind("door", 2))
            picture = await viewer.next(5)
            assert picture is not None
            assert picture.number == 2
        feeds.close()

    run(body())


@pytest.mark.parametrize(("age", "seen"), [(0.1, True), (9.0, True), (10.5, False)])
def test_a_new_viewer_gets_the_last_picture_at_once_unless_it_is_old(age: float, seen: bool) -> None:
    async def body() -> None:
        camera, kind, feeds = FakeCamera("door"), frames(), Feeds()
        camera.publish(kind("door", 7, at=time.monotonic() - age))
        with feeds.join(camera.frames) as viewer:
            picture = await viewer.next(0.3)
            assert (picture is not None) == seen
        feeds.close()

    run(body())


def test_a_viewer_with_a_low_rate_costs_no_more_than_its_rate() -> None:
    async def body() -> None:
        camera, kind, feeds = FakeCamera("door"), frames(), Feeds()
        stop = time.monotonic() + 1.5
        got = 0

        async def publish() -> None:
            number = 0
            while time.monotonic() < stop:
                number += 1
                camera.publish(kind("door", number))
                await asyncio.sleep(0.005)

        task = asyncio.create_task(publish())
        with feeds.join(camera.frames, fps=5) as viewer:
            while time.monotonic() < stop:
                got += await viewer.next(1.0) is not None
        await task
        assert 4 <= got <= 10
        assert len(kind.made) <= got + 2
        feeds.close()

    run(body())


def test_the_end_of_a_camera_reaches_its_viewers() -> None:
    async def body() -> None:
        camera, feeds = FakeCamera("door"), Feeds()
        with feeds.join(camera.frames) as viewer:
            wait = asyncio.create_task(viewer.next(10))
            await asyncio.sleep(0.05)
            camera.frames.close()
            with pytest.raises(ChannelClosed):
                await wait
        assert len(feeds) == 0
        feeds.close()

    run(body())


def test_renewed_gives_the_newest_to_one_who_had_to_wait() -> None:
    async def body() -> None:
        camera, kind, feeds = FakeCamera("door"), frames(), Feeds()
        with feeds.join(camera.frames, fps=0.1) as viewer:
            camera.publish(kind("door", 1))
            picture = await viewer.next(5)
            assert picture is not None
            assert await viewer.renewed(picture) is picture
            camera.publish(kind("door", 2))
            await asyncio.sleep(0.01)
            assert (await viewer.renewed(picture)).number == 2
        feeds.close()

    run(body())


def test_a_camera_that_outlives_the_loop_is_not_disturbed() -> None:
    camera = FakeCamera("door")

    async def body() -> None:
        Feeds().join(camera.frames)  # and is never closed

    run(body())
    camera.publish()
    camera.publish()
