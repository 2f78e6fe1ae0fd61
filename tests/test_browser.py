"""What people see and do, in a real Chromium against the real server; cameras are fakes, rows and files are real."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dashboard import notices
from dashboard.live.audience import Audience
from dashboard.web.parts import Parts
from tests.browser import DESK, PHONE, Browser, Page, chromium
from tests.house import Store, house
from tests.serving import serving
from tests.web_fakes import FakeCamera, run_camera

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

NAMES = ("Front door", "Yard", "Garage", "Lobby", "Till", "Stairs", "Attic", "Shed")


PIXELS = """[...document.querySelectorAll('.wall .tile')]
    .map(t => [t.dataset.camera, t.querySelector('canvas').toDataURL('image/png')])"""
GREYED = """id => getComputedStyle(document.querySelector(`.tile[data-camera='${id}'] .picture`))
    .filter.includes('grayscale(1)')"""
TILE_IS = "([id, state]) => document.querySelector(`.tile[data-camera='${id}']`)?.classList.contains(state)"


@dataclass
class Site:
    """A running dashboard: `base` is its address; cameras can be stopped, added and taken away."""

    base: str
    parts: Parts
    store: Store
    cameras: list[FakeCamera]
    seen: dict[str, Any]
    findings: list[str]
    ended: list[threading.Event] = field(default_factory=list)

    def run(self, camera: FakeCamera) -> None:
        stop = threading.Event()
        self.ended.append(stop)
        run_camera(camera, stop)

    def replace(self, cameras: list[FakeCamera]) -> None:
        """What a reload of cameras.yaml does."""
        old, new = set(self.parts.cameras.by_id), {camera.id for camera in cameras}  # type: ignore[attr-defined]
        self.parts.cameras.by_id = {camera.id: camera for camera in cameras}  # type: ignore[attr-defined]
        self.parts.notices.publish(notices.CamerasChanged(tuple(new - old), tuple(old - new), (), time.time()))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@contextmanager
def site(folder: Path, cameras: list[FakeCamera]) -> Iterator[Site]:
    seen: dict[str, Any] = {}
    findings: list[str] = []
    changes = {"zone": ZoneInfo("Europe/Berlin"), "seen": seen.get, "config_findings": lambda: tuple(findings)}
    with house(folder, cameras, **changes) as (parts, store), serving(parts) as base:
        made = Site(base, parts, store, cameras, seen, findings)
        for camera in cameras:
            made.run(camera)
        try:
            yield made
        finally:
            for stop in made.ended:
                stop.set()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    """Eight cameras; the last one is offline."""
    cameras = [FakeCamera(name.lower().replace(" ", "-"), name) for name in NAMES]
    cameras[-1].state, cameras[-1].reason, cameras[-1].since = "offline", "host unreachable", time.time() - 60
    with site(tmp_path, cameras) as made:
        yield made


def until(page: Page, script: str, argument: Any = None) -> None:
    """Wait until `script` gives true on the page."""
    page.wait_for_function(script, arg=argument, timeout=20_000)


def pixels(page: Page) -> dict[str, str]:
    """What each tile of the wall shows, as a text that differs when the picture does."""
    return dict(page.evaluate(PIXELS))


def all_moving(page: Page, cameras: list[FakeCamera]) -> None:
    """Wait until every one of these tiles has shown two different pictures."""
    first, waiting, end = pixels(page), {camera.id for camera in cameras}, time.monotonic() + 20
    while waiting and time.monotonic() < end:
        now = pixels(page)
        waiting -= {camera for camera in waiting if now.get(camera) != first.get(camera)}
        time.sleep(0.1)
    assert not waiting


def test_wrong_and_right_password(browser: Browser, place: Site) -> None:
    with browser.page() as page:
        page.expect("401")
        page.goto(place.base + "/cameras/yard")
        assert page.url == place.base + "/login?next=/cameras/yard"
        page.shoot("login")
        page.fill("#username", "admin")
        page.fill("#password", "wrong")
        page.press("#password", "Enter")
        page.wait_for_selector("[role=alert]")
        assert page.input_value("#username") == "admin"
        assert page.evaluate("document.activeElement.id") == "password"
        page.shoot("login-wrong")
        page.fill("#password", "correct horse")
        page.press("#password", "Enter")
        page.wait_for_url(place.base + "/cameras/yard")


def test_many_tiles_move_over_one_socket(browser: Browser, place: Site) -> None:
    with browser.page() as page:
        page.sign_in(place.base)
        all_moving(page, place.cameras[:-1])
        assert len(page.sockets) <= 2
        order = page.evaluate("[...document.querySelectorAll('.wall .tile')].map(t => t.dataset.camera)")
        assert order == [camera.id for camera in place.cameras]
        assert page.overflow() == 0
        text = page.inner_text(".tile[data-camera=front-door]")
        assert re.search(r"Front door\s+live", text)
        assert re.search(r"\d fps\s+\d+\.\d s", text)
        assert page.inner_text("#sum-live").strip() == "7 live"
        page.shoot("wall")


def test_a_stale_tile_looks_stale_and_an_offline_one_says_why(browser: Browser, place: Site) -> None:
    frozen = place.cameras[1]
    with browser.page() as page:
        page.sign_in(place.base)
        all_moving(page, place.cameras[:-1])
        place.ended[1].set()
        until(page, TILE_IS, [frozen.id, "stale"])
        until(page, GREYED, frozen.id)
        counter = page.locator(".tile[data-camera=yard] .what")
        first = counter.inner_text()
        assert first.startswith("Stale for ")
        until(page, "first => document.querySelector(\".tile[data-camera='yard'] .what\").textContent !== first", first)
        assert page.evaluate(TILE_IS, ["garage", "live"])
        shed = page.inner_text(".tile[data-camera=shed]")
        assert re.search(r"Offline since (\w+ \d+ \w+ )?\d\d:\d\d:\d\d CES?T", shed)
        assert "host unreachable" in shed
        page.shoot("wall-stale")
        page.locator(".tile[data-camera=shed]").click()
        page.wait_for_url("**/cameras/shed")
        page.wait_for_selector(".tile.offline")
        assert page.locator("#history li").bounding_box()["height"] < 48  # one line, in the width there is
        page.shoot("offline")
        place.run(frozen)


def test_a_camera_that_goes_down_is_announced_and_loses_its_picture(browser: Browser, place: Site) -> None:
    camera = place.cameras[0]
    with browser.page() as page:
        page.sign_in(place.base)
        until(page, TILE_IS, [camera.id, "live"])
        camera.state, camera.reason, camera.since = "offline", "no answer within 5 s", time.time()
        place.parts.notices.publish(notices.CameraState(camera.id, "offline", camera.reason, time.time()))
        until(page, TILE_IS, [camera.id, "offline"])
        assert "Front door is offline" in page.text_content("#said")
        assert not page.is_visible(".tile[data-camera=front-door] canvas")
        camera.state, camera.reason = "live", ""
        place.parts.notices.publish(notices.CameraState(camera.id, "live", "", time.time()))
        until(page, TILE_IS, [camera.id, "live"])


def test_motion_is_shown_on_the_tile(browser: Browser, place: Site) -> None:
    with browser.page() as page:
        page.sign_in(place.base)
        until(page, TILE_IS, ["till", "live"])
        with repeating(lambda: place.seen.update(till=moving())):
            until(page, TILE_IS, ["till", "moving"])
            page.wait_for_selector(".tile[data-camera=till] .boxes rect", state="attached")
            assert page.is_visible(".tile[data-camera=till] .marker")
            page.shoot("wall-motion")
        place.seen.clear()
        until(page, "() => !document.querySelector('.tile.moving')")


def moving() -> SimpleNamespace:
    return SimpleNamespace(at=time.time(), moving=True, area=2.0, boxes=((0.2, 0.3, 0.1, 0.3),))


@contextmanager
def repeating(act: Callable[[], object]) -> Iterator[None]:
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.1):
            act()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)


def test_a_reload_adds_and_removes_tiles_without_a_new_page(browser: Browser, place: Site) -> None:
    with browser.page() as page:
        page.sign_in(place.base)
        until(page, TILE_IS, ["yard", "live"])
        page.evaluate("window.same = true")
        gate = FakeCamera("gate", "Gate")
        place.run(gate)
        place.replace([place.cameras[0], gate, *place.cameras[2:]])
        until(page, TILE_IS, ["gate", "live"])
        until(page, "() => !document.querySelector(\".tile[data-camera='yard']\")")
        order = page.evaluate("[...document.querySelectorAll('.wall .tile')].slice(0, 3).map(t => t.dataset.camera)")
        assert order == ["front-door", "gate", "garage"]
        all_moving(page, [place.cameras[0], gate, *place.cameras[2:-1]])
        place.replace([])
        page.wait_for_selector("#empty", state="visible")
        page.shoot("wall-empty")
        assert page.evaluate("window.same")
        place.replace(place.cameras)
        until(page, TILE_IS, ["yard", "live"])


def test_a_broken_file_is_told_and_mended_without_a_new_page(browser: Browser, place: Site) -> None:
    with browser.page() as page:
        page.sign_in(place.base)
        until(page, TILE_IS, ["yard", "live"])
        place.findings[:] = ["cameras.yaml:7: camera 'yard': unknown key 'fsp' (did you mean 'fps'?)"]
        place.parts.notices.publish(notices.ConfigRefused(tuple(place.findings), time.time()))
        page.wait_for_selector("#banner-config li")
        assert "cameras.yaml:7" in page.inner_text("#banner-config")
        page.shoot("wall-findings")
        place.findings.clear()
        place.parts.notices.publish(notices.ConfigRefused((), time.time()))
        page.wait_for_selector("#banner-config", state="hidden")


def test_a_login_that_ends_closes_the_wall(browser: Browser, place: Site) -> None:
    with browser.page() as page:
        page.expect("401")
        page.sign_in(place.base)
        until(page, TILE_IS, ["yard", "live"])
        place.parts.sessions.end_all_of(1)
        page.wait_for_url("**/login?next=%2F")


def test_review_with_the_keyboard(browser: Browser, place: Site) -> None:
    made = [place.store.event("yard", time.time() - 600 * number) for number in range(1, 5)]
    with browser.page() as page:
        page.sign_in(place.base, path="/events")
        cards = page.locator(".event")
        assert cards.count() == 4
        page.keyboard.press("j")
        page.keyboard.press("j")
        second = made[1]
        assert page.evaluate("document.activeElement.closest('.event').dataset.event") == str(second)
        page.keyboard.press("r")
        page.wait_for_selector(f".event.reviewed[data-event='{second}']")
        page.wait_for_selector(".toast >> text=Undo")
        page.shoot("events")
        wait(lambda: place.store.events.get(second).reviewed_by == "admin")
        page.keyboard.press("r")
        wait(lambda: not place.store.events.get(second).reviewed)
        page.keyboard.press("Delete")
        page.wait_for_selector("#delete[open]")
        page.shoot("events-delete")
        page.keyboard.press("Enter")  # the first button keeps it
        page.wait_for_selector("#delete[open]", state="detached")
        assert place.store.events.get(second)
        page.keyboard.press("Delete")
        page.wait_for_selector("#delete[open]")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector(f".event[data-event='{second}']", state="detached")
        wait(lambda: not place.store.events.page().events[1:] or second not in ids(place))
        assert page.evaluate("document.activeElement.closest('.event')?.dataset.event") == str(made[2])
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/events/{made[2]}")
        page.wait_for_selector(".shot img")
        page.shoot("event")
        page.keyboard.press("1")
        page.wait_for_url("**picture=before")
        page.keyboard.press("b")
        page.wait_for_selector(".story.nobox")
        page.keyboard.press("b")
        page.keyboard.press("j")
        page.wait_for_url(f"**/events/{made[3]}")
        page.keyboard.press("k")
        page.wait_for_url(f"**/events/{made[2]}")
        page.keyboard.press("Escape")
        page.wait_for_url("**/events")
        page.wait_for_function(f"() => document.activeElement?.closest('.event')?.dataset.event === '{made[2]}'")
        page.keyboard.press("Shift+R")
        wait(lambda: all(event.reviewed for event in place.store.events.page().events))
        page.click(".toast >> text=Undo")
        wait(lambda: not any(event.reviewed for event in place.store.events.page().events))


def ids(place: Site) -> list[int]:
    return [event.id for event in place.store.events.page().events]


def wait(true: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_viewer_may_mark_but_not_delete(browser: Browser, place: Site) -> None:
    number = place.store.event("yard")
    with browser.page() as page:
        page.sign_in(place.base, "viewer", "battery staple", "/events")
        page.keyboard.press("j")
        page.keyboard.press("Delete")
        page.wait_for_selector(".toast.bad")
        page.click(".event .tick")
        wait(lambda: place.store.events.get(number).reviewed_by == "viewer")


def test_a_new_event_appears_by_itself(browser: Browser, place: Site) -> None:
    place.store.event("yard", time.time() - 900)
    with browser.page() as page:
        page.sign_in(place.base, path="/events")
        assert page.locator(".event").count() == 1
        wait(lambda: len(page.sockets) == 1)
        time.sleep(0.5)
        number = place.store.event("garage", time.time(), None)
        page.wait_for_selector(f".event[data-event='{number}'] .badge.now")
        page.set_viewport_size({"width": 500, "height": 320})
        page.evaluate("scrollTo(0, 400)")
        second = place.store.event("till")
        page.wait_for_selector(".pill button", state="visible")
        assert page.inner_text(".pill").strip() == "1 new event"
        page.click(".pill button")
        page.wait_for_selector(f".event[data-event='{second}']")


def test_a_phone_needs_no_sideways_scrolling(browser: Browser, place: Site) -> None:
    for number in range(6):
        last = place.store.event("yard", time.time() - 3000 * number)
    paths = {
        "wall": "/",
        "camera": "/cameras/yard",
        "events": "/events",
        "event": f"/events/{last}",
        "account": "/account",
    }
    with browser.page(PHONE) as page:
        page.goto(place.base + "/login")
        assert page.overflow() == 0
        page.sign_in(place.base)
        for name, path in paths.items():
            page.goto(place.base + path)
            page.wait_for_load_state("networkidle" if "e" in name and name != "camera" else "load")
            assert page.overflow() == 0, path
            small = page.evaluate(SMALL)
            assert small == [], path
            if name in {"wall", "camera"}:
                page.wait_for_selector(".tile.live[data-camera=yard]")
            page.shoot(f"phone-{name}")


SMALL = """[...document.querySelectorAll('main button, main a, nav a, main input, main select, summary')]
    .filter(e => e.checkVisibility() && !e.closest('.skip, .hush, p, dd, .row, details.more ul, .hours'))
    .map(e => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
    .filter(([, r]) => r.width && (r.height < 40 || r.width < 36)).map(([t, r]) => `${r.width}x${r.height} ${t}`)"""


def test_keyboard_alone_from_login_to_events(browser: Browser, place: Site) -> None:
    place.store.event("yard")
    with browser.page() as page:
        page.goto(place.base + "/login")
        until(page, "() => document.activeElement?.id === 'username'")
        page.keyboard.type("admin")
        page.keyboard.press("Tab")
        page.keyboard.type("correct horse")
        page.keyboard.press("Enter")
        page.wait_for_url(place.base + "/")
        until(page, TILE_IS, ["yard", "live"])
        for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "End", "Home", "ArrowRight"):
            page.keyboard.press(key)
        assert page.evaluate("document.activeElement.dataset.camera") == "yard"
        page.keyboard.press("Enter")
        page.wait_for_url("**/cameras/yard")
        page.keyboard.press("ArrowRight")
        page.wait_for_url("**/cameras/garage")
        page.keyboard.press("ArrowLeft")
        page.wait_for_url("**/cameras/yard")
        page.wait_for_selector(".tile.live")
        page.shoot("camera")
        page.keyboard.press("?")
        page.wait_for_selector("#keys[open]")
        page.keyboard.press("Escape")
        page.keyboard.press("e")
        page.wait_for_url("**/events?camera=yard")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url("**/events/1?camera=yard")


def test_names_never_run(browser: Browser, tmp_path: Path) -> None:
    payload = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    cameras = [FakeCamera("door", payload, "offline", payload), FakeCamera("yard", payload)]
    with site(tmp_path, cameras) as place, browser.page() as page:
        number = place.store.event("door")
        page.sign_in(place.base)
        page.wait_for_selector(".tile.live")
        place.parts.notices.publish(notices.ConfigRefused((payload,), time.time()))
        gate = FakeCamera("gate", payload, "stalled", payload)
        place.replace([*cameras, gate])
        page.wait_for_selector(".tile[data-camera=gate]")
        assert page.inner_text(".tile[data-camera=gate] .name") == payload
        for path in ("/cameras/door", "/cameras/yard", "/events", f"/events/{number}"):
            page.goto(place.base + path)
            page.wait_for_timeout(300)
        page.keyboard.press("?")
        assert page.locator("img[src=x]").count() == 0


def test_the_connection_comes_back(browser: Browser, tmp_path: Path) -> None:
    camera = FakeCamera("door")
    with browser.page() as page, house(tmp_path, [camera]) as (parts, _):
        page.expect("WebSocket")
        page.expect("ERR_CONN")
        stop = threading.Event()
        run_camera(camera, stop)
        try:
            with serving(parts) as base:
                page.sign_in(base)
                page.wait_for_selector(".tile.live")
            page.wait_for_selector("#banner-lost", state="visible")
            page.wait_for_selector(".tile.stale")
            page.shoot("lost")
            with serving(replace(parts, audience=Audience()), port=int(base.rsplit(":", 1)[1])):
                page.wait_for_selector("#banner-lost", state="hidden")
                page.wait_for_selector(".tile.live")
        finally:
            stop.set()


def test_without_scripts_the_review_works(browser: Browser, place: Site) -> None:
    number = place.store.event("yard")
    with browser.page(DESK, java_script_enabled=False) as page:
        page.sign_in(place.base, path="/events")
        page.click(".event a")
        page.wait_for_url(f"**/events/{number}")
        page.click(".strip a >> nth=0")
        page.wait_for_url("**picture=before")
