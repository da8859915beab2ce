"""The wire between the Blender add-on and the backend: message types, array framing, limits, errors, client.

Specified in PROTOCOL.md. Needs msgspec, numpy and pyzmq and nothing else, so that it fits into Blender's Python.
"""

__version__ = "0.1.0"
