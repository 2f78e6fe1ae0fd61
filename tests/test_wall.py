"""The protocol of the wall, spoken over two queues: pictures one at a time for each tile, in turn, and what is told."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from dashboard import notices
from dashboard.channel import Channel
from dashboard.live.audience import Audience
from dashboard.live.bulletin import Bulletin, Listener, differs, state
from dashboard.live.feed import Feeds
from dashboard.live.video import Videos
from dashboard.live.wall import HEADER, BadMessage, Connection, Drawn, Overrun, Tile, Wall, Watch, read_message
from tests.web_fakes import FakeCamera, FakeCameras, FakeFrame


class Page:
    """The browser's side: what it says and what it is shown."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.texts: list[dict[str, Any]] = []
        self.pictures: list[tuple[int, int, int]] = []  # index, frame, ms
        self.bodies: list[bytes] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.draws: Callable[[int], bool] = lambda index: False

    def say(self, **message: Any) -> None:
        self.said.put_nowait(json.dumps(message))

    def watch(self, *tiles: tuple[str, int, float]) -> None:
        self.say(type="watch", tiles=[{"camera": camera, "width": width, "fps": fps} for camera, width, fps in tiles])

    async def take_text(self, text: str) -> None:
        await self.reads.wait()
        self.texts.append(json.loads(text))

    async def take_bytes(self, data: bytes) -> None:
        await self.reads.wait()
        version, flags, index, frame, taken, rest = HEADER.unpack_from(data)
        assert (version, flags, rest) == (1, 0, 0)
        self.pictures.append((index, frame, taken))
        self.bodies.append(data[HEADER.size :])
        if self.draws(index):
            self.say(type="drawn", camera=self.names()[index], frame=frame)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [text for text in self.texts if text["type"] == kind]

    def names(self) -> list[str]:
        return [camera["id"] for camera in self.of("cameras")[-1]["cameras"]]

    def frames_of(self, index: int) -> list[int]:
        return [frame for of, frame, _ in self.pictures if of == index]


@dataclass
class House:
    cameras: FakeCameras
    told: notices.Notices
    feeds: Feeds
    audience: Audience
    page: Page
    wall: asyncio.Task[None]
    seen: dict[str, Any]
    disk: list[Any]

    async def until(self, condition: Callable[[], Any], seconds: float = 5) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "did not happen in time"
            await asyncio.sleep(0.01)


def with_house(body: Callable[[House], Coroutine[Any, Any, None]], *names: str, findings: tuple[str, ...] = ()) -> None:
    async def run() -> None:
        cameras = FakeCameras(FakeCamera(name) for name in names or ("door", "yard"))
        told, seen, disk = notices.new_channel(), dict[str, Any](), [False, 10**10]
        feeds, audience, page = Feeds(), Audience(), Page()
        bulletin = Bulletin(cameras, told, seen.get, lambda: findings, lambda: (disk[0], disk[1]))
        teller = asyncio.create_task(bulletin.run())
        connection = Connection(page.said.get, page.take_text, page.take_bytes)
        wall = asyncio.create_task(Wall(cameras, feeds, Videos(), bulletin, audience, connection).run())
        try:
            await body(House(cameras, told, feeds, audience, page, wall, seen, disk))
        finally:
            for task in (wall, teller):
                task.cancel()
            await asyncio.gather(wall, teller, return_exceptions=True)
            feeds.close()
        assert len(feeds) == 0, "the last viewer's leaving frees the camera"
        assert all(audience.viewers(camera.id) == 0 for camera in cameras)

    asyncio.run(asyncio.wait_for(run(), 30))


def test_the_page_is_told_how_everything_is_at_first() -> None:
    async def body(house: House) -> None:
        await house.until(lambda: house.page.of("status") and house.page.of("config") and house.page.of("disk"))
        assert house.page.texts[0]["type"] == "cameras"
        assert house.page.texts[0]["cameras"] == [
            {"id": "door", "name": "Door", "index": 0, "enabled": True},
            {"id": "yard", "name": "Yard", "index": 1, "enabled": True},
        ]
        assert house.page.of("status")[0]["cameras"]["door"].keys() == {
            *("state", "reason", "since", "fps", "age_ms", "moving", "area", "boxes")
        }
        assert house.page.of("config")[0]["findings"] == ["line 3: no"]
        assert abs(house.page.texts[0]["now"] - time.time() * 1000) < 5000
        assert house.page.pictures == [], "and no picture, before it says what it shows"
        assert house.cameras.by_id["door"].frames.followers == 0

    with_house(body, findings=("line 3: no",))


