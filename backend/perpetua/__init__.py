"""Perpetua: one picture becomes a 4D scene that an artist plays for as long as they like. See ``loop/round.py``."""

__version__ = "0.1.0"
