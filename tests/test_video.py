"""A camera's own video, untouched: over the wall into a real Chromium, and as an endless MP4 into ffmpeg."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.browser import PHONE, Browser, Page, chromium
from tests.process import Dashboard, Running
from tests.servers.clips import ClipMaker
from tests.servers.rtsp import RtspServer
from tests.web_client import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SHOWN = """id => {
    const tile = document.querySelector(`.tile[data-camera='${id}']`);
    const video = tile.querySelector('video.on');
    return {state: tile.className, title: tile.title, time: video ? video.currentTime : -1,
            age: tile.querySelector('.age').textContent, width: video ? video.videoWidth : 0};
}"""
LIT = """id => {
    const tile = document.querySelector(`.tile[data-camera='${id}']`);
    const small = document.createElement('canvas');
    small.width = small.height = 8;
    const context = small.getContext('2d');
    context.drawImage(tile.querySelector('video.on') ?? tile.querySelector('canvas'), 0, 0, 8, 8);
    return context.getImageData(0, 0, 8, 8).data.reduce((sum, value) => sum + value, 0);
}"""


@dataclass
class Site:
    server: Running
    cameras: dict[str, RtspServer]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def stats(self) -> dict[str, Any]:
        cameras: dict[str, Any] = json.loads(self.server.browser().get("/api/stats").text)["cameras"]
        return cameras

    def watch(self, page: Page, path: str = "/") -> None:
        page.sign_in(self.base, "admin", self.server.home.passwords["admin"], path=path)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, make_clip: ClipMaker) -> Iterator[Site]:
    """An H.264 camera, one with B-frames, one that sends JPEGs; nobody looks for motion."""
    clips = {
        "door": make_clip("h264", (640, 360), fps=10, gop=10),
        "yard": make_clip("h264", (640, 360), fps=10, gop=20, b_frames=2),
        "till": make_clip("mjpeg", (320, 240), fps=10),
    }
    servers = {name: RtspServer(clip) for name, clip in clips.items()}
    for server in servers.values():
        server.__enter__()
    try:
        home = Dashboard(
            tmp_path_factory.mktemp("video"),
            [{"id": name, "url": server.url, "motion": {"enabled": False}} for name, server in servers.items()],
        )
        home.add_users("admin", role="admin")
        with home.running() as running:
            yield Site(running, servers)
    finally:
        for server in servers.values():
            server.__exit__(None, None, None)


def shown(page: Page, camera: str) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(SHOWN, camera)
    return found


def plays(page: Page, camera: str) -> bool:
    """Whether the tile's video goes on."""
    before = shown(page, camera)["time"]
    page.wait_for_timeout(400)
    now = shown(page, camera)
    return before >= 0 and now["time"] > before and " live" in now["state"]


def test_h264_plays_as_it_comes_and_nothing_is_decoded_or_encoded(site: Site, browser: Browser) -> None:
    with browser.page() as page:
        site.watch(page)
        for camera in ("door", "yard"):
            assert until(lambda camera=camera: plays(page, camera), seconds=20)  # type: ignore[misc]
            assert "H.264" in shown(page, camera)["title"]
            assert shown(page, camera)["width"] == 640
            assert page.evaluate(LIT, camera) > 64 * 255 + 1000, "more than black"
        assert until(lambda: shown(page, "till")["title"] == "JPEG", seconds=10)
        page.wait_for_timeout(1500)
        ages = [float(shown(page, camera)["age"].split()[0]) for camera in ("door", "yard")]
        assert max(ages) < 1.0, "at the live edge"
        stats = site.stats()
        assert [stats[camera]["decoded_frames"] for camera in ("door", "yard")] == [0, 0]
        assert [stats[camera]["encoded_jpegs"] for camera in ("door", "yard")] == [0, 0]
        page.shoot("video-wall")