def test_one_picture_of_a_tile_is_under_way_until_it_is_drawn() -> None:
    async def body(house: House) -> None:
        door = house.cameras.by_id["door"]
        house.page.watch(("door", 480, 30))
        await house.until(lambda: door.frames.followers == 1)
        assert house.audience.viewers("door") == 1
        for _ in range(10):
            door.publish()
            await asyncio.sleep(0.02)
        await house.until(lambda: house.page.pictures)
        assert house.page.frames_of(0) == [1]
        house.page.say(type="drawn", camera="door", frame=99)
        house.page.say(type="drawn", camera="yard", frame=1)
        await asyncio.sleep(0.1)
        assert house.page.frames_of(0) == [1], "another picture's word does not count"
        house.page.say(type="drawn", camera="door", frame=1)
        await house.until(lambda: len(house.page.pictures) == 2)
        assert house.page.frames_of(0) == [1, 10], "the newest, none of those between"
        index, frame, taken = house.page.pictures[-1]
        assert (index, frame) == (0, 10)
        assert abs(taken - time.time() * 1000) < 5000
        assert house.page.bodies[-1].startswith(b"\xff\xd8\xff")

    with_house(body)


def test_a_page_that_does_not_say_drawn_still_gets_a_picture_now_and_then() -> None:
    async def body(house: House) -> None:
        door = house.cameras.by_id["door"]
        house.page.watch(("door", 480, 30))
        began = time.monotonic()
        while len(house.page.pictures) < 2 and time.monotonic() < began + 10:
            door.publish()
            await asyncio.sleep(0.02)
        assert len(house.page.pictures) == 2
        assert 1.5 < time.monotonic() - began < 6

    with_house(body)


def test_tiles_take_turns_and_keep_to_their_rates() -> None:
    async def body(house: House) -> None:
        names = list(house.cameras.by_id)
        house.page.draws = lambda index: True
        house.page.watch(*((name, 160, 2 if name == names[0] else 30) for name in names))
        began = time.monotonic()
        while time.monotonic() < began + 2:
            for camera in house.cameras:
                camera.publish(FakeFrame(camera.id, camera.published, body=b"\xff\xd8\xff"))
            await asyncio.sleep(0.05)
        counts = [len(house.page.frames_of(index)) for index in range(len(names))]
        assert 2 <= counts[0] <= 6, "two a second"
        assert min(counts[1:]) > 0.5 * max(counts[1:]), "nobody starves"
        for index in range(len(names)):
            frames = house.page.frames_of(index)
            assert frames == sorted(set(frames))

    with_house(body, *(f"cam{number}" for number in range(12)))


def test_a_slow_page_gets_new_pictures_not_old_ones() -> None:
    async def body(house: House) -> None:
        house.page.draws = lambda index: True
        house.page.watch(*((camera.id, 160, 30) for camera in house.cameras))
        await house.until(lambda: all(camera.frames.followers for camera in house.cameras))
        house.page.reads.clear()
        for number in range(1, 51):
            for camera in house.cameras:
                camera.publish(FakeFrame(camera.id, number, body=b"\xff\xd8\xff"))
            await asyncio.sleep(0.01)
        before = len(house.page.pictures)
        house.page.reads.set()
        await house.until(lambda: len(house.page.pictures) >= before + 4)
        late = [frame for _, frame, _ in house.page.pictures[before:]]
        assert sum(frame < 50 for frame in late) <= 1, "only the one that was on its way already is old"

    with_house(body, "a", "b", "c", "d")


def test_a_new_set_of_tiles_replaces_the_old_one() -> None:
    async def body(house: House) -> None:
        door, yard = house.cameras
        house.page.watch(("door", 480, 8), ("unknown", 480, 8))
        await house.until(lambda: door.frames.followers == 1)
        house.page.watch(("yard", 480, 8))
        await house.until(lambda: (door.frames.followers, yard.frames.followers) == (0, 1))
        house.page.watch()
        await house.until(lambda: yard.frames.followers == 0)

    with_house(body)


def test_small_tiles_follow_the_small_stream_while_there_is_one() -> None:
    async def body(house: House) -> None:
        door = house.cameras.by_id["door"]
        door.small = Channel()
        house.page.watch(("door", 480, 8))
        await house.until(lambda: (door.small.followers, door.frames.followers) == (1, 0))
        house.page.watch(("door", 960, 8))
        await house.until(lambda: (door.small.followers, door.frames.followers) == (0, 1))
        house.page.watch(("door", 480, 8))
        await house.until(lambda: (door.small.followers, door.frames.followers) == (1, 0))
        small, door.small = door.small, door.frames
        house.told.publish(notices.CamerasChanged((), (), ("door",), time.time()))
        await house.until(lambda: (small.followers, door.frames.followers) == (0, 1))

    with_house(body)


