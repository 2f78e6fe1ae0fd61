"""The figures of /metrics in Prometheus' text format, read from the `stats` of /api/stats. None is made here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Stats = Mapping[str, Any]

# key of a camera's stats -> (name of the metric, what it means); counters end in _total
GAUGES = {
    "fps": ("dashboard_camera_fps", "Pictures a second that arrive from the camera"),
    "frame_age_s": ("dashboard_camera_frame_age_seconds", "Age of the newest picture"),
    "viewers": ("dashboard_camera_viewers", "Viewers of the camera at this moment"),
}
COUNTERS = {
    "reconnects": ("dashboard_camera_reconnects", "Times the camera was lost and opened again"),
    "restarts": ("dashboard_camera_restarts", "Capture threads that made no progress and were replaced"),
    "decoded_frames": ("dashboard_camera_decoded_frames", "Pictures decoded"),
    "encoded_jpegs": ("dashboard_camera_encoded_jpegs", "JPEGs encoded"),
    "analysed": ("dashboard_motion_analysed", "Pictures the motion detector looked at"),
    "missed": ("dashboard_motion_missed", "Pictures the motion detector left out, being too late"),
    "motion_cpu_s": ("dashboard_motion_cpu_seconds", "Processor time spent in the motion detector"),
    "lost_events": ("dashboard_motion_lost_events", "Events that could not be stored"),
}


class _Cameras(Collector):
    """Turns `stats` into metrics at the moment they are asked for."""

    def __init__(self, stats: Callable[[], Stats]) -> None:
        self._stats = stats

    def collect(self) -> Iterable[Metric]:
        stats = self._stats()
        cameras: Mapping[str, Mapping[str, Any]] = stats["cameras"]
        up = GaugeMetricFamily("dashboard_camera_up", "1 while the camera is live", labels=["camera"])
        for camera, values in cameras.items():
            up.add_metric([camera], float(values["state"] == "live"))
        yield up
        for key, (name, text) in GAUGES.items():
            yield _filled(GaugeMetricFamily(name, text, labels=["camera"]), cameras, key)
        for key, (name, text) in COUNTERS.items():
            yield _filled(CounterMetricFamily(name, text, labels=["camera"]), cameras, key)
        disk = stats["disk"]
        yield GaugeMetricFamily("dashboard_disk_free_bytes", "Free on the data folder's disk", disk["free_bytes"])
        yield GaugeMetricFamily("dashboard_disk_reserved", "1 while snapshots wait for room", float(disk["reserved"]))
        yield CounterMetricFamily(
            "dashboard_unsaved_snapshots", "Snapshots not kept, too little being free", disk["unsaved_snapshots"]
        )


def _filled(family: Any, cameras: Mapping[str, Mapping[str, Any]], key: str) -> Metric:
    for camera, values in cameras.items():
        if values.get(key) is not None:
            family.add_metric([camera], float(values[key]))
    filled: Metric = family
    return filled


def exposition(stats: Callable[[], Stats]) -> Callable[[], bytes]:
    """A function that gives the text of /metrics; `stats` is asked once at each call."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(_Cameras(stats))
    return lambda: generate_latest(registry)