def test_a_frozen_camera_is_marked_alone_and_comes_back(site: Site, browser: Browser) -> None:
    with browser.page() as page:
        site.watch(page)
        assert until(lambda: plays(page, "door") and plays(page, "yard"), seconds=20)
        try:
            site.cameras["door"].stall()
            froze = time.monotonic()
            assert until(lambda: any(word in shown(page, "door")["state"] for word in ("stale", "stalled")), seconds=6)
            assert time.monotonic() - froze < 4
            assert until(lambda: plays(page, "yard"), seconds=5)
            assert "stal" in shown(page, "door")["state"]
        finally:
            site.cameras["door"].resume()
        assert until(lambda: plays(page, "door"), seconds=30)


def test_a_page_that_opens_is_not_told_to_be_slow(site: Site, browser: Browser) -> None:
    """The pictures since the last key frame come in one burst, and only the newest is of now."""
    with browser.page() as page:
        site.watch(page, "/cameras/yard")
        for opened in range(4):
            page.wait_for_timeout(450 * opened)  # at different places between key frames
            page.reload()
            assert until(lambda: shown(page, "yard")["time"] >= 0, seconds=20)
            page.wait_for_timeout(300)
            for _ in range(15):
                assert " live" in shown(page, "yard")["state"], shown(page, "yard")
                page.wait_for_timeout(100)


def test_another_size_goes_on_without_a_new_page(site: Site, browser: Browser, make_clip: ClipMaker) -> None:
    with browser.page() as page:
        site.watch(page, "/cameras/door")
        assert until(lambda: plays(page, "door"), seconds=20)
        camera = site.cameras["door"]
        first = make_clip("h264", (640, 360), fps=10, gop=10)
        try:
            camera.show(make_clip("h264", (320, 240), fps=10, gop=10))
            assert until(lambda: shown(page, "door")["width"] == 320 and plays(page, "door"), seconds=20)
        finally:
            camera.show(first)
        assert until(lambda: shown(page, "door")["width"] == 640 and plays(page, "door"), seconds=20)


def test_save_data_takes_small_jpegs_and_gives_the_video_back(site: Site, browser: Browser) -> None:
    with browser.page(PHONE) as page:
        site.watch(page)
        assert until(lambda: plays(page, "door"), seconds=20)
        page.click("#traffic")
        assert until(lambda: shown(page, "door")["title"] == "JPEG", seconds=10)
        assert page.get_attribute("#traffic", "aria-pressed") == "true"
        assert page.overflow() == 0
        page.click("#traffic")
        assert until(lambda: plays(page, "door"), seconds=10)


def test_a_browser_that_fails_to_play_gets_pictures_and_says_why(site: Site, browser: Browser) -> None:
    with browser.page() as page:
        page.add_init_script("SourceBuffer.prototype.appendBuffer = () => { throw new Error('no room'); };")
        site.watch(page, "/cameras/door")
        assert until(lambda: shown(page, "door")["title"] == "JPEG (no room)", seconds=20)
        assert until(lambda: " live" in shown(page, "door")["state"], seconds=5)


def test_mp4_is_read_by_ffmpeg_and_refused_where_there_is_none(site: Site) -> None:
    client = site.server.browser()
    cookie = f"Cookie: {'; '.join(f'{name}={value}' for name, value in client.cookies.items())}\r\n"
    for camera in ("door", "yard"):
        read = subprocess.run(
            ["ffprobe", "-v", "error", "-headers", cookie, "-read_intervals", "%+#15", "-count_frames",
             "-show_entries", "stream=codec_name,width,nb_read_frames", "-of", "json",
             f"{site.base}/live/{camera}.mp4"],
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        stream = json.loads(read.stdout)["streams"][0]
        assert stream["codec_name"] == "h264"
        assert stream["width"] == 640
        assert int(stream["nb_read_frames"]) >= 10
    made = client.post("/account/tokens", label="player", camera="yard", term="7", csrf_token=client.csrf())
    address = re.search(r"http://[^\s<]+/live/yard\.mp4\?token=cdt_[\w-]+", made.text)
    assert address, made.text[:2000]
    played = ["ffmpeg", "-v", "error", "-i", address[0], "-frames:v", "10", "-f", "null", "-"]
    subprocess.run(played, capture_output=True, timeout=30, check=True)
    refused = client.get("/live/till.mp4")
    assert refused.status == 406
    assert "/video_feed/till" in refused.text
    assert client.get("/live/nobody.mp4").status == 404
