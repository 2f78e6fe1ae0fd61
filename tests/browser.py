"""A real Chromium for tests, driven by Playwright and never downloaded; without one, tests are skipped visibly.

`DASHBOARD_SCREENSHOTS` names a folder: `Browser.shoot` then leaves pictures of the pages there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = "chromium", "chromium-browser", "google-chrome"
SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
DESK, PHONE = (1440, 900), (390, 844)


def find_chromium() -> str:
    """The path of a Chromium; without one the test is skipped, in CI it fails."""
    for name in CHROMIUM:
        if path := shutil.which(name):
            return path
    if os.environ.get("CI"):
        pytest.fail("no Chromium is installed")
    pytest.skip("no Chromium is installed")


class Browser:
    """One Chromium with pages that remember what went wrong in them."""

    def __init__(self, chromium: Any) -> None:
        self._chromium = chromium

    @contextmanager
    def page(self, size: tuple[int, int] = DESK, **context: Any) -> Iterator[Page]:
        """A page with cookies of its own. Ends with an error if the page logged one or asked with a dialog box."""
        width, height = size
        touch = {"is_mobile": True, "has_touch": True, "device_scale_factor": 2} if size == PHONE else {}
        made = self._chromium.new_context(viewport={"width": width, "height": height}, **touch, **context)
        made.set_default_timeout(20_000)
        page = Page(made.new_page())
        try:
            yield page
        finally:
            made.close()
        assert not page.faults, page.faults


class Page:
    """A Playwright page, its sockets, and the faults it reported. Every other attribute is Playwright's."""

    def __init__(self, page: Any) -> None:
        self.real = page
        self.faults: list[str] = []
        self.sockets: list[str] = []
        self.expected: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("dialog", self._on_dialog)
        page.on("websocket", lambda socket: self.sockets.append(socket.url))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def expect(self, text: str) -> None:
        """A console error that contains `text` belongs to the test."""
        self.expected.append(text)

    def sign_in(self, base: str, name: str = "admin", password: str = "correct horse", path: str = "/") -> None:
        self.real.goto(base + "/login?next=" + path)
        self.real.fill("#username", name)
        self.real.fill("#password", password)
        self.real.press("#password", "Enter")
        self.real.wait_for_url(base + path)

    def overflow(self) -> int:
        """How many pixels the page is wider than its window: more than 0 gives a scroll bar."""
        return int(self.real.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def shoot(self, name: str, full: bool = False) -> None:
        folder = os.environ.get("DASHBOARD_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.real.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=full)

    def _on_console(self, message: Any) -> None:
        if message.type == "error" and not any(text in message.text for text in self.expected):
            self.faults.append(f"console: {message.text} {message.location.get('url', '')}")

    def _on_dialog(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running Chromium, ended afterwards."""
    path = find_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(SWITCHES))
        try:
            yield Browser(running)
        finally:
            running.close()
