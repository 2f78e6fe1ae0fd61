"""The command line. Each command reads its arguments, calls one thing, prints, and ends with 0, 1 or 2."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from dashboard import logs
from dashboard.errors import ConfigError, DashboardError
from dashboard.memory import few_arenas

if TYPE_CHECKING:
    from dashboard.store.database import Database
    from dashboard.store.users import Users
    from dashboard.system import System
    from dashboard.web.serving import Serving

STOP_WITHIN = 2.8
"""Seconds after the first signal when the process ends, whatever still hangs: what is stored is safe at any moment."""

config_option = click.option(
    "--config",
    "config_path",
    envvar="DASHBOARD_CONFIG",
    default="cameras.yaml",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The file that declares the cameras.",
)
data_option = click.option(
    "--data-dir",
    envvar="DASHBOARD_DATA_DIR",
    default="data",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The folder of the database, the snapshots and the secret.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="camera-dashboard", prog_name="dashboard")
def main() -> None:
    """A self-hosted dashboard for many cameras: a live wall, motion snapshots, review in the browser."""


@contextmanager
def told() -> Iterator[None]:
    """Turn what is raised on purpose into a sentence and an exit code: 2 for bad configuration, 1 for what failed."""
    try:
        yield
    except ConfigError as error:
        for finding in error.findings:
            click.echo(finding, err=True)
        sys.exit(2)
    except DashboardError as error:
        click.echo(f"dashboard: {error}", err=True)
        sys.exit(1)


@main.command()
@config_option
@data_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
@click.option("--log-level", default="info", show_default=True, type=click.Choice(list(logs.LEVELS)))
def serve(config_path: Path, data_dir: Path, host: str, port: int, log_level: str) -> None:
    """Serve the dashboard; makes the first login when there is none."""
    from dashboard.config import load

    few_arenas()
    logs.setup(log_level)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # while it starts
    _write_first_config(config_path)
    with told():
        config = load(config_path)  # before what takes long to import: a mistake is told at once
        for warning in config.warnings:
            logging.getLogger(__name__).warning(warning)

        from dashboard.system import System
        from dashboard.web.asgi import Application
        from dashboard.web.serving import Serving, listen
        from dashboard.wiring import parts_of

        listen(host, port).close()  # a taken port is told before anything is set up
        with System(config, config_path, data_dir, _database_url(), progress=_Progress()) as system:
            _show_first_login(system)
            serving = Serving(Application(parts_of(system)), host, port, _show_address)
            _stop_on_signals(serving)
            serving.run()


@main.command("check-config")
@config_option
def check_config(config_path: Path) -> None:
    """Show every error in cameras.yaml; opens no camera."""
    from dashboard.config import load

    with told():
        config = load(config_path)
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    cameras = "1 camera" if len(config.cameras) == 1 else f"{len(config.cameras)} cameras"
    click.echo(f"{config_path.name}: {cameras}, no errors")


@main.command()
@data_option
@click.option("--hashes/--no-hashes", default=True, show_default=True, help="Read every file and compare its hash.")
def check(data_dir: Path, hashes: bool) -> None:
    """Say whether rows and files of the data folder agree; ends with 1 if they do not."""
    from dashboard.store.check import check as findings_of
    from dashboard.store.snapshots import Snapshots

    count = 0
    with told(), _database(data_dir) as db:
        for finding in findings_of(db, Snapshots(data_dir), hashes=hashes):
            click.echo(str(finding))
            count += 1
    click.echo(f"{count} finding{'' if count == 1 else 's'}" if count else "rows and files agree")
    sys.exit(1 if count else 0)


@main.group()
def user() -> None:
    """Users and their passwords."""


@user.command("add")
@click.argument("name")
@click.option("--role", default="viewer", show_default=True, type=click.Choice(["admin", "viewer"]))
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@data_option
def user_add(name: str, role: str, password_stdin: bool, data_dir: Path) -> None:
    """Add a user."""
    with _users(data_dir, new=True) as users:
        users.add(name, _password(password_stdin), role)
    click.echo(f"{role} {name} was added")


@user.command("list")
@data_option
def user_list(data_dir: Path) -> None:
    """List all users."""
    with _users(data_dir) as users:
        for each in users.list():
            click.echo(f"{each.name}\t{each.role}{'	disabled' if each.disabled else ''}")


@user.command("passwd")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@data_option
def user_passwd(name: str, password_stdin: bool, data_dir: Path) -> None:
    """Give a user a new password; ends the user's sessions."""
    with _users(data_dir) as users:
        users.find(name)
        users.set_password(name, _password(password_stdin))
    click.echo(f"{name} has a new password; open sessions of that user end")


@user.command("disable")
@click.argument("name")
@data_option
def user_disable(name: str, data_dir: Path) -> None:
    """Lock a user out; ends the user's sessions."""
    with _users(data_dir) as users:
        users.disable(name)
    click.echo(f"{name} can no longer log in")


@user.command("enable")
@click.argument("name")
@data_option
def user_enable(name: str, data_dir: Path) -> None:
    """Let a disabled user in again."""
    with _users(data_dir) as users:
        users.enable(name)
    click.echo(f"{name} can log in again")


