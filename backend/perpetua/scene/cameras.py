"""Cameras: OpenCV inside the engine (x right, y down, z forward), Blender's outside. The conversion lives here only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpetua.errors import CameraError

Matrix = NDArray[np.float64]

FLIP_YZ: Matrix = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenCV camera axes <-> Blender camera axes (x right, y up, looking along -z)."""


def inverse(matrix: Matrix) -> Matrix:
    """Inverse in double precision."""
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


@dataclass(frozen=True)
class Camera:
    """K: [3, 3] pixels.  world_to_camera: [4, 4], OpenCV, metres.  width, height: pixels.  role: 'front' or 'side'."""

    K: Matrix
    world_to_camera: Matrix
    width: int
    height: int
    name: str = "camera"
    role: str = "side"

    @property
    def camera_to_world(self) -> Matrix:
        return inverse(self.world_to_camera)

    @property
    def position(self) -> Matrix:
        """[3], m."""
        return self.camera_to_world[:3, 3]

    @property
    def horizontal_fov_degrees(self) -> float:
        return math.degrees(2 * math.atan(self.width / (2 * self.K[0, 0])))

    @property
    def matrix_world(self) -> Matrix:
        """[4, 4], Blender's ``Object.matrix_world`` of this camera."""
        return self.camera_to_world @ FLIP_YZ

    @staticmethod
    def from_blender(
        matrix_world: Matrix,
        horizontal_fov_degrees: float,
        width: int,
        height: int,
        name: str = "camera",
        role: str = "side",
    ) -> Camera:
        """From Blender's camera matrix [4, 4] and horizontal field of view; the principal point is the centre."""
        if not 1.0 <= horizontal_fov_degrees <= 170.0:
            raise CameraError(
                f"Camera '{name}' has a field of view of {horizontal_fov_degrees:g} degrees; use one between 1 and 170."
            )
        focal = 0.5 * width / math.tan(math.radians(horizontal_fov_degrees) / 2)
        K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        rigid = np.array(matrix_world, dtype=np.float64)
        rigid[:3, :3] /= np.linalg.norm(rigid[:3, :3], axis=0)  # a scaled camera object is still a camera
        return Camera(K, inverse(rigid @ FLIP_YZ), width, height, name, role)

    def resized(self, width: int) -> Camera:
        """The same view at another width; the height keeps the shape, rounded to even pixels for video."""
        height = max(2, 2 * round(self.height * width / self.width / 2))
        K = self.K.copy()
        K[0] *= width / self.width
        K[1] *= height / self.height
        return Camera(K, self.world_to_camera, width, height, self.name, self.role)

    def project(self, points: Matrix) -> tuple[Matrix, Matrix]:
        """[N, 3] world points -> pixels [N, 2] (centre of the first pixel is 0.5, 0.5) and depths [N], m."""
        camera = points @ self.world_to_camera[:3, :3].T + self.world_to_camera[:3, 3]
        pixels = camera @ self.K.T
        return pixels[:, :2] / pixels[:, 2:], camera[:, 2]

    def rays(self, pixels: Matrix) -> Matrix:
        """[N, 2] pixels -> [N, 3] world directions whose component along the optical axis is 1."""
        homogeneous = np.concatenate([pixels, np.ones_like(pixels[:, :1])], 1)
        return homogeneous @ np.linalg.inv(self.K).T @ self.world_to_camera[:3, :3]

    def orbited(self, degrees: float, centre: Matrix, name: str, role: str) -> Camera:
        """This camera carried around the vertical through ``centre`` [3], m; positive goes to its right."""
        a = math.radians(degrees)
        turn = np.eye(4)
        turn[:2, :2] = [[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]
        shift = np.eye(4)
        shift[:3, 3] = centre
        moved = shift @ turn @ np.linalg.inv(shift) @ self.camera_to_world
        return Camera(self.K, inverse(moved), self.width, self.height, name, role)
