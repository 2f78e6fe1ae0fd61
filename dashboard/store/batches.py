"""Many items in handfuls: for statements that name each of them, and transactions that others do not wait for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

HANDFUL = 500


def batched(items: Iterable[Item], size: int = HANDFUL) -> Iterator[list[Item]]:
    """Lists of at most `size` items, in order; none for nothing."""
    some: list[Item] = []
    for item in items:
        some.append(item)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some