def test_cameras_that_come_and_go_are_numbered_anew() -> None:
    async def body(house: House) -> None:
        house.page.draws = lambda index: True
        house.page.watch(("door", 480, 30), ("yard", 480, 30), ("attic", 480, 30))
        old = house.cameras.by_id["yard"]
        await house.until(lambda: old.frames.followers == 1)
        new, attic = FakeCamera("yard", "Garden"), FakeCamera("attic")
        house.cameras.by_id = {"attic": attic, "yard": new}
        old.frames.close()
        house.told.publish(notices.CamerasChanged(("attic",), ("door",), ("yard",), time.time()))
        await house.until(lambda: len(house.page.of("cameras")) == 2)
        assert house.page.names() == ["attic", "yard"]
        await house.until(lambda: (old.frames.followers, new.frames.followers, attic.frames.followers) == (0, 1, 1))
        house.page.pictures.clear()
        new.publish()
        await house.until(lambda: house.page.pictures)
        assert house.page.pictures[0][:2] == (1, 1)

    with_house(body)


def test_changes_are_told_at_once_and_rates_each_second() -> None:
    async def body(house: House) -> None:
        await house.until(lambda: len(house.page.of("status")) >= 2)
        seen = len(house.page.texts)
        house.cameras.by_id["door"].state = "offline"
        house.cameras.by_id["door"].reason = "host unreachable"
        house.told.publish(notices.CameraState("door", "offline", "host unreachable", time.time()))
        await house.until(lambda: any("door" in t.get("cameras", {}) for t in house.page.texts[seen:]), 1)
        assert house.page.of("status")[-1]["cameras"]["door"]["reason"] == "host unreachable"
        boxes = [(0.1, 0.2, 0.3, 0.4)]
        house.seen["yard"] = SimpleNamespace(at=time.time(), moving=True, area=1.234, boxes=boxes)
        await house.until(lambda: house.page.of("status")[-1]["cameras"].get("yard", {}).get("moving"), 2)
        assert house.page.of("status")[-1]["cameras"]["yard"]["boxes"] == [[0.1, 0.2, 0.3, 0.4]]

    with_house(body)


@pytest.mark.parametrize(
    ("notice", "told"),
    [
        (notices.MotionStarted(7, "door", 12.5), {"type": "event", "what": "started", "event": 7, "at": 12500}),
        (notices.MotionEnded(7, "door", 13.0), {"type": "event", "what": "ended", "event": 7, "at": 13000}),
        (notices.EventDeleted(7, "door"), {"type": "event", "what": "deleted", "event": 7, "camera": "door"}),
        (notices.EventReviewed(7, "door", True), {"type": "event", "what": "reviewed", "event": 7, "camera": "door"}),
        (notices.ConfigRefused(("line 1",), 1.0), {"type": "config", "findings": ["line 1"]}),
        (notices.ConfigRefused((), 1.0), {"type": "config", "findings": []}),
    ],
)
def test_notices_are_passed_on(notice: notices.Notice, told: dict[str, Any]) -> None:
    async def body(house: House) -> None:
        await house.until(lambda: house.page.of("status"))
        house.told.publish(notice)
        await house.until(lambda: any(told.items() <= text.items() for text in house.page.texts))

    with_house(body)


GOOD = [
    ('{"type":"watch","tiles":[]}', Watch(())),
    ('{"type":"watch","tiles":[{"camera":"door","width":481,"fps":8}]}', Watch((Tile("door", 640, 8.0),))),
    ('{"type":"drawn","camera":"door","frame":4294967295}', Drawn("door", 2**32 - 1)),
    ('{"type":"drawn","camera":"door","frame":1,"later":"addition"}', Drawn("door", 1)),
]
BAD: list[str | bytes] = [
    *(b"{}", "", "{", "null", "[]", "1", '"watch"', "{}", '{"type":null}', '{"type":"shout"}', '{"type":["watch"]}'),
    *('{"type":"watch"}', '{"type":"watch","tiles":null}', '{"type":"watch","tiles":{}}'),
    *('{"type":"watch","tiles":[1]}', '{"type":"watch","tiles":[' + "{}," * 200 + "{}]}"),
    *('{"type":"drawn"}', '{"type":"drawn","camera":"a","frame":-1}', '{"type":"drawn","frame":NaN}'),
    *('{"type":"drawn","camera":"a","frame":4294967296}', '{"type":"drawn","camera":"a","frame":true}'),
    *('{"type":"drawn","camera":"a","frame":"1"}', '{"type":"drawn","camera":"","frame":1}'),
    *('{"type":"drawn","camera":7,"frame":1}', "[" * 9000, '{"a":' * 3000, "x" * 17000),
]
TILE = '{"type":"watch","tiles":[{"camera":"door","width":%s,"fps":%s}]}'
WIDTHS = ("15", "3841", "-1", "1e400", "NaN", "Infinity", '"480"', "null", "[480]", "true")
BAD += [TILE % (width, 8) for width in WIDTHS]
BAD += [TILE % (480, fps) for fps in ("0", "0.09", "31", "-8", "1e400", "NaN", "-Infinity", '"8"', "null", "true")]


