"""The nastiest cameras.yaml files: each is refused or accepted as listed, in words, quickly, without its secrets."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dashboard.config import Config, load
from dashboard.errors import ConfigError

PASSWORD = "geheim7"


def camera(*lines: str) -> str:
    """A document of one camera: `lines` are its keys."""
    return "cameras:\n" + "".join(f"{'  - ' if not number else '    '}{line}\n" for number, line in enumerate(lines))


def door(*lines: str) -> str:
    return camera("id: door", *lines)


def with_id(text: str) -> str:
    return camera("device: 0", f"id: {text}")


def at(url: str) -> str:
    return door(f"url: {url}")


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{below}'] * 9)}]\n" for below, name in zip("abcdefgh", "bcdefghi", strict=True)
)

# number and variant -> (document, what a finding says)
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "1 climbing id": (with_id("../x"), "camera 1: id: must be 1 to 64 of a-z"),
    "2 slash": (with_id("a/b"), "camera 1: id: must be"),
    "2 dot": (with_id("."), "camera 1: id: must be"),
    "2 dots": (with_id(".."), "camera 1: id: must be"),
    "2 empty": (with_id('""'), "camera 1: id: must be"),
    "2 null": (with_id(""), "camera 1: id: has no value"),
    "3 duplicate id": (
        "cameras:\n  - {id: a, device: 0}\n  - {id: a, device: 1}\n",
        "cameras.yaml:3: camera 'a': id: is already the id of the camera in line 2",
    ),
    "4 duplicate key": (
        door("device: 0", "device: 1"),
        "cameras.yaml:4: camera 'door': key 'device' stands twice (first in line 3)",
    ),
    "5 ids equal but for case": ("cameras:\n  - {id: a, device: 0}\n  - {id: A, device: 1}\n", "id: is already the id"),
    "6 unknown key": (door("ulr: x"), "cameras.yaml:3: camera 'door': unknown key 'ulr' (did you mean 'url'?)"),
    "7 no": (with_id("no"), "camera 1: id: other programs read this bare word"),
    "7 on": (with_id("on"), "camera 1: id: other programs read this bare word"),
    "8 007": (with_id("007"), "put it in quotes"),
    "8 1:30": (with_id("1:30"), "put it in quotes"),
    "8 1_000": (with_id("1_000"), "put it in quotes"),
    "8 number": (with_id("12"), "camera 1: id: must be text; put it in quotes"),
    "9 long id": (with_id("x" * 10_000), "camera 1: id: must be 1 to 64"),
    "9 huge id": (with_id("x" * 1_000_000), "cameras.yaml: is larger than 256 KiB"),
    "10 NUL": (with_id(r'"a\0b"'), "camera 1: id: has a line break or an invisible"),
    "10 CR LF": (with_id(r'"a\r\nb"'), "camera 1: id: has a line break"),
    "10 text turned round": (with_id(r'"a\u202eb"'), "camera 1: id: has a line break or an invisible"),
    "10 turned round, raw": (with_id("a\u202eb"), "cameras.yaml:3: has an invisible control character"),
    "10 foreign digit": (with_id("٣"), "camera 1: id: must be 1 to 64"),
    "11 login": (with_id("login"), "camera 'login': id: is a word that the dashboard's own pages use"),
    "11 static": (with_id("static"), "own pages use"),
    "11 api": (with_id("api"), "own pages use"),
    "12 alias bomb": (BOMB + "cameras: []\n", "anchors ('&') are not accepted"),
    "12 merge key": (door("<<: {device: 0}"), "camera 'door': merge keys"),
    "13 in itself": ("cameras: &a [*a]\n", "cameras.yaml:1: cameras: anchors"),
    "14 deep": ("cameras: " + "[" * 900, "cameras.yaml:1: is nested more than 10 levels"),
    "14 deep mappings": ("a: {" * 900, "is nested more than 10 levels"),
    "14 deep dashes": ("- " * 900, "is nested more than 10 levels"),
    "15 tag": (door("name: !!python/object/apply:os.system [id]"), "camera 'door': name: tags ('!') are not accepted"),
    "15 tag on text": (door("name: !!str 5"), "camera 'door': name: tags"),
    "18 file": (at("file:/etc/passwd"), "camera 'door': url: must begin with one of rtsp://"),
    "18 file slashes": (at("file:///etc/passwd"), "camera 'door': url: must begin with"),
    "18 concat": (at('"concat:a|b"'), "camera 'door': url: must begin with"),
    "18 subfile": (at('"subfile,,start,0,end,0,,:/etc/passwd"'), "camera 'door': url: must begin with"),
    "18 data": (at("data:text/plain,x"), "camera 'door': url: must begin with"),
    "18 pattern": (at("img%03d.jpg"), "camera 'door': url: must begin with"),
    "18 bare path": (at("/etc/passwd"), "camera 'door': url: must begin with"),
    "18 two schemes": (at("rtsp://file:///etc/passwd"), "camera 'door': url: has no host"),
    "18 replay of a protocol": (door('replay: "concat:a|b"'), "camera 'door': replay: must be the path"),
    "19 mapping": (at("{url: exec:rm}"), "camera 'door': url: must be text"),
    "19 list": (at("[rtsp://h/]"), "camera 'door': url: must be text"),
    "19 number": (at("5"), "camera 'door': url: must be text"),
    "19 null": (at(""), "camera 'door': url: has no value"),
    "20 raw #": (at(f"rtsp://u:{PASSWORD}#w@h/"), "camera 'door': url: has a '#'"),
    "20 raw /": (at(f"rtsp://u:{PASSWORD}/w@h/"), "camera 'door': url: has a '@' in a password or path"),
    "20 raw / and digits": (at(f"rtsp://u:77/{PASSWORD}@h/"), "camera 'door': url: has a '@' in a password or path"),
    "20 raw ?": (at(f"rtsp://u:{PASSWORD}?w@h/"), "camera 'door': url: has a '@'"),
    "20 raw @": (at(f"rtsp://u:{PASSWORD}@w@h/"), "camera 'door': url: has a '@'"),
    "20 raw %": (at(f"rtsp://u:{PASSWORD}%zz@h/"), "camera 'door': url: has a character that must be percent-encoded"),
    "20 raw space": (at(f'"rtsp://u:{PASSWORD} w@h/"'), "camera 'door': url: has a character that must be"),
    "21 comment": (at(f"rtsp://u:{PASSWORD} #w@h/"), "camera 'door': url: the URL is cut off by ' #'"),
    "21 comment, no @": (at(f"rtsp://u:{PASSWORD} #w"), "camera 'door': url: has no host"),
    "22 minus": (door("device: -1"), "camera 'door': device: must be a number from 0 to 63"),
    "22 large": (door("device: 999999"), "camera 'door': device: must be a number from 0 to 63"),
    "22 1e3": (door("device: 1e3"), "camera 'door': device: other programs"),
    "22 true": (door("device: true"), "camera 'door': device: must be a number"),
    "22 foreign digit": (door('device: "٣"'), "camera 'door': device: must be a number"),
    "22 other path": (door("device: /dev/../etc/passwd"), "camera 'door': device: must be a number"),
    "23 same device": (
        'cameras:\n  - {id: a, device: 0}\n  - {id: b, device: "0"}\n',
        "camera 'b': device: is already the device of camera 'a'",
    ),
    "23 same device by path": (
        "cameras:\n  - {id: a, device: 0}\n  - {id: b, device: /dev/video0}\n",
        "camera 'b': device: is already",
    ),
    "24 fps 0": (door("device: 0", "fps: 0"), "camera 'door': fps: must be at least 0.1 (it is 0)"),
    "24 fps -5": (door("device: 0", "fps: -5"), "camera 'door': fps: must be at least"),
    "24 fps nan": (door("device: 0", "fps: .nan"), "camera 'door': fps: must be a finite number"),
    "24 fps inf": (door("device: 0", "fps: .inf"), "camera 'door': fps: must be a finite number"),
    "24 fps 10^9": (door("device: 0", "fps: 1000000000"), "camera 'door': fps: must be at most 240"),
    "24 fps 10^9000": (door("device: 0", "fps: 1" + "0" * 9000), "camera 'door': fps: other programs"),
    "24 width 0": (door("device: 0", "width: 0"), "camera 'door': width: must be at least 16 (it is 0)"),
    "25 empty": ("", "cameras.yaml: is empty"),
    "25 only comments": ("# nothing\n", "cameras.yaml: is empty"),
    "25 list on top": ("- id: a\n", "cameras.yaml: does not begin with keys"),
    "25 scalar on top": ("hello\n", "cameras.yaml: does not begin with keys"),
    "25 two documents": ("cameras: []\n---\ncameras: []\n", "cameras.yaml:2: a second document"),
    "25 UTF-16": ("cameras: []\n".encode("utf-16"), "cameras.yaml: is not UTF-8"),
    "25 UTF-16 without mark": ("cameras: []\n".encode("utf-16-le"), "cameras.yaml: is not UTF-8"),
    "25 bad UTF-8": (b"cameras:\n  - id: \xff\n", "cameras.yaml:2: has bytes that are not UTF-8"),
    "25 tabs": ("cameras:\n\t- id: a\n", "cameras.yaml:2: is indented with a tab"),
    "directive": ("%YAML 1.1\n---\ncameras: []\n", "directives"),
    "no cameras": ("timezone: UTC\n", "needs 'cameras:'"),
    "a map of cameras": ("cameras:\n  door: {device: 0}\n", "cameras: must be a list"),
    "too many cameras": ("cameras:\n" + "  - {id: a}\n" * 129, "more than the 128 cameras"),
    "a camera of text": ("cameras: [door]\n", "camera 1: must hold keys with values"),
    "no source": (door("name: x"), "camera 'door': needs exactly one of url, device and replay (has none of them)"),
    "two sources": (door("device: 0", "url: rtsp://h/"), "(has url and device)"),
    "password as key": (f"cameras:\n  - {{id: door, device: 0, password: x,{PASSWORD}}}\n", "a key that is not known"),
    "password as text on top": (f"{PASSWORD}\n", "does not begin with keys"),
    "password of digits": (door("url: rtsp://h/", "username: u", "password: 0123"), "put it in quotes"),
    "password after another": (door("url: rtsp://h/", f'password: "x" {PASSWORD}'), "cameras.yaml:4: "),
    "password without space": (
        door("url: rtsp://h/", f"password:{PASSWORD}"),
        "cameras.yaml:5: has a line without ':'",
    ),
    "password never closed": (door("url: rtsp://h/", f'password: "{PASSWORD}'), "cameras.yaml:"),
}

# number and variant -> (document, what the one camera has)
ACCEPTED: dict[str, tuple[str | bytes, dict[str, object]]] = {
    "16 shell words": (door("device: 0", "name: $(id) `id` ;rm \"'"), {"name": "$(id) `id` ;rm \"'"}),
    "17 script": (door("device: 0", "name: <img onerror>"), {"name": "<img onerror>"}),
    "20 encoded": (at("rtsp://u:p%23w@h/"), {"url": "rtsp://h/", "username": "u"}),
    "22 device in quotes": (door('device: "0"'), {"device": 0}),
    "22 device path": (door("device: /dev/v4l/by-id/usb-x-index0"), {"device": "/dev/v4l/by-id/usb-x-index0"}),
    "25 BOM": (b"\xef\xbb\xbf" + door("device: 0").encode(), {"device": 0}),
    "CR LF": (door("device: 0").replace("\n", "\r\n").encode(), {"device": 0}),
    "an id in quotes": (camera('id: "007"', "device: 0"), {"id": "007"}),
    "no in quotes": (camera("id: 'no'", "device: 0"), {"id": "no"}),
}


def attempt(folder: Path, document: str | bytes) -> Config | list[str]:
    path = folder / "cameras.yaml"
    path.write_bytes(document.encode() if isinstance(document, str) else document)
    path.chmod(0o600)
    try:
        return load(path, {"DOOR": PASSWORD})
    except ConfigError as error:
        return error.findings


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    document, expected = REFUSED[case]
    findings = attempt(tmp_path, document)
    assert isinstance(findings, list)
    assert any(expected in finding for finding in findings), findings
    assert all(finding.startswith("cameras.yaml:") and "\n" not in finding for finding in findings)
    assert all(len(finding) < 250 and PASSWORD not in finding for finding in findings)


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(case: str, tmp_path: Path) -> None:
    document, expected = ACCEPTED[case]
    config = attempt(tmp_path, document)
    assert isinstance(config, Config), config
    assert {key: getattr(config.cameras[0], key) for key in expected} == expected


@pytest.mark.parametrize("document", ["cameras: []\n", "cameras:\n", "cameras:\n  # - id: a\ndefaults:\n"])
def test_no_cameras_are_a_dashboard_too(document: str, tmp_path: Path) -> None:
    config = attempt(tmp_path, document)
    assert isinstance(config, Config)
    assert config.cameras == ()


def test_what_is_no_file(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "none.yaml", "does not exist"),
        (Path("/dev/null"), "is not an ordinary file"),
        (tmp_path / "a\0b", "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=words):
            load(path, {})


LONG = 256 * 1024
ENDLESS = {
    "flow": "[" + "a," * (LONG // 2 - 2) + "]",
    "entries": "a: 1\n" * (LONG // 5),
    "distinct": "".join(f"k{number}:\n" for number in range(LONG // 8)),
    "questions": "? " * (LONG // 2),
    "brackets": "[" * LONG,
    "braces": "{" * LONG,
    "quotes": "a: '" + "''" * (LONG // 2 - 4) + "'",
    "bangs": "!" * LONG,
    "percents": "%A\n" * (LONG // 3),
    "documents": "---\n" * (LONG // 4),
    "lines": "\n" * LONG,
    "number": "a: " + "1" * (LONG - 4),
    "underscores": "a: " + "1_" * (LONG // 2 - 4),
    "clock": "a: " + "1:" * (LONG // 2 - 4) + "x",
    "url": "cameras: [{id: a, url: 'rtsp://" + "a." * (LONG // 2 - 30) + "'}]",
    "dollars": "cameras: [{id: a, name: '" + "${" * (LONG // 2 - 30) + "'}]",
    "references": "cameras: [{id: a, name: '" + "${a}" * (LONG // 4 - 30) + "'}]",
    "cameras": "cameras:\n" + "".join(f"- {{id: c{n}, urls: 1, nam: 2, fsp: 3}}\n" for n in range(128)),
    "points": "cameras: [{id: a, motion: {mask: [[" + "[1,x]," * 15_000 + "]]}}]",
    "bad keys": "cameras:\n" + ("- {" + ",".join(f"k{n}x: 1" for n in range(99)) + "}\n") * 128,
}
MEASURE = """
import json, re, sys, time
from pathlib import Path
from tests.test_config_cases import ENDLESS, REFUSED, attempt
used = {}
for name, document in {**{name: case[0] for name, case in REFUSED.items()}, **ENDLESS}.items():
    before = time.process_time()
    attempt(Path(sys.argv[1]), document)
    used[name] = time.process_time() - before