@user.command("remove")
@click.argument("name")
@data_option
def user_remove(name: str, data_dir: Path) -> None:
    """Remove a user; ends the user's sessions."""
    with _users(data_dir) as users:
        users.remove(name)
    click.echo(f"{name} was removed")


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="A setting, such as motion.threshold=30.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each file.")
def detect(files: tuple[Path, ...], pairs: tuple[str, ...], as_json: bool) -> None:
    """Run the motion detector over recorded files, with exactly the code that runs live."""
    from dashboard.capture.replay import read_file
    from dashboard.config.overrides import settings
    from dashboard.errors import SourceError
    from dashboard.motion.detect import detect as detect_in

    with told():
        chosen = settings(pairs)
    failed = False
    for file in files:
        try:
            found = detect_in(read_file(file), chosen.motion, chosen.detect.fps)
        except SourceError as error:
            click.echo(f"{file}: {error}", err=True)
            failed = True
            continue
        if as_json:
            rows = [
                {
                    "start": round(event.start, 3),
                    "end": round(event.end, 3),
                    "peak_area": round(event.peak_area, 3),
                    "box": [round(side, 4) for side in event.box],
                }
                for event in found.events
            ]
            line = {"file": str(file), "events": rows, "frames": found.frames, "cpu_s": round(found.cpu_s, 3)}
            click.echo(json.dumps(line))
            continue
        events = "1 event" if len(found.events) == 1 else f"{len(found.events)} events"
        click.echo(f"{file}: {events} in {found.frames} pictures")
        for event in found.events:
            click.echo(f"  {event.start:8.2f} s to {event.end:8.2f} s   {event.peak_area:5.2f} % of the picture")
    sys.exit(2 if failed else 0)


@main.command()
@config_option
@data_option
@click.option("--seconds", default=10, show_default=True, type=click.IntRange(2, 300), help="How long to measure.")
def bench(config_path: Path, data_dir: Path, seconds: int) -> None:
    """Say how many of these cameras this machine can carry. Best run while the server does not."""
    from dashboard.bench import measure
    from dashboard.config import load
    from dashboard.scenes import with_scenes

    logs.setup("warning")
    with told():
        cameras = with_scenes(load(config_path).cameras, data_dir, _Progress())
        click.echo(measure(cameras, seconds))


def _write_first_config(path: Path) -> None:
    """Where nobody named a cameras.yaml and none is there, begin with the one that travels with the dashboard."""
    named = click.get_current_context().get_parameter_source("config_path") is not ParameterSource.DEFAULT
    if named or path.exists():
        return
    from dashboard.system import write_first_config

    with suppress(OSError):  # then it is missing, and reading it says so
        write_first_config(path)
        click.echo(f"There was no {path}: wrote one with generated scenes. Put your cameras in.")


def _database_url() -> str | None:
    return os.environ.get("DASHBOARD_DATABASE_URL") or None


@contextmanager
def _database(data_dir: Path, *, new: bool = False) -> Iterator[Database]:
    """The database, at the newest revision; one that is not there is made only if it may be `new`."""
    from dashboard.store.database import Database

    db = Database(data_dir, _database_url())
    if not new and db.file is not None and not db.file.is_file():
        raise click.BadParameter(f"there is no {db.file.name} in {data_dir}", param_hint="--data-dir")
    try:
        db.migrate()
        yield db
    finally:
        db.close()


@contextmanager
def _users(data_dir: Path, *, new: bool = False) -> Iterator[Users]:
    from dashboard.store.users import Users

    with told(), _database(data_dir, new=new) as db:
        yield Users(db)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        try:
            return sys.stdin.readline().rstrip("\r\n")
        except UnicodeDecodeError:
            raise click.BadParameter("what comes in is no text", param_hint="--password-stdin") from None
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


class _Progress:
    """How far the drawing of the scenes is: a line that counts on a terminal, a few lines in a log."""

    def __init__(self) -> None:
        self._quarter = -1

    def __call__(self, share: float) -> None:
        text = f"Drawing the demonstration scenes, once: {share:4.0%}"
        if sys.stderr.isatty():
            click.echo(f"\r{text}{'' if share < 1 else chr(10)}", err=True, nl=False)
        elif int(share * 4) > self._quarter:
            self._quarter = int(share * 4)
            click.echo(text, err=True)


def _show_first_login(system: System) -> None:
    if system.first_login is not None:
        name, password = system.first_login
        click.echo(f"\nThe first login, shown only this once:\n\n    user      {name}\n    password  {password}\n")


def _show_address(host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"The dashboard is on http://{shown}:{port}/ (Ctrl-C stops it)")
    sys.stdout.flush()


def _stop_on_signals(serving: Serving) -> None:
    """The first signal stops in order, the second does not wait, and neither takes longer than `STOP_WITHIN`."""
    signals = 0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal signals
        signals += 1
        serving.request_stop()
        if signals == 1:
            timer = threading.Timer(STOP_WITHIN, os._exit, [0])
            timer.daemon = True
            timer.start()
        else:
            with suppress(OSError):
                os.write(2, b"stopped at once\n")
            os._exit(1)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


if __name__ == "__main__":
    main(prog_name="dashboard")
