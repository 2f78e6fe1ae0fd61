from __future__ import annotations

import threading
import time

import pytest

from dashboard.channel import Channel, ChannelClosed


def test_a_reader_starts_behind_the_newest_and_gets_what_comes_next() -> None:
    channel: Channel[int] = Channel()
    channel.publish(1)
    with channel.subscribe() as reader:
        assert reader.poll() is None
        channel.publish(2)
        assert reader.poll() == 2
        assert reader.poll() is None


def test_newest_only_skips_and_counts_what_was_missed() -> None:
    channel: Channel[int] = Channel()
    reader = channel.subscribe()
    for item in range(5):
        channel.publish(item)
    assert reader.poll() == 4
    assert reader.missed == 4


def test_a_deep_channel_keeps_the_order_and_counts_what_fell_out() -> None:
    channel: Channel[int] = Channel(depth=3)
    reader = channel.subscribe()
    for item in range(5):
        channel.publish(item)
    assert [reader.poll() for _ in range(4)] == [2, 3, 4, None]
    assert reader.missed == 2


def test_replay_starts_at_the_oldest_that_is_kept() -> None:
    channel: Channel[int] = Channel(depth=3)
    for item in range(5):
        channel.publish(item)
    assert channel.subscribe(replay=True).poll() == 2


def test_clear_forgets_what_is_kept_but_not_the_count() -> None:
    channel: Channel[int] = Channel()
    reader = channel.subscribe()
    channel.publish(1)
    channel.clear()
    assert channel.newest is None
    assert reader.poll() is None
    channel.publish(2)
    assert reader.poll() == 2
    assert reader.missed == 1


def test_readers_do_not_share_a_place() -> None:
    channel: Channel[int] = Channel(depth=2)
    one, two = channel.subscribe(), channel.subscribe()
    channel.publish(1)
    assert one.poll() == 1
    channel.publish(2)
    assert (one.poll(), two.poll(), two.poll()) == (2, 1, 2)


def test_closing_the_channel_ends_its_readers_after_the_last_item() -> None:
    channel: Channel[int] = Channel()
    reader = channel.subscribe()
    channel.publish(1)
    channel.close()
    channel.publish(2)
    assert reader.next(0) == 1
    with pytest.raises(ChannelClosed):
        reader.next(0)


def test_closing_a_reader_frees_the_thread_that_waits_in_it() -> None:
    channel: Channel[int] = Channel()
    reader = channel.subscribe()
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(ChannelClosed):
            reader.next(30)
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    reader.close()
    assert ended.wait(5)
    thread.join()
    assert channel.followers == 0


def test_a_waker_is_called_for_each_item_and_at_the_end() -> None:
    channel: Channel[int] = Channel()
    calls: list[int] = []
    reader = channel.subscribe(waker=lambda: calls.append(1))
    channel.publish(1)
    channel.publish(2)
    channel.close()
    assert len(calls) == 3
    assert reader.poll() == 2


def test_the_writer_does_not_wait_for_a_reader_that_never_reads() -> None:
    channel: Channel[int] = Channel(depth=4)
    reader = channel.subscribe()
    for item in range(100_000):
        channel.publish(item)
    assert reader.poll() == 99_996
    assert reader.missed == 99_996