# Not ru_maxrss: that begins with what the process that started this one took.
most = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps([used, int(most[1]) / 1024]))
"""


def test_no_file_costs_much(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    used, mebibytes = json.loads(done.stdout)
    assert max(used.values()) <= 2, sorted(used.items(), key=lambda pair: -pair[1])[:5]
    assert mebibytes <= 200


WHOLE = """\
defaults:
  username: viewer
  password: ${DOOR}
  motion: {threshold: 30, min_area: 0.3}
  snapshots: {quality: 85, retain: {days: 14, max_size: 5GB}}
cameras:
  - id: door
    name: "Front door"
    url: rtsp://192.0.2.10/stream1
    substream: rtsp://u:p%23@[2001:db8::1]:554/stream2?a=b
  - id: desk
    device: 0
    width: 640
    fps: 12.5
    enabled: false
  - id: lobby
    replay: demo:courtyard   # a scene
    motion: {min_area: 0.5, mask: [[[0,0],[1,0],[1,0.1]]], pre_capture: 3}
storage: {reserve: 1 GiB}
timezone: Europe/Berlin
"""
PIECES = [
    *(
        "{",
        "}",
        "[",
        "]",
        ":",
        "- ",
        "#",
        "&a ",
        "*a",
        "!!x ",
        "|",
        ">",
        "'",
        '"',
        "\\",
        "\t",
        "\n",
        "\r",
        "\0",
        "%",
        "@",
    ),
    *(
        "---\n",
        "...\n",
        "<<: ",
        "${",
        "}",
        "$$",
        "~",
        "null",
        ".nan",
        ".inf",
        "1e999",
        "9" * 400,
        "true",
        "no",
        "-1",
        "٣",
    ),
    *(
        "\u202e",
        "\ud7ff",
        "\U0001f600",
        "\x85",
        "\u2028",
        "? ",
        "'\\ud800'",
        '"\\ud800"',
        '"\\UFFFFFFFF"',
        "  ",
        "    ",
    ),
]


def mutated(chance: random.Random) -> bytes:
    """The whole document with some pieces cut out, doubled, moved or put in."""
    text = WHOLE
    for _ in range(chance.randint(1, 6)):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice((0, 0, 1, 3, 10, 60)))
        other = chance.randrange(len(text) + 1)
        new = chance.choice(
            (chance.choice(PIECES), "", text[other : other + chance.randint(1, 40)], text[start:end] * 2)
        )
        text = text[:start] + new + text[end:]
    data = bytearray(text.encode())
    if chance.random() < 0.1 and data:
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def test_mutated_documents_are_read_or_refused(tmp_path: Path) -> None:
    chance = random.Random(20261124)
    assert isinstance(attempt(tmp_path, WHOLE), Config)
    accepted = 0
    for _ in range(300):
        before = time.process_time()
        outcome = attempt(tmp_path, mutated(chance))  # any exception but ConfigError ends the test
        assert time.process_time() - before <= 2
        accepted += isinstance(outcome, Config)
        assert isinstance(outcome, Config) or PASSWORD not in "".join(outcome)
    assert 0 < accepted < 300
