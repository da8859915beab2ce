"""Jobs: what was asked for, in which order it runs, and what came of it.

    submit ─> journal (SQLite, the truth) ─> queue ─> worker process (one job at a time, stays warm)
                 ^                             │
                 └── state, progress, rounds ──┘

``JobQueue`` is the entry point: the server calls it from one thread and publishes the events it hands back. The
worker is a process of its own, so a crash in a simulator or a driver ends one job and not the backend.
"""

from perpetua.jobs.journal import Journal, JournalError
from perpetua.jobs.queue import JobQueue
from perpetua.jobs.store import Store

__all__ = ["JobQueue", "Journal", "JournalError", "Store"]
