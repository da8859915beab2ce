"""The closed loop. ``round.py`` is the whole idea on one page; ``bake.py`` plays a take through it."""
