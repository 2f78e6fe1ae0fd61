"""The dashboard on a home screen: what a browser needs to put it there, and that a thumb can use it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser import PHONE, Browser, Page, chromium
from tests.conftest import ROOT
from tests.house import Store, house
from tests.serving import serving
from tests.web_client import Browser as Client
from tests.web_fakes import FakeCamera

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

ON_ITS_SIDE = (844, 390)
NAMES = ("Front door", "Yard", "Garage", "Lobby", "Till", "Stairs")
PATHS = ("/", "/cameras/yard", "/events", "/events/1", "/account", "/login")
SMALL = """() => [...document.querySelectorAll(
        'button, .button, summary, select, input, .places a, .mark, .row > .link, .tile, .event > a')]
    .filter(e => e.checkVisibility() && !e.closest('.hush, .skip'))
    .map(e => [e.outerHTML.slice(0, 90), (e.closest('label') ?? e).getBoundingClientRect()])
    .filter(([, r]) => r.width < 44 || r.height < 44).map(([text, r]) => `${r.width} x ${r.height}: ${text}`)"""
COLUMNS = "() => getComputedStyle(document.querySelector('.wall')).gridTemplateColumns.split(' ').length"
SIZE = """address => new Promise((done, failed) => {
    const image = new Image();
    image.onload = () => done([image.naturalWidth, image.naturalHeight]);
    image.onerror = () => failed(new Error(address));
    image.src = address;
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    """The address of six cameras with some events, and their store."""
    folder: Path = tmp_path_factory.mktemp("house")
    cameras = [FakeCamera(name.lower().replace(" ", "-"), name) for name in NAMES]
    with house(folder, cameras) as (parts, store), serving(parts) as base:
        for number in range(3):
            store.event("yard", time.time() - 3000 * number - 20)
        yield base, store


@contextmanager
def phone(browser: Browser, size: tuple[int, int]) -> Iterator[Page]:
    """A page on a phone, held upright or on its side."""
    held: dict[str, Any] = {} if size == PHONE else {"is_mobile": True, "has_touch": True, "device_scale_factor": 2}
    with browser.page(size, **held) as page:
        yield page


def test_the_browser_finds_no_fault_in_the_manifest(browser: Browser, place: tuple[str, Store]) -> None:
    with browser.page() as page:
        page.goto(place[0] + "/login")
        found = page.context.new_cdp_session(page.real).send("Page.getAppManifest")
        assert found["errors"] == []
        assert found["url"] == place[0] + "/static/manifest.webmanifest"
        manifest = json.loads(found["data"])
        assert (manifest["start_url"], manifest["scope"], manifest["display"]) == ("/", "/", "standalone")
        assert [shortcut["url"] for shortcut in manifest["shortcuts"]] == ["/", "/events"]
        for icon in manifest["icons"]:
            side = int(icon["sizes"].split("x")[0])
            assert page.evaluate(SIZE, "/static/" + icon["src"]) == [side, side]
        apple = page.get_attribute("link[rel=apple-touch-icon]", "href")
        assert page.evaluate(SIZE, apple) == [180, 180]
        colour = page.get_attribute("meta[name=theme-color]", "content")
        assert manifest["theme_color"] == manifest["background_color"] == colour


def test_the_manifest_is_public_and_named_as_what_it_is(place: tuple[str, Store]) -> None:
    client = Client(int(place[0].rsplit(":", 1)[1]))
    answer = client.get("/static/manifest.webmanifest")
    assert answer.status == 200
    assert answer.headers["content-type"].split(";")[0] == "application/manifest+json"
    assert answer.body == (ROOT / "static/manifest.webmanifest").read_bytes()


@pytest.mark.parametrize("size", [PHONE, ON_ITS_SIDE], ids=["upright", "on its side"])
def test_a_thumb_reaches_everything(browser: Browser, place: tuple[str, Store], size: tuple[int, int]) -> None:
    with phone(browser, size) as page:
        page.sign_in(place[0])
        for path in PATHS:
            page.goto(place[0] + path)
            assert page.overflow() <= 0, path
            assert page.evaluate(SMALL) == [], path
            page.shoot(f"install-{size[0]}-{path.strip('/').replace('/', '-') or 'wall'}")
        page.goto(place[0] + "/")
        page.locator(".menu summary").click()
        assert page.evaluate(SMALL) == [], "the menu"
        page.shoot(f"install-{size[0]}-menu")
        if size == ON_ITS_SIDE:  # upright there is no room for a keyboard, so none is offered
            page.locator("[data-do=keys]").click()
            assert page.evaluate(SMALL) == [], "the list of keys"


@pytest.mark.parametrize(("size", "columns"), [(PHONE, 1), (ON_ITS_SIDE, 2)], ids=["upright", "on its side"])
def test_the_columns_of_the_wall(
    browser: Browser, place: tuple[str, Store], size: tuple[int, int], columns: int
) -> None:
    with phone(browser, size) as page:
        page.sign_in(place[0])
        page.wait_for_function(f"count => ({COLUMNS})() === count", arg=columns)
        width = page.evaluate("() => document.querySelector('.tile').getBoundingClientRect().width")
        assert width >= 0.7 * size[0] / columns


def test_full_screen_on_its_side_says_which_camera_it_is(browser: Browser, place: tuple[str, Store]) -> None:
    with phone(browser, ON_ITS_SIDE) as page:
        page.sign_in(place[0], path="/cameras/yard")
        page.locator("[data-do=full]").click()
        page.wait_for_function("() => document.fullscreenElement")
        assert page.locator(".tile .name").is_visible()
        assert page.locator(".tile .name").inner_text() == "Yard"
        page.shoot("install-844-full")
