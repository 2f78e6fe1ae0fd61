"""The first ten minutes of a newcomer, in one go: the real server, the shipped cameras.yaml, a real browser.

With `DASHBOARD_SCREENSHOTS` it leaves the picture of the wall that the README shows.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.browser import Page, chromium
from tests.conftest import ROOT
from tests.process import Dashboard, Running
from tests.servers.clips import ClipMaker
from tests.web_client import until

SCENES = ("courtyard", "corridor", "parking")
MOVES = """name => {
    const tile = document.querySelector(`.tile[data-camera=${name}]`);
    const picture = tile?.querySelector('video.on') ?? tile?.querySelector('canvas');
    if (!picture) return '';
    const copy = Object.assign(document.createElement('canvas'), {width: 320, height: 180});
    copy.getContext('2d').drawImage(picture, 0, 0, 320, 180);
    return copy.toDataURL('image/jpeg');
}"""

LOADED = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"


def tiles_move(page: Page, names: tuple[str, ...]) -> bool:
    """Whether each of these tiles shows another picture a moment later."""
    before = {name: page.evaluate(MOVES, name) for name in names}
    time.sleep(1.0)
    return all(page.evaluate(MOVES, name) not in ("", before[name]) for name in names)


def edit(server: Running, old: str, new: str) -> None:
    text = server.home.config.read_text("utf-8")
    assert old in text
    server.home.config.write_text(text.replace(old, new), "utf-8")


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_from_the_first_start_to_the_stop(tmp_path: Path, make_clip: ClipMaker) -> None:
    home = Dashboard(tmp_path / "home", (ROOT / "cameras.yaml").read_text("utf-8"))
    with chromium() as browser, home.running(within=180) as server:
        assert "Drawing the demonstration scenes" in server.logged
        assert server.first_login, "the first login is printed"
        with browser.page((1280, 720)) as page:
            sign_in_and_watch(page, server)
            walk_through_an_event(page, server)
            add_break_and_mend(page, server, make_clip().path)
        assert server.stop(signal.SIGINT)[0] == 0
    with home.running(within=60) as again:
        assert again.first_login is None
        assert "Drawing" not in again.logged
        assert home.command("check").returncode == 0


def sign_in_and_watch(page: Page, server: Running) -> None:
    assert server.first_login
    page.sign_in(f"http://127.0.0.1:{server.port}", *server.first_login)
    assert until(lambda: page.locator(".tile.live").count() == 3, 60)
    assert tiles_move(page, SCENES)
    page.wait_for_selector(".tile .marker:not([hidden])", timeout=60_000)
    page.shoot("wall")
    assert len(page.sockets) == 1


def walk_through_an_event(page: Page, server: Running) -> None:
    page.goto(f"http://127.0.0.1:{server.port}/events")
    page.wait_for_selector(".event", timeout=60_000)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/events/*")
    assert until(lambda: page.evaluate(LOADED), 20)
    page.shoot("event")
    page.keyboard.press("r")
    page.goto(f"http://127.0.0.1:{server.port}/events?reviewed=yes")
    page.wait_for_selector(".event.reviewed")


def add_break_and_mend(page: Page, server: Running, clip: Path) -> None:
    page.goto(f"http://127.0.0.1:{server.port}/")
    edit(server, "  - id: courtyard\n", f"  - id: mine\n    replay: {clip}\n\n  - id: courtyard\n")
    page.wait_for_selector(".tile.live[data-camera=mine]", timeout=30_000)
    edit(server, "replay: demo:corridor", "reply: demo:corridor")
    assert until(lambda: "did you mean 'replay'?" in page.inner_text("body"), 30)
    assert tiles_move(page, ("corridor", "mine"))
    edit(server, "reply: demo:corridor", "replay: demo:corridor")
    assert until(lambda: "did you mean" not in page.inner_text("body"), 30)
