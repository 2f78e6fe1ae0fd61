"""Other programs at the real server: what an access token opens, what it never opens, and how it ends."""

from __future__ import annotations

import base64
import logging
import re
import socket
import threading
from collections.abc import Iterator

import pytest

from dashboard.logs import redact
from dashboard.web import create_app
from dashboard.web.access import camera_of, token_in
from dashboard.web.parts import Parts
from tests.stores import Store
from tests.web_client import Answer, Browser, read_until_closed, serving, until
from tests.web_fakes import FakeCamera, fake_parts, run_camera

DAY = 86400.0
PASSWORD = "Kirschkernweitspucken"


@pytest.fixture
def store(sqlite_store: Store) -> Store:
    sqlite_store.users.add("root", PASSWORD, "admin")
    sqlite_store.users.add("ann", PASSWORD)
    return sqlite_store


@pytest.fixture
def parts(store: Store) -> Iterator[Parts]:
    """Two cameras that run, over real users, sessions and tokens."""
    cameras = [FakeCamera("door", "Front door"), FakeCamera("yard")]
    stop = threading.Event()
    threads = [run_camera(camera, stop) for camera in cameras]
    yield fake_parts(cameras, users=store.users, sessions=store.sessions, tokens=store.tokens, notices=store.notices)
    stop.set()
    for thread in threads:
        thread.join(5)


@pytest.fixture
def program(parts: Parts) -> Iterator[Browser]:
    with serving(parts) as browser:
        yield browser


@pytest.fixture
def token(store: Store) -> str:
    """Of ann, for the door."""
    return store.tokens.make(store.users.find("ann").id, "vlc", ["door"], 7)


def basic(token: str, name: str = "anybody") -> str:
    return "Basic " + base64.b64encode(f"{name}:{token}".encode()).decode()


def with_header(program: Browser, path: str, value: str, method: str = "GET") -> Answer:
    return program.ask(method, path, headers={"Authorization": value})


def opened(program: Browser, path: str) -> socket.socket:
    """A stream that has begun to send pictures."""
    connection = program.stream(path)
    got = b""
    while b"\xff\xd8" not in got:
        some = connection.recv(65536)
        assert some, got
        got += some
    assert got.startswith(b"HTTP/1.1 200 ")
    return connection


def test_a_token_reads_a_picture_in_three_ways(program: Browser, token: str) -> None:
    path = "/api/cameras/door/latest.jpg"
    for answer in (
        program.get(f"{path}?token={token}"),
        program.get(f"{path}?width=320&token={token}"),
        with_header(program, path, f"Bearer {token}"),
        with_header(program, path, f"bearer {token}"),
        with_header(program, path, basic(token)),
        with_header(program, path, basic(token, "")),
    ):
        assert answer.status == 200
        assert answer.body.startswith(b"\xff\xd8")
        assert answer.cookies == []
    assert program.ask("HEAD", f"{path}?token={token}").status == 200


def test_a_token_reads_a_stream(program: Browser, token: str) -> None:
    opened(program, f"/video_feed/door?token={token}").close()
    assert program.ask("HEAD", f"/video_feed/door?token={token}").status == 200


@pytest.mark.parametrize("path", ["/video_feed/{}", "/api/cameras/{}/latest.jpg"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_camera_of_others_is_one_that_is_not_there(program: Browser, token: str, path: str, method: str) -> None:
    query = f"?token={token}"
    other, unknown = (program.ask(method, path.format(camera) + query) for camera in ("yard", "nowhere"))
    assert other.status == unknown.status == 404
    assert other.body == unknown.body
    assert {k: v for k, v in other.headers.items() if k != "date"} == {
        k: v for k, v in unknown.headers.items() if k != "date"
    }


def test_an_unknown_camera_is_the_same_for_a_token_of_all(program: Browser, store: Store, token: str) -> None:
    everything = store.tokens.make(store.users.find("ann").id, "all", None, None)
    assert program.get(f"/api/cameras/yard/latest.jpg?token={everything}").status == 200
    unknown = program.get(f"/api/cameras/nowhere/latest.jpg?token={everything}")
    assert (unknown.status, unknown.body) == (404, program.get(f"/api/cameras/yard/latest.jpg?token={token}").body)


@pytest.mark.parametrize("path", ["/video_feed/door", "/api/cameras/door/latest.jpg", "/live/door.mp4"])
def test_a_wrong_token_is_asked_for_a_better_one(program: Browser, token: str, path: str) -> None:
    for answer in (
        program.get(path),
        program.get(f"{path}?token="),
        program.get(f"{path}?token={token[:-1]}"),
        with_header(program, path, f"Bearer {token}x"),
        with_header(program, path, basic("wrong")),
        with_header(program, path, "Basic ???"),
        with_header(program, path, "Basic " + base64.b64encode(b"\xff\xfe").decode()),
        with_header(program, path, f"Digest {token}"),
    ):
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Basic realm="camera dashboard"'
        assert token[4:] not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 302),
        ("GET", "/cameras/door", 302),
        ("GET", "/events", 302),
        ("GET", "/account", 302),
        ("POST", "/account/tokens", 302),
        ("GET", "/api/cameras", 401),
        ("GET", "/api/cameras/door", 401),
        ("GET", "/api/stats", 401),
        ("GET", "/api/events", 401),
        ("GET", "/metrics", 401),
        ("GET", "/live", 401),
        ("GET", "/live/door", 401),
        ("POST", "/video_feed/door", 401),
        ("DELETE", "/api/cameras/door/latest.jpg", 401),
        ("OPTIONS", "/video_feed/door", 401),
        ("GET", "/video_feed/door/", 401),
        ("GET", "/video_feed/", 401),
        ("GET", "/video_feed/../api/stats", 401),
        ("GET", "/api/cameras/door/latest.jpg/../../../events", 401),
        ("GET", "/video_feed%2Fdoor%2F", 401),
        ("GET", "//video_feed/door", 302),
    ],
)
def test_a_token_opens_nothing_else(program: Browser, store: Store, method: str, path: str, status: int) -> None:
    token = store.tokens.make(store.users.find("root").id, "all", None, None)
    assert program.ask(method, f"{path}?token={token}").status == status
    for value in (f"Bearer {token}", basic(token)):
        answer = with_header(program, path, value, method)
        assert answer.status == status
        assert "www-authenticate" not in answer.headers


