"""What a scene is: gaussians, particles, their binding, cameras, actions, materials.

``reconstruct`` makes a :class:`Scene`; ``physics`` moves its particles; the binding carries the gaussians along;
``render`` draws them through a :class:`Camera`. Nothing here knows how any of that is done.
"""

from perpetua.scene.binding import Binding, deform
from perpetua.scene.cameras import Camera
from perpetua.scene.gaussians import Gaussians
from perpetua.scene.particles import Particles, RigidPose, State
from perpetua.scene.scene import Body, Scene
from perpetua.scene.trajectory import Trajectory

__all__ = [
    "Binding",
    "Body",
    "Camera",
    "Gaussians",
    "Particles",
    "RigidPose",
    "Scene",
    "State",
    "Trajectory",
    "deform",
]
