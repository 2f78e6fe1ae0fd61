"""The check finds each kind of disagreement, and nothing where there is none; also beside a server that works."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dashboard.store.check import Finding, check
from dashboard.store.folder import DataFolder
from dashboard.store.models import Garbage
from tests.stores import JPEG, NOON, Store


def found(store: Store, **how: float) -> list[str]:
    return [str(finding) for finding in check(store.db, store.snapshots, **({"young": 0} | how))]  # type: ignore[arg-type]


def grow(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)


def replace_by_link(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def leave_temporary(file: Path) -> None:
    file.with_name(f".{file.name}.tmp").write_bytes(b"half")


def copy(file: Path) -> None:
    file.with_name("copy.jpg").write_bytes(file.read_bytes())


@pytest.mark.parametrize(
    ("harm", "kinds"),
    [
        (Path.touch, []),
        (Path.unlink, ["row without file"]),
        (grow, ["wrong size"]),
        (lambda file: file.write_bytes(b""), ["wrong size"]),
        (flip, ["wrong hash"]),
        (replace_by_link, ["row without file", "link", "file without row"]),
        (leave_temporary, ["leftover"]),
        (copy, ["file without row"]),
    ],
)
def test_each_kind_is_found(store: Store, harm: Callable[[Path], object], kinds: list[str]) -> None:
    store.event()
    store.event("yard")
    file = store.folder / store.files()[0]
    harm(file)
    findings = list(check(store.db, store.snapshots, young=0))
    assert sorted(finding.what for finding in findings) == sorted(kinds)
    assert all(finding.where.startswith("snapshots/door/") for finding in findings)


def test_a_finding_in_words() -> None:
    assert str(Finding("wrong size", "snapshots/a.jpg", "1 bytes instead of 2")) == (
        "wrong size: snapshots/a.jpg (1 bytes instead of 2)"
    )
    assert str(Finding("leftover", "x")) == "leftover: x"


def test_without_hashes_only_the_size_is_compared(store: Store) -> None:
    store.event()
    flip(store.folder / store.files()[0])
    assert list(check(store.db, store.snapshots, young=0, hashes=False)) == []
    grow(store.folder / store.files()[0])
    assert [finding.what for finding in check(store.db, store.snapshots, young=0, hashes=False)] == ["wrong size"]


def test_garbage_that_is_still_there_is_a_leftover(store: Store) -> None:
    saved = store.snapshots.save("door", NOON, "start", JPEG)
    with store.db.write() as rows:
        rows.add(Garbage(path=saved.path))
    assert found(store) == [f"leftover: {saved.path} (deleted from the review)"]
    store.snapshots.remove(saved.path)
    assert found(store) == []


def test_what_is_young_may_still_be_in_the_making(store: Store) -> None:
    saved = store.snapshots.save("door", NOON, "start", JPEG)
    leave_temporary(store.folder / saved.path)
    assert found(store, young=60) == []
    for file in (store.folder / saved.path).parent.iterdir():
        os.utime(file, (time.time() - 120, time.time() - 120))
    assert len(found(store, young=60)) == 2


def test_without_a_server_nothing_is_in_the_making(store: Store) -> None:
    store.snapshots.save("door", NOON, "start", JPEG)
    with DataFolder(store.folder):
        assert list(check(store.db, store.snapshots)) == []
    assert [finding.what for finding in check(store.db, store.snapshots)] == ["file without row"]


def test_a_damaged_database_is_a_finding(sqlite_store: Store) -> None:
    store = sqlite_store
    for n in range(60):
        store.event(at=NOON + n)
    store.db.close()
    assert store.db.file is not None
    with store.db.file.open("r+b") as file:
        file.seek(-4096 * 3, 2)
        file.write(b"\xff" * 4096)
    assert next(check(store.db, store.snapshots, young=0)).what == "damaged database"


def test_beside_a_server_that_writes_and_deletes(store: Store) -> None:
    stop = threading.Event()

    def work() -> None:
        n = 0
        while not stop.is_set():
            events = [store.event(at=NOON + n + k) for k in range(3)]
            store.events.delete_many(events[:2])
            n += 10

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            assert found(store, young=60) == []
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert found(store) == []
