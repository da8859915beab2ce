"""What matter out of an emitter looks like in the light of the picture, frame by frame, and what it does to what is around.

No picture shows such matter, so nothing has lit it yet: its surface is shaded by the picture's own light (``light.py``) along the normal that
its particles' density gives (``surface.py``), a liquid shines, what stands between it and the lamp shades it (``shadow_map.py``), and it
throws its shadow on the objects and the support (``ground_shade.py``). Where none came, nothing changes.

A colour c of a splat becomes  gain c (1 - shine) + shine,  in the picture's own encoding: a change that is straight in c, so that a
correction finds the colour below the light. A highlight is where the picture's camera would see it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perpetua.scene.fading import faded
from perpetua.scene.gaussians import SH_C0, Gaussians
from perpetua.scene.ground_shade import GroundShade
from perpetua.scene.light import GAMMA, Light, light_of
from perpetua.scene.particles import present
from perpetua.scene.rotations import matrix_from_quaternion, quaternion_from_matrix
from perpetua.scene.scene import Scene
from perpetua.scene.shadow_map import hidden
from perpetua.scene.surface import CLOSE, FORM_SIGMA, Form, Neighbours, facing, form, unit
from perpetua.scene.trajectory import Trajectory

Array = NDArray[np.float64]

UP = np.array([0.0, 0.0, 1.0])
INSIDE = 0.5
"""Cosine to the lamp that matter is shaded with below the surface."""
COVERED_FROM_SKY = 0.5
"""Share of the light from all around that matter right above takes away."""
SMOOTHINGS = {"liquid": 2, "plastic": 1, "snow": 1, "sand": 0}
"""How often normals are averaged, by model: grains are rough, a liquid is as smooth as its surface tension makes it."""
CLOSED = frozenset({"liquid", "plastic"})
"""Models whose splats close to one surface; grains and flakes stay single and round."""
HIGHLIGHT, SHARPNESS = 0.5, 40.0
"""Brightness of the lamp's reflection on a liquid and its power (Blinn 1977); a window, not a point."""
RIM, RIM_POWER = 0.12, 5.0
"""The surroundings' reflection where a liquid is seen at a grazing angle, and its power (Schlick 1994)."""
FULL = 1.25
"""Brightness at which matter of a preset's own colour faces the lamp; what has its colour from an object of the picture is as bright as that."""
LIGHTEST = 0.985
"""Brightest that matter is shaded to, so that white keeps its form."""
NEAR = 4.0
"""Spacings around matter within which other matter is its neighbour."""


@dataclass(frozen=True)
class Look:
    """gain and shine [N] of splats (see the module), and what is left of their opacity [N]. formed: [n], splats that take
    another form: shift [n, 3] m, quats [n, 4], log_scales [n, 3]."""

    gain: Tensor
    shine: Tensor
    left: Tensor
    formed: Tensor
    shift: Tensor
    quats: Tensor
    log_scales: Tensor


@dataclass(frozen=True)
class Skin:
    """The surface of poured matter. normal: [n, 3] unit vectors, surface: [n] how far each particle lies at it, 0 to 1, and form: the
    splats that close it."""

    normal: Array
    surface: Array
    form: Form


