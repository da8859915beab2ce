"""The Perpetua tab, in the order of the work: Scene, Forces, Cameras, Rounds, Bake, Playback.

``layout`` has what the panels share; each other module is one step of the work and lists its classes.
"""

from . import bake, cameras, forces, playback, rounds, scene

CLASSES = (
    *scene.CLASSES,
    *forces.CLASSES,
    *cameras.CLASSES,
    *rounds.CLASSES,
    *bake.CLASSES,
    *playback.CLASSES,
)
