"""Zooming into one camera's picture and taking it out of the page, in a real Chromium with wheel, mouse and fingers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.browser import DESK, PHONE, Browser, Page, chromium
from tests.test_browser import Site, site, until
from tests.web_fakes import FakeCamera

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

# Where the layers of the picture lie, in widths and heights of the tile, once they have come to rest.
LAYERS = """() => {
    const tile = document.querySelector('.tile').getBoundingClientRect();
    document.querySelector('.tile').getAnimations({ subtree: true }).forEach(moving => moving.finish());
    return [...document.querySelectorAll('.tile :is(.picture, .boxes, .video)')].map(layer => {
        const at = layer.getBoundingClientRect();
        return [at.width / tile.width, (at.left - tile.left) / tile.width, (at.top - tile.top) / tile.height];
    });
}"""
# A video beside the canvas, as another way of showing the camera would add it.
VIDEO = """() => {
    const video = Object.assign(document.createElement('video'), { className: 'video' });
    video.style.cssText = 'position: absolute; inset: 0; width: 100%; height: 100%';
    document.querySelector('.tile .picture').after(video);
}"""
CALLS = "async calls => { const m = await import('/static/zoom.js'); return calls.map(([f, ...a]) => m[f](...a)); }"
WHOLE = {"scale": 1, "x": 0, "y": 0}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    cameras = [FakeCamera("yard"), FakeCamera("garage"), FakeCamera("shed", "", "offline", "host unreachable")]
    with site(tmp_path_factory.mktemp("zoom"), cameras) as made:
        yield made


def watch(page: Page, place: Site, camera: str = "yard") -> dict[str, float]:
    """Open the page of a camera and wait for its picture; gives the box of the tile."""
    page.sign_in(place.base, path=f"/cameras/{camera}")
    until(page, "() => document.querySelector('.tile.live canvas')?.width > 16")
    return dict(page.locator(".tile").bounding_box())


def layers(page: Page) -> tuple[float, float, float]:
    """Scale and place of the picture, after a look that all its layers lie at the same place."""
    found = page.evaluate(LAYERS)
    assert all(layer == pytest.approx(found[0], abs=0.01) for layer in found), found
    return tuple(found[0])


def pill(page: Page) -> str:
    return str(page.inner_text(".zoom output")) if page.is_visible(".zoom") else ""


def middle(box: dict[str, float], x: float = 0.5, y: float = 0.5) -> tuple[float, float]:
    return box["x"] + box["width"] * x, box["y"] + box["height"] * y


def test_places_are_numbers_and_stay_within_the_picture(browser: Browser, place: Site) -> None:
    near = {"scale": 2, "x": -0.5, "y": -0.5}
    table: list[tuple[list[Any], object]] = [
        (["zoomed", WHOLE, 2, 0.5, 0.5], near),
        (["zoomed", WHOLE, 2, 0, 1], {"scale": 2, "x": 0, "y": -1}),
        (["zoomed", WHOLE, 100, 0.5, 0.5], {"scale": 8, "x": -3.5, "y": -3.5}),
        (["zoomed", near, 0.5, 0.9, 0.1], WHOLE),
        (["zoomed", near, 0.001, 0.9, 0.1], WHOLE),
        (["zoomed", WHOLE, 1 + 1 / 256, 0.5, 0.5], {"scale": 1 + 1 / 256, "x": -1 / 512, "y": -1 / 512}),
        (["panned", near, 0.25, -0.25], {"scale": 2, "x": -0.25, "y": -0.75}),
        (["panned", near, 9, -9], {"scale": 2, "x": 0, "y": -1}),
        (["panned", WHOLE, 0.3, 0.3], WHOLE),
        # A picture that covers half of the tile's width: at 2x it just fills it, at 4x its edges end the way.
        (["panned", near, 9, 0, [0.5, 1]], near),
        (["panned", {"scale": 4, "x": -1, "y": 0}, 9, 0, [0.5, 1]], {"scale": 4, "x": -1, "y": 0}),
        (["panned", {"scale": 4, "x": -1, "y": 0}, -9, 0, [0.5, 1]], {"scale": 4, "x": -2, "y": 0}),
    ]
    with browser.page() as page:
        page.goto(place.base + "/login")
        assert page.evaluate(CALLS, [call for call, _ in table]) == [state for _, state in table]


def test_the_wheel_zooms_towards_the_pointer_and_a_drag_ends_at_the_edge(browser: Browser, place: Site) -> None:
    with browser.page(DESK) as page:
        box = watch(page, place)
        page.evaluate(VIDEO)
        assert layers(page) == pytest.approx((1, 0, 0))
        page.mouse.move(*middle(box, 0.75, 0.25))
        for _ in range(4):
            page.mouse.wheel(0, -100)
        until(page, "() => document.querySelector('.zoom output').textContent === '2.2x'")
        scale, x, y = layers(page)
        assert (0.75 - x) / scale == pytest.approx(0.75, abs=0.01)  # what was under the pointer still is
        assert (0.25 - y) / scale == pytest.approx(0.25, abs=0.01)
        page.shoot("zoom")
        page.mouse.down()
        page.mouse.move(*middle(box, 0.65, 0.3), steps=4)
        assert layers(page) == pytest.approx((scale, x - 0.1, y + 0.05), abs=0.01)
        for _ in range(3):
            page.mouse.move(*middle(box, 0.1, 0.9), steps=4)
            page.mouse.up()
            page.mouse.move(*middle(box, 0.9, 0.1))
            page.mouse.down()
        page.mouse.up()
        assert layers(page) == pytest.approx((scale, 1 - scale, 0), abs=0.01)
        page.set_viewport_size({"width": 800, "height": 900})
        assert layers(page) == pytest.approx((scale, 1 - scale, 0), abs=0.01)
        page.mouse.move(*middle(dict(page.locator(".tile").bounding_box()), 0.2, 0.5))
        page.mouse.wheel(0, 2000)
        until(page, "() => document.querySelector('.zoom').hidden")
        assert layers(page) == pytest.approx((1, 0, 0))
        page.wait_for_timeout(450)
        page.mouse.wheel(0, 200)  # nothing to zoom out of: the page's
        until(page, "() => scrollY > 0")


def test_keys_zoom_and_move_and_at_1x_arrows_change_the_camera(browser: Browser, place: Site) -> None:
    with browser.page(DESK, reduced_motion="reduce") as page:
        box = watch(page, place)
        page.keyboard.press("+")
        assert layers(page) == pytest.approx((1.5, -0.25, -0.25), abs=0.01)
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowUp")
        assert layers(page) == pytest.approx((1.5, -0.4, -0.1), abs=0.01)
        page.keyboard.press("-")
        assert pill(page) == ""
        page.mouse.dblclick(*middle(box, 0.2, 0.4))
        assert layers(page) == pytest.approx((2.5, -0.3, -0.6), abs=0.01)
        assert pill(page) == "2.5x"
        page.wait_for_timeout(350)
        page.mouse.dblclick(*middle(box, 0.9, 0.4))
        assert layers(page) == pytest.approx((1, 0, 0))
        page.keyboard.press("+")
        page.keyboard.press("0")
        assert pill(page) == ""
        page.keyboard.press("+")
        page.get_by_role("button", name="Show the whole picture").click()
        assert pill(page) == ""
        page.keyboard.press("?")
        page.wait_for_selector("#keys[open]")
        assert "whole picture" in page.inner_text("#keys")
        page.shoot("zoom-keys")
        page.keyboard.press("+")
        page.keyboard.press("Escape")
        assert pill(page) == ""
        page.keyboard.press("ArrowRight")
        page.wait_for_url("**/cameras/garage")


def test_fingers_pinch_drag_and_tap_and_one_finger_scrolls_the_page(browser: Browser, place: Site) -> None:
    with browser.page(PHONE) as page:
        box = watch(page, place)
        touch = page.context.new_cdp_session(page.real)

        def fingers(kind: str, *points: tuple[float, float]) -> None:
            touch.send(
                "Input.dispatchTouchEvent",
                {"type": f"touch{kind}", "touchPoints": [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]},
            )

        def tap(x: float, y: float) -> None:
            fingers("Start", middle(box, x, y))
            fingers("End")

        assert page.overflow() == 0
        page.shoot("zoom-phone-whole")
        fingers("Start", middle(box, 0.4), middle(box, 0.6))
        for step in range(1, 6):
            fingers("Move", middle(box, 0.4 - step * 0.04), middle(box, 0.6 + step * 0.04))
        fingers("End")
        scale, x, _ = layers(page)
        assert scale == pytest.approx(3, abs=0.1)
        assert (0.5 - x) / scale == pytest.approx(0.5, abs=0.02)
        assert page.evaluate("visualViewport.scale") == 1
        fingers("Start", middle(box, 0.5))
        for step in range(1, 6):
            fingers("Move", middle(box, 0.5 - step * 0.05, 0.5 - step * 0.05))
        fingers("End")
        assert layers(page)[1] == pytest.approx(x - 0.25, abs=0.03)
        assert page.evaluate("scrollY") == 0
        assert page.overflow() == 0
        page.shoot("zoom-phone")
        tap(0.5, 0.5)
        tap(0.5, 0.5)
        assert pill(page) == ""
        tap(0.5, 0.5)
        tap(0.5, 0.5)
        assert pill(page) == "2.5x"
        size = page.get_by_role("button", name="Show the whole picture").bounding_box()
        assert min(size["width"], size["height"]) >= 44
        page.get_by_role("button", name="Show the whole picture").tap()
        assert pill(page) == ""
        for button in page.locator(".one .head :is(a, button)").all():
            if size := button.bounding_box():
                assert min(size["width"], size["height"]) >= 44, button
        fingers("Start", middle(box, 0.5, 0.9))
        for step in range(1, 8):
            fingers("Move", middle(box, 0.5, 0.9 - step * 0.1))
        fingers("End")
        until(page, "() => scrollY > 20")
        assert pill(page) == ""
        page.set_viewport_size({"width": 844, "height": 390})
        page.keyboard.press("f")
        until(page, "() => document.fullscreenElement && document.querySelector('.tile').clientHeight === innerHeight")
        assert page.evaluate("document.querySelector('.tile').clientWidth === innerWidth")
        page.shoot("zoom-phone-full")


def test_a_still_is_named_after_the_camera_and_the_time(browser: Browser, place: Site) -> None:
    with browser.page(DESK) as page:
        watch(page, place)
        link = page.get_by_role("link", name="Save a still image")
        for press in (link.click, partial(page.keyboard.press, "s")):
            with page.expect_download() as coming:
                press()
            assert re.fullmatch(r"yard-\d{4}(-\d\d){5}\.jpg", coming.value.suggested_filename)
            assert Path(coming.value.path()).read_bytes()[:3] == b"\xff\xd8\xff"
        noon = 1_795_525_331_000  # 2026-11-24 13:02:11 UTC
        name = page.evaluate(
            "async ms => (await import('/static/take.js')).stillName('yard', ms, 'Europe/Berlin')", noon
        )
        assert name == "yard-2026-11-24-14-02-11.jpg"
        page.goto(place.base + "/cameras/shed")
        page.wait_for_selector(".tile.offline")
        page.keyboard.press("s")
        page.wait_for_selector(".toast.bad")


def test_the_small_window_closes_rather_than_show_an_old_picture(browser: Browser, place: Site) -> None:
    with browser.page(DESK) as page:
        watch(page, place, "garage")
        button = page.locator("#small-window")
        assert button.is_visible() == page.evaluate("document.pictureInPictureEnabled")
        if not button.is_visible():
            pytest.skip("this Chromium has no picture in picture")
        for pressed in ("true", "false", "true"):
            page.keyboard.press("p")
            page.wait_for_selector(f"#small-window[aria-pressed={pressed}]")
        until(page, "() => document.pictureInPictureElement?.videoWidth > 16")
        assert page.overflow() == 0
        place.ended[1].set()
        page.wait_for_selector("#small-window[aria-pressed=false]")
        assert "Garage is stale" in page.inner_text(".toasts")
        until(page, "() => !document.querySelector('video').srcObject")
        place.run(place.cameras[1])