class Appearance:
    """The look of a round's splats in ``scene`` while its particles move by ``trajectory``."""

    def __init__(self, scene: Scene, trajectory: Trajectory, light: Light | None = None) -> None:
        """light: None finds the picture's."""
        self.scene, self.trajectory = scene, trajectory
        poured = np.array([b.emitted and b.material.model != "gas" for b in scene.bodies], bool)
        self._poured = poured[scene.particles.body]
        self.plain = not bool((present(trajectory.F[-1]) & self._poured).any())
        """Whether nothing has come that light falls on."""
        self._looks: dict[int, Look] = {}
        if self.plain:
            return
        self._solid = np.array([b.material.model != "gas" for b in scene.bodies], bool)[scene.particles.body]
        self._light = light or light_of(scene)
        pictured = {b.material.preset for b in scene.bodies if not b.emitted}
        full = FULL / (self._light.ambient + self._light.lamp)
        self._exposure = np.array([1.0 if b.material.preset in pictured else full for b in scene.bodies])
        binding = scene.binding
        self._particle = binding.particle[: binding.carried].numpy()
        self._cast = binding.cast.nonzero()[:, 0]
        self._shade = GroundShade(
            scene,
            [self._matter(frame, self._poured) for frame in range(trajectory.frames)],
            self._light,
            len(self._cast),
        )

    def on(self, moved: Gaussians, frame: int) -> Gaussians:
        """The splats of a frame, ``moved`` by its particles (``deform``), as they look. Differentiable as ``moved`` is."""
        moved = faded(moved, self.scene.fading, frame / max(1, self.trajectory.frames - 1))
        if self.plain:
            return moved
        if frame not in self._looks:
            self._looks[frame] = self._look(moved, frame)
        look, device = self._looks[frame], moved.means.device
        gain, shine, left = (t.to(device) for t in (look.gain, look.shine, look.left))
        kept = gain * (1.0 - shine)
        first = moved.sh[:, :1] * kept[:, None, None]
        first = first + ((0.5 * (kept - 1.0) + shine) / SH_C0)[:, None, None]
        sh = torch.cat([first, moved.sh[:, 1:] * kept[:, None, None]], 1)
        opacity = torch.logit((torch.sigmoid(moved.opacity_logits) * left).clamp(1e-9, 1.0 - 1e-6))
        formed = look.formed.to(device)
        lit = Gaussians(
            moved.means.index_add(0, formed, look.shift.to(device)),
            moved.quats.index_copy(0, formed, look.quats.to(device)),
            moved.log_scales.index_copy(0, formed, look.log_scales.to(device)),
            torch.where(left < 1.0, opacity, moved.opacity_logits),
            sh,
        )
        return self._with_shade(lit, frame)

    def _with_shade(self, moved: Gaussians, frame: int) -> Gaussians:
        """With the shade on the ground."""
        if not len(self._cast):
            return moved
        device, cast = moved.means.device, self._cast.to(moved.means.device)
        opacity = torch.from_numpy(self._shade.opacity[frame]).to(device)
        there = opacity > 0.0
        index = cast[there]
        means = torch.from_numpy(self._shade.means).to(device)[there]
        log_scales = torch.from_numpy(self._shade.scales).to(device)[there].log()
        return replace(
            moved,
            means=moved.means.index_copy(0, index, means),
            log_scales=moved.log_scales.index_copy(0, index, log_scales),
            opacity_logits=moved.opacity_logits.index_copy(0, index, torch.logit(opacity[there])),
        )

    def _matter(self, frame: int, which: NDArray[np.bool_]) -> Array:
        there = present(self.trajectory.F[frame]) & which
        return self.trajectory.positions[frame, there].astype(np.float64)

    @torch.no_grad()
    def _look(self, moved: Gaussians, frame: int) -> Look:
        count = len(moved)
        gain, shine, left = np.ones(count), np.zeros(count), np.ones(count)
        there = present(self.trajectory.F[frame])
        poured = self._matter(frame, self._poured)
        mine = np.flatnonzero((self._poured & there)[self._particle])
        skin = self._skin(frame, self._particle[mine])
        if len(mine):
            lit, shining = self._lit(frame, self._particle[mine], skin)
            most = self.scene.foreground.colors[mine].numpy().max(1).clip(0.05)
            gain[mine], shine[mine] = np.minimum(lit, LIGHTEST / most), shining
            own = np.flatnonzero(~self._poured[self._particle] & there[self._particle])
            gain[own] = self._shaded(moved, own, poured)
            ground = np.arange(len(self._particle), count)
            places = moved.means[len(self._particle) :, :2].cpu().numpy().astype(np.float64)
            left[ground] = 1.0 - self._shade.covered(frame, places).clip(0.0, 1.0)
        return Look(
            torch.from_numpy(gain).float(),
            torch.from_numpy(shine).float(),
            torch.from_numpy(left).float(),
            torch.from_numpy(mine),
            torch.from_numpy(
                skin.form.means - self.trajectory.positions[frame, self._particle[mine]]
            ).float(),
            quaternion_from_matrix(torch.from_numpy(skin.form.axes).float()),
            torch.from_numpy(skin.form.scales).float().log(),
        )

    def _skin(self, frame: int, particle: NDArray[np.int64]) -> Skin:
        """The surface of the poured matter of ``particle`` [n], each body's own."""
        spacing, count = self.scene.spacing, len(particle)
        points = self.trajectory.positions[frame, particle].astype(np.float64)
        skin = Skin(
            np.zeros((count, 3)),
            np.zeros(count),
            Form(points.copy(), np.tile(np.eye(3), (count, 1, 1)), np.full((count, 3), FORM_SIGMA * spacing)),
        )
        if not count:
            return skin
        solid = self._matter(frame, self._solid)
        reach = NEAR * spacing
        solid = solid[((solid > points.min(0) - reach) & (solid < points.max(0) + reach)).all(1)]
        body = self.scene.particles.body[particle]
        for index in np.unique(body):
            mine = np.flatnonzero(body == index)
            near = Neighbours.of(points[mine], points[mine], CLOSE)
            away, skin.surface[mine] = facing(points[mine], solid, spacing)
            model = self.scene.bodies[index].material.model
            skin.normal[mine] = unit(near.smoothed(away, spacing, SMOOTHINGS[model]))
            if model not in CLOSED:
                continue
            shaped = form(points[mine], near, spacing)
            skin.form.means[mine], skin.form.axes[mine] = shaped.means, shaped.axes
            skin.form.scales[mine] = shaped.scales
        return skin

    def _lit(self, frame: int, particle: NDArray[np.int64], skin: Skin) -> tuple[Array, Array]:
        """Gain and shine [n] of the poured matter of ``particle`` [n]."""
        scene, light, spacing = self.scene, self._light, self.scene.spacing
        points = self.trajectory.positions[frame, particle].astype(np.float64)
        solid = self._matter(frame, self._solid)
        body, normal, surface = scene.particles.body[particle], skin.normal, skin.surface
        wet = np.array([thing.material.model == "liquid" for thing in scene.bodies])[body]
        free = 1.0 - hidden(points, solid, light.direction, spacing)
        sky = 1.0 - COVERED_FROM_SKY * hidden(points, solid, UP, spacing)
        towards = surface * np.clip(normal @ light.direction, 0.0, None) + (1.0 - surface) * INSIDE
        bright = self._exposure[body] * (light.ambient * sky + light.lamp * free * towards)
        view = scene.camera.position - points
        view /= np.linalg.norm(view, axis=1, keepdims=True)
        half = view + light.direction
        half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-9)
        glint = HIGHLIGHT * free * np.clip((normal * half).sum(1), 0.0, 1.0) ** SHARPNESS
        rim = RIM * sky * (1.0 - np.clip((normal * view).sum(1), 0.0, 1.0)) ** RIM_POWER
        return bright ** (1.0 / GAMMA), wet * surface * np.clip(glint + rim, 0.0, 1.0)

    def _shaded(self, moved: Gaussians, own: NDArray[np.int64], poured: Array) -> Array:
        """[n]: gain of the picture's own splats ``own`` [n], by what ``poured`` [M, 3] m hides of the lamp."""
        means = moved.means[own].detach().cpu().numpy().astype(np.float64)
        dark = hidden(means, poured, self._light.direction, self.scene.spacing)
        gain = np.ones(len(own))
        which = np.flatnonzero(dark > 0.0)
        if not len(which):
            return gain
        index = torch.from_numpy(own[which])
        axes = matrix_from_quaternion(moved.quats[index].cpu()).numpy().astype(np.float64)
        thin = moved.scales[index].cpu().numpy().argmin(1)
        normal = axes[np.arange(len(which)), :, thin]
        body = self.scene.particles.body[self._particle[own]]
        middles = np.stack(
            [means[body == b].mean(0) if (body == b).any() else UP for b in range(body.max() + 1)]
        )
        outwards = means[which] - middles[body[which]]
        normal *= np.where((normal * outwards).sum(1, keepdims=True) < 0.0, -1.0, 1.0)
        left = self._light.on(normal, 1.0 - dark[which]) / self._light.on(normal)
        gain[which] = left ** (1.0 / GAMMA)
        return gain
