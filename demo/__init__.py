"""Generated scenes for a newcomer without a camera: drawn by code, filmed to H.264 once, replayed as if live.

Here is the face: which scenes there are, when something moves in them, and how their files come to be. How a scene
looks is in its own module, how it becomes a file in `film.py`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

SCENES: tuple[str, ...] = ("courtyard", "corridor", "parking")

_HERE = Path(__file__).resolve().parent


class RenderError(Exception):
    """A scene could not be filmed; the text is fit for people."""


def _fingerprint() -> str:
    """Ten hex digits that change with any source file of this package."""
    digest = hashlib.sha256()
    for source in sorted(_HERE.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:10]


VERSION: str = _fingerprint()
"""Part of each file's name, so that changed code films again."""


def file_name(name: str) -> str:
    """The file of scene `name`, as `render_missing` calls it. Raises KeyError for an unknown scene."""
    if name not in SCENES:
        raise KeyError(name)
    return f"{name}-{VERSION}.mp4"


def schedule(name: str) -> list[tuple[float, float]]:
    """When something really moves in scene `name`: (start, end) in seconds of the film. KeyError if unknown."""
    from demo import film

    return list(film.load(name).schedule)


def render(name: str, path: Path, progress: Callable[[float], None] | None = None) -> None:
    """Film scene `name` into `path`, mp4; `progress` hears 0..1. The file appears when it is whole, or not at all.

    Raises KeyError for an unknown scene, RenderError when the encoder or the disk refuses.
    """
    import av

    from demo import film

    try:
        film.shoot(film.load(name)(film.SIZE), path, progress)
    except (OSError, av.FFmpegError) as error:
        raise RenderError(f"the scene {name} could not be filmed: {error.strerror or error}") from error


def render_missing(folder: Path, progress: Callable[[float], None] | None = None) -> dict[str, Path]:
    """Film the scenes that `folder` lacks, each in a process of its own, and return the file of every scene.

    Films of other versions, and what a killed process left half done, are removed. `progress` hears 0..1, in the
    thread that called. Raises RenderError; what was filmed by then stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / file_name(name) for name in SCENES}
    missing = {name: path for name, path in files.items() if not path.is_file()}
    if missing:
        _render_all(missing, progress or (lambda share: None))
    _sweep(folder, keep=set(files.values()))
    return files


def _render_all(missing: Mapping[str, Path], progress: Callable[[float], None]) -> None:
    """One process per scene: drawing holds the interpreter's lock, so threads would wait for one another."""
    crews = [_Crew(name, path) for name, path in missing.items()]
    try:
        while any(crew.busy for crew in crews):
            progress(sum(crew.share for crew in crews) / len(crews))
            time.sleep(0.1)
        for crew in crews:
            crew.finish()
        progress(1.0)
    finally:
        for crew in crews:
            crew.stop()


class _Crew:
    """A process that films one scene and says how far it is, a line at a time."""

    def __init__(self, name: str, path: Path) -> None:
        self.share = 0.0
        self._name = name
        paths = os.pathsep.join(filter(None, [str(_HERE.parent), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "demo", name, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},
        )
        self._last = "no message"
        self._reader = threading.Thread(target=self._listen, name=f"demo-{name}", daemon=True)
        self._reader.start()

    @property
    def busy(self) -> bool:
        return self._process.poll() is None

    def finish(self) -> None:
        """Raise RenderError unless the process ended well."""
        self._reader.join(5)
        if self._process.wait() != 0:
            raise RenderError(f"the scene {self._name} could not be filmed: {self._last}")

    def stop(self) -> None:
        """End the process if it still runs, and let go of its pipe."""
        if self.busy:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                self.share = float(line)
            except ValueError:
                self._last = line.strip() or self._last


def _sweep(folder: Path, keep: set[Path]) -> None:
    """Remove films of other versions, and parts that nobody has written to for ten minutes."""
    for name in SCENES:
        for old in set(folder.glob(f"{name}-*.mp4")) - keep:
            old.unlink(missing_ok=True)
        for part in folder.glob(f".{name}-*.part"):
            try:
                if time.time() - part.stat().st_mtime > 600:
                    part.unlink()
            except FileNotFoundError:  # its writer was quicker
                continue
