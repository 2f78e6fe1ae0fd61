"""The pure functions of the pages' scripts, as tables: run by node if there is one, by Chromium otherwise."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from tests.browser import chromium
from tests.conftest import ROOT

STATIC = ROOT / "static"
BODY = {"zone": "Europe/Berlin", "zones": "GMT+01:00=CET GMT+02:00=CEST"}


def run(module: str, calls: list[list[Any]]) -> list[Any]:
    """The results of `[name, *arguments]` calls of the functions that `module` exports."""
    use = "(m, calls) => calls.map(([name, ...args]) => m[name](...args))"
    if node := shutil.which("node"):
        text = f"""
            globalThis.document = {{ body: {{ dataset: {json.dumps(BODY)} }} }};
            const m = await import({json.dumps((STATIC / module).as_uri())});
            console.log(JSON.stringify(({use})(m, {json.dumps(calls)})));
        """
        done = subprocess.run([node, "--input-type=module", "-e", text], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))
    with chromium() as browser, browser.page() as page:
        page.route("http://pages.test/*", _answer)
        page.goto("http://pages.test/")
        return list(
            page.evaluate(f"async ([path, calls]) => ({use})(await import(path), calls)", [f"/{module}", calls])
        )


def _answer(route: Any) -> None:
    name = route.request.url.rsplit("/", 1)[-1]
    page = "<body " + " ".join(f'data-{key}="{value}"' for key, value in BODY.items()) + ">"
    if name:
        route.fulfill(body=(STATIC / name).read_text(), content_type="text/javascript")
    else:
        route.fulfill(body=page, content_type="text/html")


def test_columns_make_tiles_as_large_as_they_can_be() -> None:
    desk, phone, wide = 1920 / 1028, 390 / 740, 3440 / 1388
    table = [
        (1, desk, 1),
        (2, desk, 2),
        (3, desk, 2),
        (4, desk, 2),
        (5, desk, 3),
        (5, 1440 / 848, 3),
        (6, desk, 3),
        (9, desk, 3),
        (10, desk, 4),
        (12, desk, 4),
        (16, desk, 4),
        (17, desk, 5),
        (25, desk, 5),
        (36, desk, 6),
        (49, desk, 7),
        (64, desk, 8),
        (1, phone, 1),
        (3, phone, 1),
        (8, phone, 2),
        (2, wide, 2),
        (6, wide, 3),
        (8, wide, 4),
    ]
    found = run("layout.js", [["columns", n, aspect] for n, aspect, _ in table])
    assert found == [count for _, _, count in table]


def test_every_tile_is_in_sight_or_the_wall_scrolls() -> None:
    fields = [(1440, 848), (1920, 1028), (390, 740), (320, 500), (844, 340), (2560, 1388)]
    cases = [(n, width, height) for n in range(1, 65) for width, height in fields]
    for (n, width, height), laid in zip(cases, run("layout.js", [["fit", *case] for case in cases]), strict=True):
        rows = -(-n // laid["columns"])
        assert 0 < laid["width"] * laid["columns"] + 2 * (laid["columns"] - 1) <= width, (n, width, height, laid)
        if not laid["scrolls"]:
            assert rows * laid["width"] * 9 / 16 + 2 * (rows - 1) <= height + 1, (n, width, height, laid)
        assert laid["width"] >= min(150, width), (n, width, height, laid)


def test_a_phone_has_one_column_upright_and_two_on_its_side() -> None:
    table = [(1, 390, 740, 1), (8, 390, 740, 1), (1, 844, 338, 1), (2, 844, 338, 2), (8, 844, 338, 2), (8, 956, 388, 2)]
    found = run("layout.js", [["fit", *case] for *case, _ in table])
    assert [laid["columns"] for laid in found] == [count for *_, count in table]


def test_pictures_are_asked_in_few_widths() -> None:
    found = run("layout.js", [["pictureWidth", pixels] for pixels in (1, 160, 161, 700, 5000)])
    assert found == [160, 160, 240, 960, 1280]


def test_a_picture_is_stale_after_a_second_or_three_intervals() -> None:
    table = [(900, 10, False), (1100, 10, True), (1100, 2, False), (1600, 2, True), (5900, 0.5, False), (1100, 0, True)]
    assert run("tile.js", [["isStale", age, fps] for age, fps, _ in table]) == [stale for _, _, stale in table]


@pytest.mark.parametrize(
    ("ms", "text"), [(-5, "0.0 s"), (240, "0.2 s"), (9940, "9.9 s"), (14_200, "14 s"), (180_000, "3 min"), (3e8, "3 d")]
)
def test_ages_in_words(ms: float, text: str) -> None:
    assert run("clock.js", [["age", ms]]) == [text]


def test_moments_are_written_as_the_server_writes_them() -> None:
    noon = 1_795_525_331_000  # 2026-11-24 13:02:11 UTC
    day, summer = 86_400_000, 1_782_910_931_000  # 2026-07-01 13:02:11 UTC
    found = run("clock.js", [["moment", noon, noon + 1000], ["moment", noon, noon + day], ["moment", summer, noon]])
    assert found == ["14:02:11 CET", "Tue 24 Nov 14:02:11 CET", "Wed 1 Jul 15:02:11 CEST"]
