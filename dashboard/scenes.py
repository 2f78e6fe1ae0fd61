"""`replay: demo:courtyard` becomes a file: the generated scenes are drawn into the data folder when first needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import demo
from dashboard.config import Camera
from dashboard.errors import StoreError
from dashboard.store.folder import make_private

PREFIX = "demo:"


def with_scenes(cameras: Iterable[Camera], data_dir: Path, progress: Callable[[float], None]) -> list[Camera]:
    """The cameras with files in place of scenes' names. `progress` hears 0..1 while scenes are drawn.

    Raises StoreError when they cannot be.
    """
    return [_with_scene(camera, data_dir / "scenes", progress) for camera in cameras]


def _with_scene(camera: Camera, folder: Path, progress: Callable[[float], None]) -> Camera:
    if not (camera.replay or "").startswith(PREFIX):
        return camera
    make_private(folder)
    try:
        files = demo.render_missing(folder, progress)
    except demo.RenderError as error:
        raise StoreError(str(error)) from error
    return camera.model_copy(update={"replay": str(files[str(camera.replay).removeprefix(PREFIX)])})