@pytest.mark.parametrize(("text", "meaning"), GOOD)
def test_good_messages(text: str, meaning: Watch | Drawn) -> None:
    assert read_message(text) == meaning


@pytest.mark.parametrize("message", BAD, ids=lambda message: str(message)[:60])
def test_bad_messages(message: str | bytes) -> None:
    with pytest.raises(BadMessage):
        read_message(message)


def test_too_many_tiles_and_the_same_tile_twice() -> None:
    tile = {"camera": "door", "width": 480, "fps": 8}
    many = [{**tile, "camera": f"c{number}"} for number in range(129)]
    assert len(read_message(json.dumps({"type": "watch", "tiles": many[:128]})).tiles) == 128  # type: ignore[union-attr]
    with pytest.raises(BadMessage):
        read_message(json.dumps({"type": "watch", "tiles": many}))
    assert read_message(json.dumps({"type": "watch", "tiles": [tile, {**tile, "fps": 2}]})) == Watch(
        (Tile("door", 480, 2.0),)
    )


def test_mutated_messages_are_refused_or_understood_and_nothing_else() -> None:
    chance = random.Random(7)
    alphabet = '{}[]":,0123456789eE+-.truefalsn\\u\x00é '
    for _ in range(5000):
        text = list(chance.choice(GOOD)[0])
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(text))
            text[place : place + chance.randint(0, 2)] = chance.choices(alphabet, k=chance.randint(0, 3))
            text = text or [" "]
        with suppress(BadMessage):
            read_message("".join(text))


def test_a_bad_message_ends_this_wall() -> None:
    async def body(house: House) -> None:
        house.page.said.put_nowait('{"type":"shout"}')
        with pytest.raises(BadMessage):
            await asyncio.wait_for(asyncio.shield(house.wall), 5)

    with_house(body)


def test_a_page_that_goes_ends_the_wall_and_frees_its_cameras() -> None:
    async def body(house: House) -> None:
        door = house.cameras.by_id["door"]
        house.page.watch(("door", 480, 8))
        await house.until(lambda: door.frames.followers == 1)
        house.page.said.put_nowait(None)
        await asyncio.wait_for(house.wall, 5)
        assert door.frames.followers == 0

    with_house(body)


def test_who_does_not_take_what_is_told_must_begin_anew() -> None:
    async def body(house: House) -> None:
        await house.until(lambda: house.page.of("status"))
        house.page.reads.clear()
        for number in range(600):
            house.told.publish(notices.MotionStarted(number, "door", 1.0))
            if number % 50 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        house.page.reads.set()
        with pytest.raises(Overrun):
            await asyncio.wait_for(asyncio.shield(house.wall), 5)

    with_house(body)


def test_a_full_listener_says_so() -> None:
    async def body() -> None:
        listener = Listener(depth=2)
        for _ in range(2):
            listener.tell("x")
        assert not listener.overrun
        listener.tell("x")
        assert listener.overrun

    asyncio.run(body())


def test_what_the_detector_saw_long_ago_is_not_now() -> None:
    camera = FakeCamera("door")
    old = SimpleNamespace(at=100.0, moving=True, area=3.0, boxes=[(0, 0, 1, 1)])
    assert state(camera, old, 101.0)["moving"] is True
    assert state(camera, old, 103.0)["moving"] is False
    assert state(camera, old, 103.0)["boxes"] == []
    assert state(camera, None, 103.0)["moving"] is False


def test_only_what_people_notice_is_told_between_seconds() -> None:
    before = state(FakeCamera("door"), None, 0)
    assert not differs(before, {**before, "fps": 3, "age_ms": 90, "area": 1})
    assert differs(before, {**before, "state": "offline"})
    assert differs(before, {**before, "boxes": [[0, 0, 1, 1]]})
    assert differs(None, before)
