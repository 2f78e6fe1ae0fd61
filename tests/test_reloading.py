"""cameras.yaml is edited while the real process runs: only what changed is touched, and a mistake stops nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.process import Dashboard, Running, read_picture, socket_of, states, stats, wait_for
from tests.servers.clips import ClipMaker
from tests.servers.rtsp import RtspServer
from tests.web_client import Browser, read_until_closed

SOON = 15.0
"""Seconds for what takes two or three on an idle machine."""


@pytest.fixture(scope="module")
def cameras(make_clip: ClipMaker) -> Iterator[tuple[RtspServer, RtspServer]]:
    with RtspServer(make_clip()) as steady, RtspServer(make_clip()) as other:
        yield steady, other


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, cameras: tuple[RtspServer, RtspServer]) -> Iterator[Running]:
    home = Dashboard(tmp_path_factory.mktemp("reloading") / "home")
    with home.running() as server:
        yield server
        assert server.stop()[0] == 0
        assert "Traceback" not in server.logged


class Steady:
    """The camera that nobody edits: it must not miss a picture, nor be opened a second time."""

    def __init__(self, browser: Browser, camera: RtspServer) -> None:
        self.browser, self.camera = browser, camera
        self.sent, self.decoded = camera.frames, self._decoded()

    def _decoded(self) -> int:
        decoded: int = stats(self.browser)["cameras"]["steady"]["decoded_frames"]
        return decoded

    def missed(self) -> int:
        """Pictures that were sent and not decoded; some are under way."""
        sent = self.camera.frames - self.sent
        return sent - (self._decoded() - self.decoded)


def _findings(browser: Browser) -> list[str]:
    """What a wall is told about cameras.yaml when it opens: behind the first status, or nothing."""
    statuses = 0
    with socket_of(browser) as wall:
        while statuses < 2:
            message = json.loads(wall.recv(5))
            statuses += message["type"] == "status"
            if message["type"] == "config":
                findings: list[str] = message["findings"]
                return findings
    return []


def _name(browser: Browser, camera: str) -> str:
    name: str = json.loads(browser.get(f"/api/cameras/{camera}").body)["name"]
    return name


def test_a_life_of_edits(server: Running, cameras: tuple[RtspServer, RtspServer]) -> None:
    home, browser = server.home, server.browser()
    steady, other = cameras
    one: dict[str, Any] = {"id": "steady", "url": steady.url}
    two: dict[str, Any] = {"id": "other", "url": other.url, "name": "Before"}

    home.declare([one])
    wait_for(lambda: states(browser) == {"steady": "live"}, SOON, "the first camera")
    watch = Steady(browser, steady)
    with closing(browser.stream("/video_feed/steady")) as feed:
        read_picture(feed)

        home.declare([one, two])  # added
        wait_for(lambda: states(browser) == {"steady": "live", "other": "live"}, SOON, "one is added")
        assert _name(browser, "other") == "Before"

        plays = other.plays
        home.declare([one, {**two, "name": "After", "motion": {"threshold": 40}}])  # adjusted: no new connection
        wait_for(lambda: _name(browser, "other") == "After", SOON, "a name is changed")
        assert other.plays == plays

        moved = {**two, "url": other.url + "2", "name": "After"}
        home.declare([one, moved])  # changed: opened anew
        wait_for(lambda: other.plays > plays, SOON, "another address is opened")
        wait_for(lambda: states(browser)["other"] == "live", SOON, "it is live")

        home.declare(f"cameras:\n  - id: steady\n    url: {steady.url}\n    fsp: 5\n  - id: ../x\n    device: 0\n")
        wait_for(lambda: "fsp" in browser.get("/").text, SOON, "the page says what is wrong")
        findings = _findings(browser)
        assert len(findings) == 2
        assert all(word in findings[0] for word in ("cameras.yaml", "fsp", "steady", "4")), findings
        assert states(browser) == {"steady": "live", "other": "live"}
        assert browser.get("/healthz").status == 200

        home.config.unlink()
        wait_for(lambda: "the file is gone" in browser.get("/").text, SOON, "the page says that it is gone")
        assert states(browser) == {"steady": "live", "other": "live"}

        with closing(browser.stream("/video_feed/other")) as leaving:
            read_picture(leaving)
            home.declare([one])  # mended and removed
            wait_for(lambda: states(browser) == {"steady": "live"}, SOON, "one is removed")
            assert read_until_closed(leaving, SOON)
        wait_for(lambda: _findings(browser) == [], SOON, "nothing is wrong any more")
        assert "fsp" not in browser.get("/").text
        assert browser.get("/video_feed/other").status == 404
        assert browser.get("/cameras/other").status == 404
        read_picture(feed)

    assert steady.plays == 1
    assert stats(browser)["cameras"]["steady"]["reconnects"] == 0
    assert abs(watch.missed()) <= 5
    assert "cameras.yaml was read again" in server.logged


def test_secrets_may_come_later(server: Running, cameras: tuple[RtspServer, RtspServer]) -> None:
    """A new cameras.env is as good as a new cameras.yaml, and what stands in it is hidden at once."""
    home, browser = server.home, server.browser()
    camera = {"id": "steady", "url": cameras[0].url, "username": "u", "password": "${LATER}"}
    home.declare([camera])
    wait_for(lambda: "LATER" in browser.get("/").text, SOON, "the page misses a value")
    env = home.folder / "cameras.env"
    env.write_text("LATER=came-after-all\n")
    env.chmod(0o600)
    wait_for(lambda: "LATER" not in browser.get("/").text, SOON, "the value is there")
    wait_for(lambda: states(browser)["steady"] == "live", SOON, "the camera is live again")
    assert "came-after-all" not in server.logged + browser.get("/").text
