"""The backend's service: ZeroMQ sockets in front of the job queue. ``serve`` is the entry point; PROTOCOL.md the contract.

control ROUTER ─┐
data ROUTER ────┼─> one loop, one thread ─> JobQueue ─> worker process
events XPUB <───┘         ^
ZAP (inproc) ─ the allow-list: an unknown key never reaches a socket
"""

from perpetua.server.service import serve

__all__ = ["serve"]
