"""The journal is the truth and a published event a hint: what is missed on the way still arrives, in order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perpetua_protocol.client import Client
from perpetua_protocol.errors import UnknownJob
from perpetua_protocol.messages import Event, StateChanged

STATES = ["queued", "running", "done"]


def states(events: list[Event]) -> list[str]:
    return [e.state for e in events if isinstance(e, StateChanged)]


def test_without_any_published_event_the_journal_is_asked(
    client: Client, submit: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client._subscription, "_published", lambda event: [])
    events = list(client.follow(submit()))
    assert states(events) == STATES


def test_a_gap_in_the_published_events_is_filled(
    client: Client, submit: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = client._subscription._published
    lost: list[Event] = []

    def lossy(event: Event) -> list[Event]:
        if event.number % 2:
            lost.append(event)
            return []
        return receive(event)

    monkeypatch.setattr(client._subscription, "_published", lossy)
    events = list(client.follow(submit("chatty")))
    assert lost
    assert states(events) == STATES
    assert [e.number for e in events] == sorted({e.number for e in events})


def test_a_published_event_comes_before_the_next_question(
    client: Client, submit: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perpetua_protocol.limits.HEARTBEAT_S", 1e6)
    assert states(list(client.follow(submit("chatty")))) == STATES


def test_events_after_a_number(client: Client, submit: Callable[..., str]) -> None:
    job_id = submit()
    everything = list(client.follow(job_id))
    kept = client.events(job_id)
    assert client.events(job_id, after=kept[1].number) == kept[2:]
    client.watch(job_id, after=kept[-1].number)
    assert client.wait(0.3) == []
    assert states(everything) == states(kept)


def test_an_unwatched_job_is_silent(client: Client, submit: Callable[..., str]) -> None:
    job_id = submit("chatty")
    client.unwatch(job_id)
    assert client.wait(0.5) == []
    with pytest.raises(UnknownJob):
        client.events("nobody")


def test_several_jobs_are_followed_at_once(client: Client, submit: Callable[..., str]) -> None:
    jobs = [submit(), submit("sentence"), submit()]
    ends: dict[str, str] = {}
    while len(ends) < len(jobs):
        ends |= {
            e.job_id: e.state for e in client.wait() if isinstance(e, StateChanged) and e.state != "running"
        }
        ends = {job_id: state for job_id, state in ends.items() if state != "queued"}
    assert [ends[job_id] for job_id in jobs] == ["done", "failed", "done"]
