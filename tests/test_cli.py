"""Each command with good and bad input: what it prints, where, and how it ends. Serving is proven in test_process."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from dashboard.__main__ import main
from dashboard.store.database import Database
from dashboard.store.users import Users
from tests.house import Store
from tests.process import Dashboard, replay
from tests.servers.clips import ClipMaker

GOOD = "a long enough one 5\n"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder that commands use, not made yet; and a folder of its own to work in."""
    for name in [name for name in os.environ if name.startswith("DASHBOARD_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DASHBOARD_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def run(*arguments: str | Path, stdin: str = "") -> Result:
    """The command, in this process; whatever it raises on purpose or not, it shows no traceback."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin, prog_name="dashboard")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def ends(result: Result, code: int, *said: str) -> str:
    """Check the exit code and that these words came out, of a failure on stderr; the whole output."""
    where = result.output if code == 0 else result.stderr
    assert result.exit_code == code, result.output
    for words in said:
        assert words in where, result.output
    return result.output


# The command itself


def _commands(group: click.Group, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [before]
    for name, command in group.commands.items():
        here = (*before, name)
        found += _commands(command, here) if isinstance(command, click.Group) else [here]
    return found


@pytest.mark.parametrize("command", _commands(main), ids=" ".join)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    text = ends(run(*command, "--help"), 0, "Usage: dashboard")
    assert text == run(*command, "-h").output
    assert "DASHBOARD_" not in text.replace("[env var: DASHBOARD_", "")


def test_the_version_is_told() -> None:
    assert ends(run("--version"), 0).startswith("dashboard, version ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["serve", "--nonsense"],
        ["serve", "--port", "70000"],
        ["serve", "--port", "http"],
        ["serve", "--log-level", "loud"],
        ["user", "add"],
        ["user", "add", "eve", "--role", "king"],
        ["user", "nonsense"],
        ["detect"],
        ["bench", "--seconds", "0"],
    ],
    ids=" ".join,
)
def test_what_is_no_command_is_refused(data: Path, arguments: list[str]) -> None:
    ends(run(*arguments), 2, "Usage:")
    assert not data.exists()


# check-config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cameras: []\n", "cameras.yaml: 0 cameras, no errors\n"),
        ("cameras:\n  - {id: a, device: 0}\n", "cameras.yaml: 1 camera, no errors\n"),
        ("cameras:\n  - {id: a, device: 0}\n  - {id: b, device: 1}\n", "cameras.yaml: 2 cameras, no errors\n"),
    ],
)
def test_a_good_file(data: Path, text: str, said: str) -> None:
    Path("cameras.yaml").write_text(text)
    Path("cameras.yaml").chmod(0o600)
    assert ends(run("check-config"), 0) == said
    assert not data.exists()


def test_every_error_of_a_bad_file_is_told_at_once(data: Path) -> None:
    secret = "never-shown-99"
    Path("other.yaml").write_text(
        "cameras:\n"
        "  - id: door\n"
        f"    url: rtsp://u:{secret}@192.0.2.1/\n"
        "    fsp: 5\n"
        "  - id: Door\n"
        "    device: -1\n"
        "  - id: gate\n"
        "    motion: {threshold: many}\n"
    )
    result = run("check-config", "--config", "other.yaml")
    ends(result, 2)
    lines = result.stderr.splitlines()
    assert result.stdout == ""
    assert len(lines) >= 4
    assert all(line.startswith("other.yaml:") for line in lines)
    for line, words in ((4, "'fsp'"), (5, "id: "), (6, "device"), (8, "threshold")):
        assert any(f":{line}" in said and words in said for said in lines), (line, words, lines)
    assert secret not in result.output


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff")])
def test_what_is_no_file(data: Path, make: Callable[[Path], object]) -> None:
    make(Path("cameras.yaml"))
    ends(run("check-config"), 2, "cameras.yaml")


def test_a_warning_is_no_error(data: Path) -> None:
    Path("cameras.yaml").write_text(
        "cameras:\n  - {id: a, url: 'rtsp://192.0.2.1/', username: u, password: hello-you}\n"
    )
    Path("cameras.yaml").chmod(0o644)
    result = run("check-config")
    ends(result, 0, "no errors")
    assert result.stderr.startswith("warning: ")
    assert "hello-you" not in result.output


# user


def may_sign_in(data: Path, name: str, password: str) -> bool:
    db = Database(data)
    try:
        return Users(db).verify(name, password) is not None
    finally:
        db.close()


def test_the_life_of_a_user(data: Path) -> None:
    ends(run("user", "add", "anna", "--role", "admin", "--password-stdin", stdin=GOOD), 0, "admin anna was added")
    ends(run("user", "add", "eve", "--password-stdin", stdin=GOOD), 0, "viewer eve was added")
    assert ends(run("user", "list"), 0) == "anna\tadmin\neve\tviewer\n"
    ends(run("user", "passwd", "eve", "--password-stdin", stdin="another long one 6\r\n"), 0, "eve has a new password")
    assert may_sign_in(data, "eve", "another long one 6")
    ends(run("user", "disable", "eve"), 0, "eve can no longer log in")
    assert ends(run("user", "list"), 0) == "anna\tadmin\neve\tviewer\tdisabled\n"
    assert not may_sign_in(data, "eve", "another long one 6")
    ends(run("user", "enable", "eve"), 0, "eve can log in again")
    ends(run("user", "remove", "eve"), 0, "eve was removed")
    assert ends(run("user", "list"), 0) == "anna\tadmin\n"


@pytest.mark.parametrize(
    "password",
    [
        "  spaces at both ends  ",
        "ünïcødé 密码 pass",
        "tab\tinside it",
        "".join(f"{n * 37 % 251:02x}" for n in range(64)),
    ],
)
def test_a_password_is_taken_as_it_is(data: Path, password: str) -> None:
    ends(run("user", "add", "anna", "--password-stdin", stdin=f"{password}\nanother line\n"), 0)
    assert may_sign_in(data, "anna", password)


def test_a_password_is_asked_for_twice_and_not_shown(data: Path) -> None:
    ends(run("user", "add", "anna", stdin=GOOD + "something else\n" + GOOD + GOOD), 0, "Repeat for confirmation")
    assert GOOD.strip() not in run("user", "add", "anna2", stdin=GOOD + GOOD).output
    assert may_sign_in(data, "anna", GOOD.strip())


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "said"),
    [
        (("add", "anna", "--password-stdin"), GOOD, 1, "already a user"),
        (("add", "ANNA", "--password-stdin"), GOOD, 1, "already a user"),
        (("add", "new", "--password-stdin"), "short\n", 1, "password"),
        (("add", "new", "--password-stdin"), "", 1, "password"),
        (("add", "new", "--password-stdin"), "password123\n", 1, "password"),
        (("add", "a\nb", "--password-stdin"), GOOD, 1, "name"),
        (("add", "", "--password-stdin"), GOOD, 1, "name"),
        (("add", "x" * 65, "--password-stdin"), GOOD, 1, "name"),
        (("passwd", "nobody", "--password-stdin"), GOOD, 1, "no user 'nobody'"),
        (("passwd", "nobody"), "", 1, "no user 'nobody'"),  # told before a password is asked for
        (("passwd", "anna", "--password-stdin"), "anna\n", 1, "password"),
        (("disable", "nobody"), "", 1, "no user 'nobody'"),
        (("enable", "nobody"), "", 1, "no user 'nobody'"),
        (("remove", "nobody"), "", 1, "no user 'nobody'"),
        (("disable", "anna"), "", 1, "last admin"),
        (("remove", "anna"), "", 1, "last admin"),
    ],
)
def test_what_is_refused_changes_nothing(
    data: Path, arguments: tuple[str, ...], stdin: str, code: int, said: str
) -> None:
    ends(run("user", "add", "anna", "--role", "admin", "--password-stdin", stdin=GOOD), 0)
    result = run("user", *arguments, stdin=stdin)
    ends(result, code, said)
    assert result.stderr.startswith("dashboard: ")
    assert result.stderr.count("\n") == 1
    assert GOOD.strip() not in result.output
    assert run("user", "list").output == "anna\tadmin\n"
    assert may_sign_in(data, "anna", GOOD.strip())


@pytest.mark.parametrize(
    "command",
    [("user", "list"), ("user", "passwd", "x"), ("user", "disable", "x"), ("user", "remove", "x"), ("check",)],
)
def test_a_folder_that_holds_nothing_is_not_filled(data: Path, command: tuple[str, ...]) -> None:
    """A slip in --data-dir is told, and makes no second data folder."""
    ends(run(*command, "--data-dir", "dta"), 2, "no dashboard.db in dta")
    assert not Path("dta").exists()


@pytest.mark.parametrize(
    "url", ["bogus", "mysql://u:hidden-word@127.0.0.1/x", "postgresql://u:hidden-word@127.0.0.1:9/x"]
)
def test_a_database_that_is_not_there(data: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DASHBOARD_DATABASE_URL", url)
    result = run("user", "list")
    ends(result, 1, "dashboard: the")
    assert "hidden-word" not in result.output


def test_a_damaged_database_is_left_as_it_is(data: Path) -> None:
    data.mkdir()
    (data / "dashboard.db").write_bytes(b"nothing that SQLite knows" * 1000)
    before = (data / "dashboard.db").read_bytes()
    for command in (("check",), ("user", "list"), ("user", "add", "anna", "--password-stdin")):
        ends(run(*command, stdin=GOOD), 1, "damaged")
    assert (data / "dashboard.db").read_bytes() == before


# check


def _old(path: Path) -> Path:
    """A file that nobody can be writing just now."""
    os.utime(path, (time.time() - 3600,) * 2)
    return path


def _row_without_file(folder: Path) -> None:
    next(folder.rglob("*-peak-*.jpg")).unlink()


def _wrong_size(folder: Path) -> None:
    path = next(folder.rglob("*-peak-*.jpg"))
    path.write_bytes(path.read_bytes()[:-10])


def _wrong_hash(folder: Path) -> None:
    path = next(folder.rglob("*-peak-*.jpg"))
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)


def _file_without_row(folder: Path) -> None:
    path = next(folder.rglob("*-peak-*.jpg"))
    other = path.with_name(path.name.replace("-peak-", "-start-"))
    other.write_bytes(path.read_bytes())
    _old(other)


def _leftover(folder: Path) -> None:
    path = next(folder.rglob("*.jpg")).parent / ".draft.jpg.tmp"
    path.write_bytes(b"half")
    _old(path)


def _link(folder: Path) -> None:
    (next(folder.rglob("*.jpg")).parent / "link.jpg").symlink_to("/etc/passwd")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_row_without_file, "row without file"),
        (_wrong_size, "wrong size"),
        (_wrong_hash, "wrong hash"),
        (_file_without_row, "file without row"),
        (_leftover, "leftover"),
        (_link, "link"),
    ],
)
def test_check_finds_what_is_wrong(data: Path, damage: Callable[[Path], None], said: str) -> None:
    store = Store(data, [])  # type: ignore[arg-type]
    store.events._notices = None
    try:
        store.event(at=time.time() - 1000)
        store.event(at=time.time() - 500)
    finally:
        store.db.close()
    for path in (data / "snapshots").rglob("*.jpg"):
        _old(path)
    assert ends(run("check"), 0) == "rows and files agree\n"
    damage(data / "snapshots")
    first, last = ends(run("check"), 1).splitlines()
    assert first.startswith(f"{said}: snapshots/door/")
    assert last == "1 finding"
    quick = run("check", "--no-hashes")
    assert quick.exit_code == (0 if said == "wrong hash" else 1)
    assert run("check").output.splitlines()[-1] == "1 finding", "looking changes nothing"


# detect


def test_detection_as_json(data: Path, make_clip: ClipMaker) -> None:
    moving, still = make_clip(), make_clip(moving=False, numbered=False)
    lines = ends(run("detect", moving.path, still.path, "--json", "--set", "motion.event_gap=0.5"), 0).splitlines()
    found, nothing = (json.loads(line) for line in lines)
    assert found.keys() == nothing.keys() == {"file", "events", "frames", "cpu_s"}
    assert (found["file"], nothing["file"]) == (str(moving.path), str(still.path))
    assert nothing["events"] == []
    assert found["events"]
    assert 15 <= found["frames"] <= 22  # five a second of four seconds
    assert 0 <= found["cpu_s"] < 10
    for event in found["events"]:
        assert event.keys() == {"start", "end", "peak_area", "box"}
        assert 0 <= event["start"] <= event["end"] <= 4
        assert 0 < event["peak_area"] <= 100
        assert len(event["box"]) == 4
        assert all(0 <= side <= 1 for side in event["box"])
    assert not data.exists()


def test_detection_for_people(data: Path, make_clip: ClipMaker) -> None:
    first, *rest = ends(run("detect", make_clip().path), 0).splitlines()
    assert f"{make_clip().path}: " in first
    assert " s to " in rest[0]
    assert ends(run("detect", make_clip(moving=False, numbered=False).path), 0).endswith(": 0 events in 20 pictures\n")


def test_settings_change_what_is_detected(data: Path, make_clip: ClipMaker) -> None:
    blind = json.loads(run("detect", make_clip().path, "--json", "--set", "motion.min_area=99").stdout)
    slow = json.loads(run("detect", make_clip().path, "--json", "--set", "detect.fps=1").stdout)
    assert blind["events"] == []
    assert slow["frames"] <= 5


def test_a_file_that_cannot_be_read_does_not_end_the_others(data: Path, make_clip: ClipMaker) -> None:
    Path("text.mp4").write_text("no video")
    result = run("detect", "none.mp4", "text.mp4", make_clip().path, "--json")
    ends(result, 2, "none.mp4: there is no such file\n", "text.mp4: the file is not a video")
    assert json.loads(result.stdout)["file"] == str(make_clip().path)


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("motion.threshold", "must be KEY=VALUE"),
        ("=5", "must be KEY=VALUE"),
        ("motion.threshold=x", "--set motion.threshold: "),
        ("motion.threshold=999", "--set motion.threshold: "),
        ("motion.treshold=30", "threshold"),
        ("motion=[", "--set motion: must be KEY=VALUE"),
        ("motion.threshold.x=1", "--set motion.threshold"),
        ("url=rtsp://192.0.2.1/", "url"),
        ("motion.mask=[[[0,0],[1,1]]]", "motion.mask"),
    ],
)
def test_a_setting_that_is_none(data: Path, make_clip: ClipMaker, pair: str, said: str) -> None:
    result = run("detect", make_clip().path, "--set", pair, "--json")
    ends(result, 2, said)
    assert result.stdout == ""


# The first cameras.yaml


def test_a_first_file_is_written_where_none_is_named(tmp_path: Path) -> None:
    home = Dashboard(tmp_path / "home")
    home.config.unlink()
    with socket.create_server(("127.0.0.1", 0)) as taken:  # so that nothing but the file is made
        port = str(taken.getsockname()[1])
        named = home.command("serve", "--port", port)
        assert (named.returncode, home.config.exists()) == (2, False)
        done = home.command("serve", "--port", port, env={"DASHBOARD_CONFIG": ""})
        assert done.returncode == 1
        assert done.stdout.startswith("There was no cameras.yaml: wrote one")
        assert stat.S_IMODE(home.config.stat().st_mode) == 0o600
        assert home.command("check-config").stdout == "cameras.yaml: 3 cameras, no errors\n"
        home.config.write_text("cameras: 5")
        again = home.command("serve", "--port", port, env={"DASHBOARD_CONFIG": ""})
        assert (again.returncode, home.config.read_text()) == (2, "cameras: 5")


# bench, and what only a process shows


def test_bench_says_how_many(tmp_path: Path, make_clip: ClipMaker) -> None:
    home = Dashboard(tmp_path / "home", [replay(make_clip), {"id": "gone", "replay": "none.mp4"}])
    done = home.command("bench", "--seconds", "2")
    assert done.returncode == 0, done.stderr
    assert "lobby                live" in done.stdout
    assert "gone                 offline" in done.stdout
    assert "1 live camera takes" in done.stdout
    assert not home.data.exists()


@pytest.mark.parametrize(
    ("errors", "code", "said"),
    [("surrogateescape", 1, "the password contains half a character"), ("strict", 2, "what comes in is no text")],
)
def test_bytes_that_are_no_text(tmp_path: Path, errors: str, code: int, said: str) -> None:
    """Which of the two a terminal gives depends on its locale."""
    home = Dashboard(tmp_path / "home")
    broken = (b"\xff\xfe" + GOOD.encode()).decode("utf-8", "surrogateescape")
    env = {"PYTHONIOENCODING": f"utf-8:{errors}"}
    done = home.command("user", "add", "anna", "--password-stdin", stdin=broken, env=env)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_console_script_is_the_same(tmp_path: Path) -> None:
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="dashboard")
    assert script.load() is main
