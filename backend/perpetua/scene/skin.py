"""The skin of matter in a frame: its surface, the light on it, and what a liquid mirrors of the lamp and its surroundings.

Bodies that mix (``emission.mixing``) have one skin: what is poured into a pool of its own kind leaves no seam. A region of a body has its own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from perpetua.scene.emission import mixing
from perpetua.scene.light import Light
from perpetua.scene.looks import CLARITY_M
from perpetua.scene.scene import Scene
from perpetua.scene.shadow_map import hidden
from perpetua.scene.surface import CLOSE, FORM_SIGMA, Form, Neighbours, facing, form, unit

Array = NDArray[np.float64]

UP = np.array([0.0, 0.0, 1.0])
INSIDE = 0.5
"""Cosine to the lamp that matter is shaded with below the surface."""
COVERED_FROM_SKY = 0.5
"""Share of the light from all around that matter right above takes away."""
SMOOTHINGS = {"liquid": 4, "plastic": 1, "snow": 1, "sand": 0}
"""How often normals are averaged, by model: grains are rough, a liquid is as smooth as its surface tension makes it."""
CLOSED = frozenset({"liquid", "plastic"})
"""Models whose splats close to one surface; grains and flakes stay single and round."""
LAYERS = 2.0
"""A liquid's surface is so many times as deep as where its density ends: its splats overlap, and those below show between those above."""
HIGHLIGHT, SHARPNESS = 0.75, 50.0
"""Brightness of the lamp's reflection on a liquid and its power (Blinn 1977); a window, not a point."""
RIM, RIM_POWER = 0.12, 5.0
"""The surroundings' reflection where a liquid is seen at a grazing angle, and its power (Schlick 1994)."""
NEAR = 4.0
"""Spacings around matter within which other matter is its neighbour."""


@dataclass(frozen=True)
class Skin:
    """Of n particles. points: [n, 3] m.  normal: [n, 3] unit vectors.  surface: [n] how far each lies at the surface, 0 to 1.
    form: the splats that close it.  free, sky: [n] shares of the lamp's and of the sky's light that come to it.
    wet: [n], whether it mirrors.  overlap: [n] how many splats of a surface are seen through one another, each of which mirrors a part."""

    points: Array
    normal: Array
    surface: Array
    form: Form
    free: Array
    sky: Array
    wet: NDArray[np.bool_]
    overlap: Array

    @staticmethod
    def of(scene: Scene, particle: NDArray[np.int64], points: Array, solid: Array, light: Light) -> Skin:
        """Of the matter of ``particle`` [n] at ``points`` [n, 3] m, which is there with other ``solid`` matter [M, 3] m, itself
        included."""
        spacing, count = scene.spacing, len(particle)
        normal, surface = np.zeros((count, 3)), np.zeros(count)
        made = Form(
            points.copy(), np.tile(np.eye(3), (count, 1, 1)), np.full((count, 3), FORM_SIGMA * spacing)
        )
        kinds, of = scene.materials()
        kind = np.array([kinds.index(k) for k in kinds])[of[particle]]
        together = mixing(scene)[scene.particles.body[particle]]
        for index, number in np.unique(np.stack([together, kind], 1), axis=0):
            mine = np.flatnonzero((together == index) & (kind == number))
            near = Neighbours.of(points[mine], points[mine], CLOSE)
            low, high = points[mine].min(0) - NEAR * spacing, points[mine].max(0) + NEAR * spacing
            around = solid[((solid > low) & (solid < high)).all(1)]
            away, surface[mine] = facing(points[mine], around, spacing)
            model = kinds[number].model
            normal[mine] = unit(near.smoothed(away, spacing, SMOOTHINGS[model]))
            if model == "liquid":
                deeper = LAYERS * near.smoothed(surface[mine, None], spacing, 1)[:, 0]
                surface[mine] = np.clip(deeper, 0.0, 1.0)
            if model in CLOSED:
                shaped = form(points[mine], near, spacing)
                made.means[mine], made.axes[mine], made.scales[mine] = (
                    shaped.means,
                    shaped.axes,
                    shaped.scales,
                )
        free = 1.0 - hidden(points, solid, light.direction, spacing)
        sky = 1.0 - COVERED_FROM_SKY * hidden(points, solid, UP, spacing)
        wet = np.array([k.model == "liquid" for k in kinds])[kind]
        overlap = 2.0 * np.pi * np.sort(made.scales, 1)[:, 1:].prod(1) / spacing**2
        return Skin(points, normal, surface, made, free, sky, wet, np.maximum(overlap, 1.0))

    def brightness(self, light: Light) -> Array:
        """[n], linear, without what mirrors."""
        towards = self.surface * np.clip(self.normal @ light.direction, 0.0, None)
        return light.ambient * self.sky + light.lamp * self.free * (towards + (1.0 - self.surface) * INSIDE)

    def mirrored(self, light: Light, eye: Array) -> Array:
        """[n], 0 to 1: how much of the lamp and the surroundings a wet surface mirrors towards ``eye`` [3] m."""
        view = unit(eye - self.points)
        half = unit(view + light.direction)
        glint = HIGHLIGHT * self.free * np.clip((self.normal * half).sum(1), 0.0, 1.0) ** SHARPNESS
        rim = RIM * self.sky * (1.0 - np.clip((self.normal * view).sum(1), 0.0, 1.0)) ** RIM_POWER
        whole = self.wet * self.surface * np.clip(glint + rim, 0.0, 0.99)
        return np.asarray(1.0 - (1.0 - whole) ** (1.0 / self.overlap))

    def __getitem__(self, index: NDArray[np.bool_]) -> Skin:
        parts = {f.name: getattr(self, f.name)[index] for f in fields(Skin) if f.name != "form"}
        return Skin(form=Form(*(getattr(self.form, f.name)[index] for f in fields(Form))), **parts)


def clear_opacity(scene: Scene, particle: NDArray[np.int64], scales: Array, otherwise: Array) -> Array:
    """[n]: opacity of splats of particles ``particle`` [n] with standard deviations ``scales`` [n, 3] m, whose volume is a particle's; of
    liquids that hide what is behind ``otherwise`` [n].

    The matter V of a splat of widths a, b across the view is V / (2 pi a b) deep in its middle (a Gaussian's); light goes through it
    by Beer and Lambert's law. Its shortest axis is taken to lie along the view, as it does in a film that one looks at.
    """
    kinds, of = scene.materials()
    clarity = np.array([CLARITY_M.get(kind.preset, 0.0) for kind in kinds])[of[particle]]
    across = np.sort(scales, 1)[:, 1:].prod(1)
    deep = scene.spacing**3 / (2.0 * np.pi * across.clip(1e-12))
    return np.where(clarity > 0.0, 1.0 - np.exp(-deep / clarity.clip(1e-9)), otherwise)
