"""The fine picture by Cycles, in a process of Blender's own Python: this engine and bpy cannot live in one.

``film`` writes what is to be seen into a folder, runs ``render.py`` there with Blender's Python, and reads the pictures back.
"""

from perpetua.phys4d.data.cycles.film import Filmed, film

__all__ = ["Filmed", "film"]
