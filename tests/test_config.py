"""cameras.yaml as it is meant: defaults, secrets, addresses, sizes, and what a finding or a warning says."""

from __future__ import annotations

import string
from pathlib import Path
from urllib.parse import unquote

import pytest
from pydantic import SecretStr, ValidationError

from dashboard.config import Camera, Config, load
from dashboard.config.addresses import take_apart
from dashboard.config.models import parse_size
from dashboard.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
PRINTABLE = "".join(chr(code) for code in range(32, 127))


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "cameras.yaml"
    path.write_text(text)
    path.chmod(mode)
    return path


def findings(folder: Path, text: str, env: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(written(folder, text), env or {})
    return caught.value.findings


def test_the_shipped_file_shows_three_scenes() -> None:
    config = load(ROOT / "cameras.yaml", {})
    assert [(camera.id, camera.name, camera.replay) for camera in config.cameras] == [
        ("courtyard", "Courtyard", "demo:courtyard"),
        ("corridor", "Corridor", "demo:corridor"),
        ("parking", "Parking place", "demo:parking"),
    ]
    assert config.warnings == ()


def test_the_examples_in_the_shipped_file_are_right(tmp_path: Path) -> None:
    """What is commented out works once the comment signs are taken away."""
    text = (ROOT / "cameras.yaml").read_text().partition("# Secrets:")[0]
    lines = []
    for line in text.splitlines():
        stripped = line.lstrip()
        inside = stripped.removeprefix("#").removeprefix(" ")
        key = inside.lstrip().removeprefix("- ").partition(":")[0]
        example = (
            stripped.startswith("#")
            and key.isidentifier()
            and (inside.startswith(("- ", "  ")) or inside == "defaults:")
        )
        lines.append(line[: len(line) - len(stripped)] + inside if example else line)
    config = load(written(tmp_path, "\n".join(lines)), {"DOOR_PASSWORD": "x"})
    assert [camera.id for camera in config.cameras[3:]] == ["door", "gate", "desk"]
    assert config.cameras[3].connect_url() == "rtsp://viewer:x@192.0.2.10/stream1"
    assert config.cameras[4].motion.min_area == 0.5


def test_defaults_lie_below_what_a_camera_says(tmp_path: Path) -> None:
    text = """
defaults:
  timeout: 9
  username: viewer
  password: secret
  motion: {threshold: 40, min_area: 1}
  snapshots: {retain: {days: null, max_size: 1GB}}
cameras:
  - {id: a, url: rtsp://h/, motion: {min_area: 2}, snapshots: {retain: {days: 3}}}
  - {id: b, url: "rtsp://other:own@h/"}
  - {id: c, device: 0, timeout: 1}
"""
    a, b, c = load(written(tmp_path, text), {}).cameras
    assert (a.timeout, a.motion.threshold, a.motion.min_area) == (9, 40, 2)
    assert (a.snapshots.retain.days, a.snapshots.retain.max_size, a.snapshots.quality) == (3, 10**9, 85)
    assert a.connect_url() == "rtsp://viewer:secret@h/"
    assert b.connect_url() == "rtsp://other:own@h/"
    assert (c.timeout, c.snapshots.retain.days) == (1, None)


def test_a_mistake_in_the_defaults_is_told_once(tmp_path: Path) -> None:
    text = (
        "defaults: {tiemout: 5, fps: 0, url: rtsp://h/, width: }\ncameras: [{id: a, device: 0}, {id: b, device: 1}]\n"
    )
    assert sorted(findings(tmp_path, text)) == [
        "cameras.yaml:1: defaults: fps: must be at least 0.1 (it is 0)",
        "cameras.yaml:1: defaults: unknown key 'tiemout' (did you mean 'timeout'?)",
        "cameras.yaml:1: defaults: url: belongs to one camera, not to the defaults",
        "cameras.yaml:1: defaults: width: has no value; give it one, or leave the key out",
    ]


def test_all_mistakes_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
cameras:
  - id: door
    url: rtsp://h/
    transport: quic
    enabled: yes
    motion:
      treshold: 30
      mask: [[[0, 0], [1, 0], [1, 2]], [[0, 0], [1, 0, 1], [1, 1]]]
  - name: Nameless
    device: 0
    snapshots: {quality: 0.5, retain: 14}
  - id: lobby
    replay: demo:coutyard
    contour_area: 10
    threshold: 3
timezon: UTC
"""
    assert findings(tmp_path, text) == [
        "cameras.yaml:4: camera 'door': transport: must be 'tcp' or 'udp'",
        "cameras.yaml:5: camera 'door': enabled: other programs read this bare word as a number, a date or true/false;"
        " put it in quotes",
        "cameras.yaml:7: camera 'door': motion: unknown key 'treshold' (did you mean 'threshold'?)",
        "cameras.yaml:8: camera 'door': motion.mask: must be a point of two numbers, [x, y]",
        "cameras.yaml:8: camera 'door': motion.mask: must be at most 1 (it is 2)",
        "cameras.yaml:9: camera 2: id: is missing",
        "cameras.yaml:11: camera 2: snapshots.quality: must be a whole number",
        "cameras.yaml:11: camera 2: snapshots.retain: must hold keys with values",
        "cameras.yaml:13: camera 'lobby': replay: names no generated scene (did you mean 'demo:courtyard'?)",
        "cameras.yaml:14: camera 'lobby': unknown key 'contour_area' (here it is called 'motion.min_area')",
        "cameras.yaml:15: camera 'lobby': unknown key 'threshold' (it belongs under motion)",
        "cameras.yaml:16: unknown key 'timezon' (did you mean 'timezone'?)",
    ]


def test_no_more_findings_than_a_person_reads(tmp_path: Path) -> None:
    text = "cameras:\n" + "".join(f"  - {{id: c{n}, fps: 0, widht: 1}}\n" for n in range(120))
    found = findings(tmp_path, text)
    assert len(found) == 101
    assert "more" in found[-1]


class TestSecrets:
    TEXT = "cameras: [{id: door, url: 'rtsp://h/${PATH_KEY}/x', username: u, password: 'a${DOOR}b$$c'}]\n"

    def test_from_the_environment(self, tmp_path: Path) -> None:
        camera = load(written(tmp_path, self.TEXT), {"DOOR": "p w", "PATH_KEY": "hush"}).cameras[0]
        assert camera.password == SecretStr("ap wb$c")
        assert camera.address() == "rtsp://h/…/x"
        assert set(camera.secrets()) == {"ap wb$c", "hush"}
        assert "hush" not in repr(camera)

    def test_from_the_file_beside(self, tmp_path: Path) -> None:
        path = written(tmp_path, self.TEXT)
        secrets = tmp_path / "cameras.env"
        secrets.write_text("# of the door\nexport DOOR='one two'\n\nPATH_KEY = k=v\n")
        secrets.chmod(0o600)
        config = load(path, {"DOOR": "the environment is stronger"})
        assert config.cameras[0].password == SecretStr("athe environment is strongerb$c")
        assert config.cameras[0].connect_url().endswith("@h/k=v/x")
        with pytest.raises(ConfigError, match=r"has a character that must be percent-encoded"):
            load(written(tmp_path, self.TEXT), {"PATH_KEY": "a b"})

    def test_a_missing_one_is_named(self, tmp_path: Path) -> None:
        assert findings(tmp_path, self.TEXT, {"PATH_KEY": "x"}) == [
            "cameras.yaml:1: camera 'door': password: ${DOOR} is not set;"
            " set it in the environment or in the .env file beside this"
        ]

    @pytest.mark.parametrize("value", ["", "a\nb", "a\x1bb"])
    def test_an_unusable_one_is_named_and_not_shown(self, value: str, tmp_path: Path) -> None:
        found = findings(tmp_path, self.TEXT, {"PATH_KEY": "x", "DOOR": value})
        assert found == [
            "cameras.yaml:1: camera 'door': password: ${DOOR} is empty, or has a line break or control character"
        ]

    @pytest.mark.parametrize("text", ["${", "${}", "${a-b}", "${file:/etc/passwd}", "x${A"])
    def test_what_is_no_reference(self, text: str, tmp_path: Path) -> None:
        found = findings(tmp_path, f"cameras: [{{id: a, device: 0, name: '{text}'}}]")
        assert found == ["cameras.yaml:1: camera 'a': name: has '${' without a NAME and '}' (write $$ for a plain $)"]

    def test_a_bad_line_in_the_file_beside(self, tmp_path: Path) -> None:
        (tmp_path / "cameras.env").write_text("A=1\nhush\n")
        assert findings(tmp_path, "cameras: []\n") == ["cameras.env:2: must be NAME=value"]

    def test_only_texts_are_looked_into(self, tmp_path: Path) -> None:
        found = findings(tmp_path, "cameras: [{id: '${A}', device: '${B}', fps: '${B}'}]", {"A": "door", "B": "1"})
        assert found == [
            "cameras.yaml:1: camera 1: fps: must be a number",
            "cameras.yaml:1: camera 1: id: must be 1 to 64 of a-z, 0-9, - and _",
        ]


class TestWarnings:
    def test_passwords_that_everybody_can_read(self, tmp_path: Path) -> None:
        text = """\
defaults: {username: u, password: hush}
cameras:
  - {id: a, url: rtsp://h/}
  - {id: b, url: "rtsp://u:hush@h/"}
  - {id: c, url: rtsp://h/, password: "${C}"}
"""
        config = load(written(tmp_path, text, 0o644), {"C": "x"})
        assert [warning.partition(": ")[0] for warning in config.warnings] == ["cameras.yaml:1", "cameras.yaml:4"]
        assert "chmod 600 cameras.yaml" in config.warnings[0]
        assert "hush" not in "".join(config.warnings)
        assert load(written(tmp_path, text, 0o600), {"C": "x"}).warnings == ()

    def test_a_secrets_file_that_everybody_can_read(self, tmp_path: Path) -> None:
        (tmp_path / "cameras.env").write_text("A=1\n")
        (tmp_path / "cameras.env").chmod(0o644)
        (warning,) = load(written(tmp_path, "cameras: []\n"), {}).warnings
        assert warning.startswith("cameras.env: every user")


class TestAddresses:
    def test_every_printable_password_arrives(self) -> None:
        camera = Camera(id="a", url="rtsp://h:554/x?y=1", username=PRINTABLE, password=SecretStr(PRINTABLE))
        url = camera.connect_url()
        login, _, rest = url.removeprefix("rtsp://").rpartition("@")
        name, _, password = login.partition(":")
        assert (unquote(name), unquote(password), rest) == (PRINTABLE, PRINTABLE, "h:554/x?y=1")
        assert set(login) <= set(string.ascii_letters + string.digits + "%:-._~")
        again = Camera(id="a", url=url)
        assert (again.username, again.password) == (PRINTABLE, SecretStr(PRINTABLE))
        assert again.connect_url() == url
        assert again.address() == "rtsp://h:554/x?y=1"

    def test_kinds(self, tmp_path: Path) -> None:
        text = (
            "cameras: [{id: a, url: http://h}, {id: b, device: 1}, {id: c, replay: a/x.mp4}, {id: d, replay: /x.mp4}]"
        )
        a, b, c, d = load(written(tmp_path, text), {}).cameras
        assert [camera.kind for camera in (a, b, c, d)] == ["network", "device", "replay", "replay"]
        assert (a.address(), b.address(), c.replay, d.replay) == (
            "http://h", "/dev/video1", str(tmp_path / "a/x.mp4"), "/x.mp4",
        )  # fmt: skip
        with pytest.raises(ValueError, match="has no url"):
            b.connect_url()

    def test_a_substream_shares_the_login(self) -> None:
        camera = Camera(id="a", url="rtsp://h/1", substream="rtsp://u:p%40@h/2")
        assert camera.connect_url() == "rtsp://u:p%40@h/1"
        assert camera.connect_url(substream=True) == "rtsp://u:p%40@h/2"
        with pytest.raises(ValidationError, match="substream: has a user name or password"):
            Camera(id="a", url="rtsp://u:p@h/1", substream="rtsp://u:q@h/2")
        with pytest.raises(ValidationError, match="goes with url only"):
            Camera(id="a", device=0, substream="rtsp://h/2")

    def test_logins_inside_the_path_are_not_shown(self) -> None:
        camera = Camera(id="a", url="rtsp://h/user=admin&password=hush%21&channel=1?token=t0ps")
        assert camera.address() == "rtsp://h/user=…&password=…&channel=1?token=…"
        assert camera.secrets() == ("hush!", "t0ps")
        assert "hush" not in repr(camera)

    @pytest.mark.parametrize(
        ("url", "bare", "username", "password"),
        [
            ("rtsp://h", "rtsp://h", None, None),
            ("RTSP://h:554/x", "rtsp://h:554/x", None, None),
            ("https://u@cam.example:8443/?a=b", "https://cam.example:8443/?a=b", "u", None),
            ("rtsp://u:@h/", "rtsp://h/", "u", ""),
            ("rtsp://u:a:b@[2001:db8::1]:554/x", "rtsp://[2001:db8::1]:554/x", "u", "a:b"),
            ("http://u:%C3%A9@h?x", "http://h?x", "u", "é"),
        ],
    )
    def test_taken_apart(self, url: str, bare: str, username: str | None, password: str | None) -> None:
        parts = take_apart(url)
        assert (parts.bare, parts.username, parts.password) == (bare, username, password)

    @pytest.mark.parametrize(
        "url",
        [
            *(
                "rtsp://",
                "rtsp:///x",
                "rtsp://:554/",
                "rtsp://h:0/",
                "rtsp://h:99999/",
                "rtsp://h:x/",
                "rtsp://[::1/",
                "h/x",
            ),
            *("rtsp://-h/", "rtsp://h..", "rtsp://h\\x/", "rtsp://ü/", "rtsp://h/\n", "rtsp://@h/", "rtsp://:p@h/"),
            *("rtsp://u:%00@h/", "rtsp://u:%ff@h/", "rtsp://u:%0d%0a@h/", "rtsp://h/" + "x" * 3000, " rtsp://h/"),
        ],
    )
    def test_refused(self, url: str) -> None:
        with pytest.raises(ValueError, match=r"^(has|must|is) "):
            take_apart(url)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5GB", 5 * 10**9),
        ("500 MB", 5 * 10**8),
        ("1.5 TB", 1500 * 10**9),
        ("4GiB", 4 * 2**30),
        ("12kb", 12_000),
        (7, 7),
    ],
)
def test_sizes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["5", "5G", "GB", "-5GB", "5 GB more", "1e3GB", "٣GB", "5iB", "9" * 40 + "GB"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="must be a size"):
        parse_size(text)


def test_values_are_frozen_and_strict() -> None:
    camera = Camera(id="a", device=0)
    assert (camera.name, camera.motion.mask, camera.snapshots.retain.max_size) == ("a", (), 5 * 10**9)
    with pytest.raises(ValidationError):
        camera.id = "b"  # type: ignore[misc]
    for wrong in ({"fps": "5"}, {"width": 5.0}, {"enabled": 1}, {"motion": None}, {"nope": 1}, {"device": True}):
        with pytest.raises(ValidationError):
            Camera(**{"id": "a", "device": 0, **wrong})
    assert Config().cameras == ()


def test_no_password_in_the_text_of_any_value() -> None:
    camera = Camera(id="a", url="rtsp://u:hush@h/", substream="rtsp://u:hush@h/2")
    config = Config(cameras=(camera,))
    for text in (repr(camera), str(config), repr(config), config.model_dump_json(), repr(camera.model_dump())):
        assert "hush" not in text
    with pytest.raises(ValidationError) as caught:
        Camera(id="a", url="rtsp://u:hush@h/#", password=SecretStr("hush"))
    assert "hush" not in str(caught.value)
