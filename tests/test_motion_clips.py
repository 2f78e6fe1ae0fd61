"""The labelled footage: what must be found in each clip, how soon, and what must not be.

Looser than what is measured (benchmarks/README.md), so that another decoder's rounding fails nothing.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dashboard.capture.replay import read_file
from dashboard.config import Motion
from dashboard.motion.detect import detect

FILES = (
    "hall_visitors.mp4",
    "cars_topdown.mp4",
    "corridor_light_off_ir.mp4",
    "pedestrians_hevc.mp4",
    "waving_tree_mjpeg.avi",
    "syn_hall_reel.mp4",
    "syn_rain_shake_cars.mp4",
)


@pytest.fixture(scope="module")
def scorer(clips: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("eval_motion", clips / "eval_motion.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def labels(clips: Path) -> dict[str, Any]:
    listed = json.loads((clips / "clips.json").read_text(encoding="utf-8"))["clips"]
    return {clip["file"]: clip for clip in listed}


@pytest.fixture(scope="module")
def scores() -> dict[str, Any]:
    """Raw counts of each clip, filled by the tests that come first."""
    return {}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("file", FILES)
def test_a_clip(file: str, clips: Path, labels: dict[str, Any], scorer: ModuleType, scores: dict[str, Any]) -> None:
    found = detect(read_file(clips / file), Motion())
    scores[file] = scorer.score_clip(labels[file], [[event.start, event.end] for event in found.events])
    score = scorer.ratios(scores[file])
    assert score["found"] == score["labels"]
    assert score["onset_p90_s"] is None or score["onset_p90_s"] <= 0.8
    assert score["coverage"] is None or score["coverage"] >= 0.75
    assert score["false_s"] <= 1.5
    assert 1000 * found.cpu_s / found.frames < 10  # 0.3 is measured; other work shares the machine


def test_all_clips_together(scorer: ModuleType, scores: dict[str, Any]) -> None:
    if len(scores) < len(FILES):
        pytest.skip("needs all clips")
    score = scorer.ratios(scorer.total(list(scores.values())))
    assert score["onset_median_s"] <= 0.3
    assert score["onset_p90_s"] <= 0.5
    assert score["coverage"] >= 0.92
    assert score["false_s"] <= 2
    assert score["false_n"] <= 2
