"""The only fan-out: one writer, any number of readers, for packets, frames and notices alike.

The writer never waits. A `Channel` keeps its last `depth` items, numbered; a `Subscription` is a cursor of its
own into them and knows how many it missed. Threads wait in `Subscription.next`; an event loop asks with `poll`
after a waker called it. What the items are, and what is done with them, does not belong here.
After moonfire-nvr's frames subscription and mediamtx's stream reader.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ChannelClosed(Exception):
    """The writer is done; nothing will come any more."""


class Channel(Generic[Item]):
    """Keeps the last `depth` items for its readers. `depth` 1 is "newest only", as for frames."""

    def __init__(self, depth: int = 1) -> None:
        self._changed = threading.Condition()
        self._items: deque[Item] = deque(maxlen=depth)
        self._count = 0  # items ever published; the newest has this number
        self._closed = False
        self._readers: set[Subscription[Item]] = set()

    @property
    def newest(self) -> Item | None:
        """The last item published, or None. Never waits for the writer."""
        with self._changed:
            return self._items[-1] if self._items else None

    @property
    def followers(self) -> int:
        """How many subscriptions are open: whether anybody wants what is published."""
        return len(self._readers)

    def publish(self, item: Item) -> None:
        """Make `item` the newest and wake every reader. Never waits for one of them."""
        with self._changed:
            if self._closed:
                return
            self._items.append(item)
            self._count += 1
            self._wake()

    def clear(self) -> None:
        """Forget what is kept, so that late readers do not get it (a camera that went down)."""
        with self._changed:
            self._items.clear()

    def trim(self, last: int) -> None:
        """Forget all but the `last` newest items (a writer that knows which ones are of no use any more)."""
        with self._changed:
            while len(self._items) > last:
                self._items.popleft()

    def close(self) -> None:
        """Say that nothing will come any more; readers get `ChannelClosed` once they have read what is kept."""
        with self._changed:
            self._closed = True
            self._wake()

    def subscribe(
        self,
        *,
        waker: Callable[[], None] | None = None,
        replay: bool = False,
        since: Callable[[Item], bool] | None = None,
    ) -> Subscription[Item]:
        """A new reader. It starts behind the newest item; with `replay` at the oldest that is kept; with `since` at
        the newest for which that is true, if there is one.

        `waker` is called from the writer's thread after each publish and on close; it must return at once
        (`loop.call_soon_threadsafe` of an event's `set` is meant).
        """
        with self._changed:
            place = self._count - len(self._items) if replay else self._count
            if since is not None:
                place -= next((back for back, item in enumerate(reversed(self._items), 1) if since(item)), 0)
            reader = Subscription(self, place, waker)
            self._readers.add(reader)
            return reader

    def _wake(self) -> None:
        self._changed.notify_all()
        for reader in self._readers:
            if reader.waker is not None:
                reader.waker()


class Subscription(Generic[Item]):
    """One reader's place in a channel. Used by one thread or one event loop; closing is safe from anywhere."""

    def __init__(self, channel: Channel[Item], place: int, waker: Callable[[], None] | None) -> None:
        self._channel = channel
        self._place = place  # number of the last item this reader has had
        self._open = True
        self.waker = waker
        self.missed = 0
        """Items that were gone before this reader came for them."""

    def poll(self) -> Item | None:
        """The oldest kept item this reader has not had, or None; never waits. Raises `ChannelClosed` at the end."""
        with self._channel._changed:
            return self._take()

    def next(self, timeout: float) -> Item | None:
        """As `poll`, but waits up to `timeout` seconds (monotonic) for an item; None when none came."""
        with self._channel._changed:
            self._channel._changed.wait_for(self._ready, timeout)
            return self._take()

    def close(self) -> None:
        """Leave the channel; a thread that waits in `next` gets `ChannelClosed`."""
        with self._channel._changed:
            self._open = False
            self._channel._readers.discard(self)
            self._channel._changed.notify_all()

    def __enter__(self) -> Subscription[Item]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ready(self) -> bool:
        return self._channel._count > self._place or self._channel._closed or not self._open

    def _take(self) -> Item | None:
        channel = self._channel
        if not self._open:
            raise ChannelClosed
        oldest = channel._count - len(channel._items)  # number of the item before the oldest kept one
        if self._place < oldest:
            self.missed += oldest - self._place
            self._place = oldest
        if self._place < channel._count:
            item = channel._items[self._place - oldest]
            self._place += 1
            return item
        if channel._closed:
            raise ChannelClosed
        return None
