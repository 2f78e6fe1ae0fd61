"""Lines of the log: their form, what must never be in them, and floods that become a number."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from dashboard import logs
from dashboard.logs import Handler, Tally, one_line, redact

ROOT = Path(__file__).resolve().parent.parent
PRINTABLE = "".join(chr(code) for code in range(32, 127))


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """What was logged since `setup`, by lines; logging is as before afterwards."""
    stream = io.StringIO()
    root = logging.getLogger()
    loggers = [root, logging.getLogger("dashboard"), logging.getLogger("libav")]
    before, levels = list(root.handlers), [logger.level for logger in loggers]
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(logs, "_hidden", logs._Hidden())
    logs.setup("info", stream)
    yield lambda: stream.getvalue().splitlines()
    logging.captureWarnings(False)
    monkeypatch.undo()
    assert root.handlers == before
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


log = logging.getLogger("dashboard.capture.camera")


def test_a_line(written: Callable[[], list[str]]) -> None:
    thread = threading.Thread(target=lambda: log.info("live: %s, %dx%d", "H.264", 1280, 720), name="capture-door")
    thread.start()
    thread.join()
    (line,) = written()
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO capture-door  live: H\.264, 1280x720", line)


def test_times_are_utc(written: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/St_Johns")
    time.tzset()
    try:
        record = log.makeRecord(log.name, logging.INFO, __file__, 1, "x", (), None)
        record.created = 1795528931.1236
        assert logs.Formatter().format(record).startswith("2026-11-24T14:02:11.123Z INFO ")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_levels(written: Callable[[], list[str]]) -> None:
    log.debug("not said")
    logging.getLogger("sqlalchemy.engine").info("not said either")
    logging.getLogger("libav.h264").error("nor this")
    logging.getLogger("sqlalchemy.pool").warning("said")
    assert [line.rpartition("  ")[2] for line in written()] == ["said"]


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\x1b[31mb", "a\x00b", "a\u2028b", "a\u202eb", "a\x85b"])
def test_what_somebody_typed_stays_in_its_line(text: str, written: Callable[[], list[str]]) -> None:
    log.warning("login of %r from %s failed", "x", text)
    log.warning(text)
    assert len(written()) == 2
    assert all(line.isprintable() for line in written())


def test_visible_forms() -> None:
    assert one_line("Haustür · 日本 \U0001f600\n\x07") == "Haustür · 日本 \U0001f600\\n\\x07"


def test_a_traceback_is_indented_and_redacted(written: Callable[[], list[str]]) -> None:
    logs.hide("hush-hush")
    try:
        raise ValueError("cannot open rtsp://u:p@h/\nwith hush-hush")
    except ValueError:
        log.exception("failed")
    first, *rest = written()
    assert first.endswith("  failed")
    assert all(line.startswith("    ") for line in rest)
    assert rest[-2:] == ["    ValueError: cannot open rtsp://***@h/", "    with ***"]


def test_arguments_that_do_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    Handler(stream).emit(log.makeRecord(log.name, logging.INFO, __file__, 1, "%d cameras", ("hush-hush",), None))
    assert stream.getvalue().endswith("  %d cameras (its arguments do not fit)\n")
    assert capsys.readouterr().err == ""


def test_a_message_has_an_end(written: Callable[[], list[str]]) -> None:
    before = time.process_time()
    log.info("a" * 10_000_000)
    log.info("https:" * 100_000 + "//" * 100_000 + "password=" * 10_000)
    assert max(map(len, written())) < 8_200
    assert time.process_time() - before < 5


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("open rtsp://viewer:geheim@192.0.2.10/s1 failed", "open rtsp://***@192.0.2.10/s1 failed"),
        ("'rtsp://viewer:ge/h#e@im@192.0.2.10/s1': no", "'rtsp://***@192.0.2.10/s1': no"),
        ("rtsp://viewer@h/ http://a:b@c/,https://d:e@f/", "rtsp://***@h/ http://***@f/"),
        ("postgresql+psycopg://me:geheim@db/cameras", "postgresql+psycopg://***@db/cameras"),
        ("http://h:8080/path and a@b.example", "http://h:8080/path and a@b.example"),
        ("Authorization: Basic dTpw", "Authorization: ***"),
        ('authorization: Digest username="u", response="x"\r\nHost: h', "authorization: ***\r\nHost: h"),
        ("{'Authorization': 'Basic dTpw', 'Host': 'h'}", "{'Authorization': '***', 'Host': 'h'}"),
        ("Cookie: session=abc; remember=def", "Cookie: ***"),
        ("X-CSRFToken: abc", "X-CSRFToken: ***"),
        ("GET /login?password=geheim&next=/ 200", "GET /login?password=***&next=/ 200"),
        ("csrf_token=abc&username=me", "csrf_token=***&username=me"),
        ('{"password": "ge heim", "name": "me"}', '{"password": "***", "name": "me"}'),
        ("camera 'door': password: ${DOOR} is not set", "camera 'door': password: ${DOOR} is not set"),
        ("wrong user name or password", "wrong user name or password"),
    ],
)
def test_redact(text: str, redacted: str) -> None:
    assert redact(text) == redacted
    assert redact(redacted) == redacted


@pytest.mark.parametrize("secret", ["correct horse", "p%23w@", "a\"b\\c'<&>", PRINTABLE, "pässwörd", "1234"])
def test_a_hidden_text_in_any_form(secret: str, written: Callable[[], list[str]]) -> None:
    logs.hide(secret)
    forms = [
        secret,
        quote(secret),
        quote(secret, safe=""),
        re.sub("%..", lambda found: found[0].lower(), quote(secret, safe="")),
        repr(secret),
        json.dumps(secret),
    ]
    if len(secret) > 4:
        forms += [base64.b64encode((user + secret).encode()).decode() for user in ("", "u:", "me:", "you:")]
    for number, form in enumerate(forms):
        log.info("%d says <%s>", number, form)
        assert secret not in written()[-1]
        assert "***" in written()[-1]
        core = form[6:-6] if len(form) > 24 else form
        assert core not in written()[-1]


def test_short_texts_are_not_hidden(written: Callable[[], list[str]]) -> None:
    logs.hide("a")
    logs.hide("")
    log.info("a cat")
    assert written()[0].endswith("a cat")


def test_redact_takes_texts_of_its_own() -> None:
    assert redact("hush, hush", ["hush"]) == "***, ***"


class TestTally:
    def test_some_pass_the_rest_are_counted(self) -> None:
        tally = Tally(limit=3, window=60)
        passed = [tally.passes("x", at) for at in range(10)]
        assert passed == [True] * 3 + [False] * 7
        assert list(tally.due(59)) == []
        assert list(tally.due(60)) == [("x", 7)]
        assert tally.passes("x", 60)
        assert list(tally.due(1000)) == []

    def test_lines_are_counted_apart(self) -> None:
        tally = Tally(limit=1, window=60)
        assert [tally.passes(line, 0) for line in "abab"] == [True, True, False, False]
        assert sorted(tally.due(60)) == [("a", 1), ("b", 1)]

    def test_there_is_an_end_to_what_is_kept(self) -> None:
        tally = Tally(limit=1, window=60, most=10)
        for number in range(1000):
            list(tally.due(0))
            assert tally.passes(str(number), 0)
        assert len(tally._seen) <= 10


def test_a_flood_becomes_one_line(written: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("dashboard.logs.time.monotonic", lambda: now)
    for _ in range(215):
        log.warning("no answer within %d s", 5)
    log.warning("something else")
    assert len(written()) == 4
    now += 61
    log.warning("no answer within %d s", 5)
    assert len(written()) == 6
    assert re.search(r"Z WARNING MainThread  no answer within 5 s … repeated 212 times in 60 s$", written()[4])
    assert written()[5].endswith("  no answer within 5 s")


def test_the_end_tells_what_is_still_counted() -> None:
    stream = io.StringIO()
    handler = Handler(stream, Tally(limit=1))
    for _ in range(3):
        handler.emit(log.makeRecord(log.name, logging.INFO, __file__, 1, "x", (), None))
    handler.close()
    assert stream.getvalue().splitlines()[-1].endswith("x … repeated 2 times in 60 s")


def test_warnings_and_what_nobody_caught_are_lines_too() -> None:
    program = """
import threading, warnings
from dashboard import logs
logs.setup()
logs.hide("hush-hush")
warnings.warn("careful with hush-hush")
def fail(): raise ValueError("hush" + "-hush")
thread = threading.Thread(target=fail, name="motion-door")
thread.start()
thread.join()
fail()
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert "UserWarning: careful with ***" in lines[0]
    assert lines[1].endswith("CRITICAL motion-door  thread motion-door ended by an error")
    assert lines.count("    ValueError: ***") == 2
    assert lines[-1] == "    ValueError: ***"
    assert "hush-hush" not in done.stderr


def test_a_closed_stream_harms_nobody() -> None:
    stream = io.StringIO()
    handler = Handler(stream)
    stream.close()
    handler.emit(log.makeRecord(log.name, logging.INFO, __file__, 1, "x", (), None))
    handler.close()
