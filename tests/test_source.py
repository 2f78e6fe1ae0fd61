from __future__ import annotations

import subprocess
import sys

import pytest

from dashboard.capture.source import Source, SourceError, open_source
from tests.capture_fakes import FakeSpec


def test_each_kind_has_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboard.capture import device, network, replay

    def named(name: str) -> object:
        return lambda spec: (name, spec)

    monkeypatch.setattr(network, "open_network", named("network"))
    monkeypatch.setattr(device, "DeviceSource", named("device"))
    monkeypatch.setattr(replay, "ReplaySource", named("replay"))
    for kind in ("network", "device", "replay"):
        spec = FakeSpec(kind=kind)
        found: Source | tuple[str, object] = open_source(spec)
        assert found == (kind, spec)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(SourceError, match="not known"):
        open_source(FakeSpec(kind="pigeon"))


def test_libraries_are_loaded_by_those_who_use_them() -> None:
    code = "import sys, dashboard.capture.source; print([m for m in ('av', 'cv2', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
