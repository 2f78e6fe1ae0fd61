"""How well the motion detector sees, and what it costs: labelled clips, drawn scenes, and Debian's `motion` beside it.

    python -m benchmarks.motion_quality [--no-peer] [--clips FOLDER] [--json FILE]

The clips' own `eval_motion.py` does the scoring. Our detector runs over the files as `dashboard detect` does, with
the settings that cameras.yaml has by default. `motion` can only play files at their own speed; all clips play at the
same time, so that takes as long as the longest of them (about four minutes), for each of its two configurations.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import cv2
import numpy as np

from benchmarks.motion_scenes import FPS, HEIGHT, WIDTH, Scene, all_scenes
from dashboard.capture.replay import read_file
from dashboard.config import Motion
from dashboard.motion.detect import Detection, detect
from dashboard.motion.difference import Luma

ROOT = Path(__file__).resolve().parent.parent
WARM_UP = 3.0
"""Seconds at the start that are not scored: a detector may take them to get to know the scene."""
TARGETS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "found": lambda score: score["found"] == score["labels"],
    "onset, median at most 0.3 s": lambda score: score["onset_median_s"] <= 0.3,
    "onset, p90 at most 0.5 s": lambda score: score["onset_p90_s"] <= 0.5,
    "coverage at least 0.92": lambda score: score["coverage"] >= 0.92,
    "false at most 1 s": lambda score: score["false_s"] <= 1,
    "false events at most 1": lambda score: score["false_n"] <= 1,
    "CPU at most 1.0 ms": lambda score: score["cpu_ms"] <= 1.0,
}
"""What is asked of the clips together, without a warm-up."""
PEERS = {
    "motion, defaults": "",
    "motion, lightswitch and despeckle": "lightswitch_percent 40\ndespeckle_filter EedDl\n",
}


@dataclass(frozen=True)
class Drawn:
    """A picture of a drawn scene after it went through a video encoder."""

    at: float
    picture: Any

    def luma(self, width: int = 160) -> Luma:
        """Shrunk by area, as a camera's picture is."""
        small: Luma = cv2.resize(self.picture, (width, HEIGHT * width // WIDTH), interpolation=cv2.INTER_AREA).astype(
            np.uint8
        )
        return small


def through_encoder(scene: Scene) -> Iterator[Drawn]:
    """The pictures of a scene as a camera would send them: H.264, limited range, quality as of a cheap camera."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "28", "preset": "veryfast", "g": str(5 * FPS)}
        planes = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        for _, picture in scene.pictures():
            planes[:HEIGHT] = picture * (219 / 255) + 16.5
            out.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        out.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as video:
        for index, frame in enumerate(video.decode(video=0)):
            grey = frame.to_ndarray(format="yuv420p")[:HEIGHT]
            yield Drawn(index / FPS, cv2.convertScaleAbs(grey, alpha=255 / 219, beta=-16 * 255 / 219))


def evaluator(clips: Path) -> ModuleType:
    """The scoring program that comes with the clips."""
    spec = importlib.util.spec_from_file_location("eval_motion", clips / "eval_motion.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def spans(found: Detection) -> list[list[float]]:
    """First and last moment of each event."""
    return [[event.start, event.end] for event in found.events]


def peer(clip: dict[str, Any], clips: Path, extra: str) -> tuple[list[list[float]], float]:
    """Seconds in which `motion` sees movement in a clip, and its CPU seconds; takes as long as the clip."""
    with tempfile.TemporaryDirectory() as folder:
        hook, seen = Path(folder, "hook.sh"), Path(folder, "seen")
        hook.write_text(f"#!/bin/sh\ndate +%s.%N >> {seen}\n")
        hook.chmod(0o700)
        settings = Path(folder, "motion.conf")
        settings.write_text(
            f"daemon off\nlog_level 7\ntarget_dir {folder}\nnetcam_url file://{clips / clip['file']}\n"
            f"width {clip['width']}\nheight {clip['height']}\nframerate {round(clip['fps'])}\nevent_gap 1\n"
            f"picture_output off\nmovie_output off\nwebcontrol_port 0\nstream_port 0\n"
            f"on_motion_detected {hook}\n{extra}"
        )
        command = ["motion", "-n", "-c", str(settings)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        limit = threading.Timer(clip["duration_s"] + 60, process.kill)
        limit.start()
        zero, played, cpu = 0.0, 0.0, 0.0
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if not zero and "connected" in line:
                    zero = time.time()
                if "End of file" in line:
                    played = time.time() - zero
                    ticks = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
                    cpu = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
                    break
        finally:
            limit.cancel()
            process.kill()
            process.wait()
            process.stderr.close() if process.stderr else None
        scale = clip["duration_s"] / played if played else 1.0  # it plays by its own frame rate, not by the file's
        stamps = [(float(line) - zero) * scale for line in seen.read_text().split()] if seen.exists() else []
    period = 1 / clip["fps"]
    return [[max(0.0, at - period), at] for at in stamps if at <= clip["duration_s"]], cpu


def ours(clips: Path, labels: list[dict[str, Any]]) -> tuple[dict[str, list[list[float]]], dict[str, Detection]]:
    """What the detector finds in the clips, as spans and as it said it."""
    found = {clip["file"]: detect(read_file(clips / clip["file"]), Motion()) for clip in labels}
    return {name: spans(each) for name, each in found.items()}, found


def drawn(scorer: ModuleType) -> list[tuple[str, dict[str, Any]]]:
    """Scores of the drawn scenes, and of all of them together."""
    rows, scores = [], []
    for scene in all_scenes():
        clip = {"duration_s": scene.seconds, "motion": scene.motion, "ignore": []}
        scores.append(scorer.score_clip(clip, spans(detect(through_encoder(scene), Motion())), WARM_UP))
        rows.append((scene.name, scorer.ratios(scores[-1])))
    return [*rows, ("ALL DRAWN", scorer.ratios(scorer.total(scores)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--clips", type=Path, default=os.environ.get("DASHBOARD_CLIPS", ROOT.parent / "shared" / "clips")
    )
    parser.add_argument("--no-peer", action="store_true", help="leave Debian's motion out")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    options = parser.parse_args()
    clips = Path(options.clips).resolve()
    if not (clips / "clips.json").is_file():
        sys.exit(f"no labelled clips in {clips}; name their folder with --clips or DASHBOARD_CLIPS")
    cv2.setNumThreads(1)
    scorer = evaluator(clips)
    labels = json.loads((clips / "clips.json").read_text(encoding="utf-8"))["clips"]

    found, detections = ours(clips, labels)
    result: dict[str, Any] = {}
    for warm_up in (0.0, WARM_UP):
        rows, _ = scorer.evaluate(labels, found, warm_up)
        print(f"\nthis detector, warm-up {warm_up:.0f} s\n{scorer.table(rows)}")
        result[f"clips, warm-up {warm_up:.0f} s"] = dict(rows)
    medium = [detections[clip["file"]] for clip in labels if (clip["width"], clip["height"]) == (640, 360)]
    cost = 1000 * sum(each.cpu_s for each in medium) / sum(each.frames for each in medium)
    print(f"\nCPU per analysed 640x360 picture, decoding apart: {cost:.2f} ms")
    result["cpu_ms"] = cost

    rows = drawn(scorer)
    print(f"\nthis detector, drawn scenes, warm-up {WARM_UP:.0f} s\n{scorer.table(rows)}")
    result["drawn"] = dict(rows)

    if not options.no_peer and shutil.which("motion"):
        with ThreadPoolExecutor(len(labels)) as pool:
            for name, extra in PEERS.items():
                runs = {clip["file"]: pool.submit(peer, clip, clips, extra) for clip in labels}
                done = {file: run.result() for file, run in runs.items()}
                rows, _ = scorer.evaluate(labels, {file: seen for file, (seen, _) in done.items()}, WARM_UP)
                spent = sum(done[clip["file"]][1] for clip in labels if clip["width"] == 640)
                frames = sum(clip["frames"] for clip in labels if clip["width"] == 640)
                print(f"\n{name}, warm-up {WARM_UP:.0f} s\n{scorer.table(rows)}")
                print(f"CPU per 640x360 picture, decoding included: {1000 * spent / frames:.2f} ms")
                result[name] = dict(rows)
    score = {**result["clips, warm-up 0 s"]["ALL"], "cpu_ms": cost}
    missed = [target for target, met in TARGETS.items() if not met(score)]
    print(f"\ntargets missed: {', '.join(missed) or 'none'} of {len(TARGETS)}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