def test_the_socket_of_the_wall_refuses_a_token(program: Browser, store: Store) -> None:
    token = store.tokens.make(store.users.find("root").id, "all", None, None)
    with socket.create_connection(("127.0.0.1", program.port), timeout=10) as connection:
        lines = [
            f"GET /live?token={token} HTTP/1.1",
            f"Host: 127.0.0.1:{program.port}",
            f"Authorization: Bearer {token}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_revoking_cuts_an_open_stream(program: Browser, parts: Parts, store: Store, token: str) -> None:
    stays = store.tokens.make(store.users.find("ann").id, "hall", None, None)
    ann = store.users.find("ann").id
    with (
        opened(program, f"/video_feed/door?token={token}") as cut,
        opened(program, f"/video_feed/door?token={stays}") as kept,
    ):
        store.tokens.revoke(next(view.id for view in store.tokens.list_of(ann) if view.label == "vlc"), ann)
        assert read_until_closed(cut, 10)
        assert not read_until_closed(kept, 5)  # the sweep leaves what is good
    assert until(lambda: parts.audience.viewers("door") == 0)
    assert program.get(f"/video_feed/door?token={token}").status == 401


@pytest.mark.parametrize("how", ["expired", "disabled"])
def test_a_stream_ends_when_its_token_is_not_good_any_more(
    program: Browser, store: Store, token: str, how: str
) -> None:
    with opened(program, f"/video_feed/door?token={token}") as connection:
        if how == "expired":
            store.clock.now += 7.1 * DAY  # nobody tells: the sweep finds it
        else:
            store.users.disable("ann")
        assert read_until_closed(connection, 10)
    assert program.get(f"/api/cameras/door/latest.jpg?token={token}").status == 401


def test_a_person_s_stream_is_not_taken_for_a_token_s(program: Browser, parts: Parts, store: Store, token: str) -> None:
    """The first session and the first token have the same number."""
    assert program.sign_in("ann", PASSWORD).status == 302
    ann = store.users.find("ann").id
    with opened(program, "/video_feed/door") as connection:
        store.tokens.revoke(store.tokens.list_of(ann)[0].id, ann)
        assert not read_until_closed(connection, 4)


def test_no_token_comes_into_the_log(program: Browser, token: str, caplog: pytest.LogCaptureFixture) -> None:
    """Ours do not even say it; what libraries would say at their finest level is taken out."""
    caplog.set_level(logging.DEBUG)
    for answer in (
        program.get(f"/api/cameras/door/latest.jpg?token={token}"),
        program.get(f"/video_feed/yard?token={token}"),
        program.get(f"/live/door.mp4?token={token}"),
        program.get(f"/?token={token}"),
        with_header(program, "/api/cameras/door/latest.jpg", basic(token)),
    ):
        assert answer.headers["referrer-policy"] == ("same-origin" if answer.status == 302 else "no-referrer")
    program.sign_in("ann", PASSWORD)
    made = re.search(r"cdt_[\w-]+", make(program, every="1").text)
    assert made
    assert "made the access token" in caplog.text
    for secret in (token, made[0]):
        assert secret[4:20] not in redact(caplog.text)
        ours = [record.getMessage() for record in caplog.records if record.name.startswith("dashboard")]
        assert secret[4:20] not in "\n".join(ours)


def test_the_same_under_plain_flask(parts: Parts, token: str) -> None:
    client = create_app(parts).test_client()
    path = "/api/cameras/door/latest.jpg"
    assert client.get(f"{path}?token={token}").status_code == 200
    assert client.get(path, headers={"Authorization": basic(token)}).status_code == 200
    wrong = client.get(f"{path}?token=x")
    assert (wrong.status_code, wrong.headers["WWW-Authenticate"]) == (401, 'Basic realm="camera dashboard"')
    other = client.get(f"/api/cameras/yard/latest.jpg?token={token}")
    unknown = client.get(f"/api/cameras/nowhere/latest.jpg?token={token}")
    assert (other.status_code, other.data) == (unknown.status_code, unknown.data)
    assert other.status_code == 404
    assert client.get(f"/api/stats?token={token}").status_code == 401
    assert client.get(f"/account?token={token}").status_code == 302


@pytest.mark.parametrize(
    ("method", "path", "camera"),
    [
        ("GET", "/video_feed/door", "door"),
        ("HEAD", "/api/cameras/door/latest.jpg", "door"),
        ("GET", "/live/door.mp4", "door"),
        ("POST", "/live/door.mp4", None),
        ("GET", "/live/door.mp4\n", None),
        ("GET", "/live/a/b.mp4", None),
        ("GET", "/live", None),
        ("GET", "/api/cameras", None),
    ],
)
def test_what_a_token_is_good_for(method: str, path: str, camera: str | None) -> None:
    assert camera_of(method, path) == camera


def test_the_query_speaks_before_the_header() -> None:
    assert token_in("fps=5&token=a&token=b", "Bearer c") == "a"
    assert token_in("fps=5", "Bearer c") == "c"
    assert token_in("fps=5", basic("d:e")) == "d:e"
    assert token_in("", "") is None


# --- the account page -----------------------------------------------------------------------------------------------


def make(browser: Browser, **fields: str) -> Answer:
    return browser.post("/account/tokens", csrf_token=browser.csrf(), **{"label": "VLC", "term": "30", **fields})


def test_a_token_is_made_shown_once_listed_and_revoked(program: Browser, store: Store) -> None:
    program.sign_in("ann", PASSWORD)
    assert "No other program has access yet." in program.get("/account").text
    page = make(program, camera="door")
    assert page.status == 200
    (made,) = set(re.findall(r"cdt_[\w-]{43}", page.text))
    assert page.text.count(made) == 5  # itself, and four addresses
    assert f"http://127.0.0.1:{program.port}/video_feed/door?token={made}" in page.text

    listed = program.get("/account").text
    assert "cdt_" not in listed
    assert "VLC" in listed
    assert "not used yet" in listed
    stranger = Browser(program.port)
    assert stranger.get(f"/api/cameras/door/latest.jpg?token={made}").status == 200
    assert "last used" in program.get("/account").text

    (number,) = re.findall(r"/account/tokens/(\d+)/revoke", listed)
    done = program.post(f"/account/tokens/{number}/revoke", csrf_token=program.csrf())
    assert (done.status, done.headers["location"]) == (302, "/account?done=token#access")
    assert stranger.get(f"/api/cameras/door/latest.jpg?token={made}").status == 401
    assert program.post(f"/account/tokens/{number}/revoke", csrf_token=program.csrf()).status == 404


def test_the_addresses_shown_work_as_they_stand(program: Browser) -> None:
    program.sign_in("ann", PASSWORD)
    page = make(program, every="1")
    stranger = Browser(program.port)
    with_password = re.search(r"http://token:(cdt_[\w-]+)@", page.text)
    assert with_password
    assert with_header(stranger, "/video_feed/door", basic(with_password[1], "token"), "HEAD").status == 200
    for path in re.findall(rf"http://127\.0\.0\.1:{program.port}(/[^<\s]+)", page.text):
        video = "/live/" in path  # this camera sends JPEGs, which are told to be elsewhere
        assert stranger.ask("HEAD", path).status == (406 if video else 200)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Choose the cameras"),
        ({"camera": "attic"}, "not there any more"),
        ({"camera": "door", "term": "8"}, "Choose how long"),
        ({"camera": "door", "label": " "}, "A label has 1 to 64 characters"),
        ({"camera": "door", "label": "x" * 65}, "A label has 1 to 64 characters"),
    ],
)
def test_a_form_that_is_not_right_says_why_and_keeps_what_was_typed(
    program: Browser, store: Store, fields: dict[str, str], said: str
) -> None:
    program.sign_in("ann", PASSWORD)
    answer = make(program, **fields)
    assert answer.status == 400
    assert said in answer.text
    assert f'value="{fields.get("label", "VLC").strip()}"' in answer.text
    assert store.tokens.list_of(store.users.find("ann").id) == ()


def test_a_label_is_text(program: Browser) -> None:
    program.sign_in("ann", PASSWORD)
    page = make(program, every="1", label="<script>x</script>").text
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page


def test_the_forms_need_their_csrf_token_and_revoke_only_one_s_own(program: Browser, store: Store, token: str) -> None:
    number = store.tokens.list_of(store.users.find("ann").id)[0].id
    program.sign_in("root", PASSWORD)
    assert program.post("/account/tokens", label="x", every="1", term="7").status == 400
    assert program.post(f"/account/tokens/{number}/revoke").status == 400
    assert program.post(f"/account/tokens/{number}/revoke", csrf_token=program.csrf()).status == 404
    assert program.post(f"/account/tokens/{2**63}/revoke", csrf_token=program.csrf()).status == 404
    assert store.tokens.find(token) is not None
