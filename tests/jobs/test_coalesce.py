"""Merging of progress: few, in order, and the newest always."""

from __future__ import annotations

import threading
import time

from perpetua.jobs.coalesce import Coalescer


def test_many_become_few_and_the_last_is_not_lost() -> None:
    sent: list[int] = []
    coalescer: Coalescer[int] = Coalescer(sent.append, 0.05)
    for number in range(10_000):
        coalescer.put(number)
    coalescer.close()
    assert sent[-1] == 9_999
    assert sent == sorted(set(sent))
    assert len(sent) < 1_000


def test_the_newest_goes_out_while_the_job_is_silent() -> None:
    sent: list[str] = []
    both = threading.Event()

    def send(item: str) -> None:
        sent.append(item)
        if item == "second":
            both.set()

    coalescer: Coalescer[str] = Coalescer(send, 0.05)
    coalescer.put("first")
    coalescer.put("second")  # within the interval: must come without another report behind it
    assert both.wait(10)
    coalescer.close()


def test_nothing_is_sent_after_closing() -> None:
    sent: list[int] = []
    coalescer: Coalescer[int] = Coalescer(sent.append, 0.01)
    coalescer.close()
    coalescer.put(1)
    time.sleep(0.05)
    assert sent == []
