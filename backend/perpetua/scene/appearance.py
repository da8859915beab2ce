"""What liquids, and whatever came out of an emitter, look like in the light of the picture, frame by frame, and what they do to what is around.

No picture shows matter out of an emitter, and none what an object of a liquid becomes as it flows: both are shown by their skin, shaded
by the picture's own light (``light.py``) along the normal that their particles' density gives (``skin.py``). A liquid shines, and a clear
one lets through what is behind; what stands between matter and the lamp shades it (``shadow_map.py``, in steam ``mist.py``). What was
poured throws its shadow on the objects and the support (``ground_shade.py``). An object is the picture's own as long as it is whole
(``strain.py``): then its splats are those that the picture gave it, and of these one on each particle becomes the skin, in its own
colour, as the others go; until they are gone these stretch over it as one sheet (``coat.py``). Where no liquid flows and nothing came,
nothing changes.

A colour c of a splat becomes  gain c (1 - shine) + shine,  in the picture's own encoding: a change that is straight in c, so that a
correction finds the colour below the light. The splats stay bound to their particles, and move with them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perpetua.scene.binding import principal_axes
from perpetua.scene.coat import Coat
from perpetua.scene.fading import faded
from perpetua.scene.gaussians import SH_C0, Gaussians
from perpetua.scene.ground_shade import GroundShade
from perpetua.scene.light import GAMMA, Light, light_of, pictured
from perpetua.scene.mist import Puffs, brightness
from perpetua.scene.particles import present
from perpetua.scene.rotations import matrix_from_quaternion, quaternion_from_matrix
from perpetua.scene.scene import Scene
from perpetua.scene.shadow_map import hidden
from perpetua.scene.skin import UP, Skin, clear_opacity
from perpetua.scene.strain import Strain, closed, picture_left, sheared
from perpetua.scene.trajectory import Trajectory

Array = NDArray[np.float64]

FULL = 1.25
"""Brightness at which matter of a preset's own colour faces the lamp; what has its colour from an object of the picture is as bright as that."""
LIGHTEST = 0.985
"""Brightest that matter is shaded to, so that white keeps its form."""
BELOW = 0.3
"""By how much of itself the skin is thinner below the picture's own splats, so that it does not stand out around them."""


@dataclass(frozen=True)
class Reshaped:
    """Splats ``index`` [n] that lie elsewhere, by shift [n, 3] m, with quats [n, 4] and log_scales [n, 3]."""

    index: Tensor
    shift: Tensor
    quats: Tensor
    log_scales: Tensor

    def of(self, splats: Gaussians) -> Gaussians:
        """``splats`` with these reshaped; their gradients pass."""
        index, shift, quats, log_scales = (
            getattr(self, f.name).to(splats.means.device) for f in fields(Reshaped)
        )
        return replace(
            splats,
            means=splats.means.index_add(0, index, shift),
            quats=splats.quats.index_copy(0, index, quats),
            log_scales=splats.log_scales.index_copy(0, index, log_scales),
        )


@dataclass(frozen=True)
class Look:
    """gain [N] of splats (see the module), and what is left of their opacity [N]. forms: those that take another form. on: [n] splats
    that are the skin of the particles they are on, and share [n], how much of it is seen bare."""

    gain: Tensor
    left: Tensor
    forms: list[Reshaped]
    on: Tensor
    skin: Skin
    share: Array


class Appearance:
    """The look of a round's splats in ``scene`` while its particles move by ``trajectory``."""

    def __init__(self, scene: Scene, trajectory: Trajectory, light: Light | None = None) -> None:
        """light: None finds the picture's."""
        self.scene, self.trajectory = scene, trajectory
        body = scene.particles.body
        gas = np.array([b.material.model == "gas" for b in scene.bodies], bool)
        emitted = np.array([b.emitted for b in scene.bodies], bool)
        kinds, of = scene.materials()
        liquid = np.array([kind.model == "liquid" for kind in kinds], bool)[of]
        flows = liquid & ~emitted[body]
        self._poured, self._mist, self._solid = (emitted & ~gas)[body], (emitted & gas)[body], ~gas[body]
        self._skinned = self._poured | flows
        self._looks: dict[int, Look] = {}
        self.plain = not (
            (present(trajectory.F[-1]) & self._skinned).any() or trajectory.F[:, self._mist].any()
        )
        """Whether there is nothing that light falls on anew."""
        if self.plain:
            return
        binding = scene.binding
        self._particle = binding.particle[: binding.carried].numpy()
        self._carrier = _carriers(scene, self._skinned)
        splats, particles = (np.bincount(b, minlength=len(gas)) for b in (body[self._particle], body))
        # a splat a particle is no picture of anything: it shows no more than the skin
        self._detailed = flows & (splats > particles)[body]
        self._strain = Strain(scene, self._detailed)
        self._coat = self._coats()
        self._light = light or light_of(scene)
        self._exposure = self._exposures()
        self._cast = binding.cast.nonzero()[:, 0]
        self._shade = None
        if len(self._cast):
            frames = range(trajectory.frames)
            matter = [self._matter(frame, self._poured) for frame in frames]
            self._shade = GroundShade(
                scene, matter, [self._puffs(frame) for frame in frames], self._light, len(self._cast)
            )

    def on(self, moved: Gaussians, frame: int, eye: Array | None = None) -> Gaussians:
        """The splats of a frame, ``moved`` by its particles (``deform``), as they look from ``eye`` [3] m, from the picture's camera if
        there is none. Differentiable as ``moved`` is."""
        moved = faded(moved, self.scene.fading, frame / max(1, self.trajectory.frames - 1))
        if self.plain:
            return moved
        if frame not in self._looks:
            self._looks[frame] = self._look(moved, frame)
        look, device = self._looks[frame], moved.means.device
        gain, left = look.gain.to(device), look.left.to(device)
        mirrored = look.share * look.skin.mirrored(
            self._light, self.scene.camera.position if eye is None else eye
        )
        on = look.on.to(device)
        shine = torch.zeros_like(gain).index_copy(0, on, torch.from_numpy(mirrored).float().to(device))
        opacity = torch.sigmoid(moved.opacity_logits) * left
        opacity = 1.0 - (1.0 - opacity) * (1.0 - shine)  # what mirrors hides what is behind, however clear
        share = torch.where(shine > 0.0, shine / opacity.detach().clamp_min(1e-6), 0.0)
        kept = gain * (1.0 - share)
        first = moved.sh[:, :1] * kept[:, None, None]
        first = first + ((0.5 * (kept - 1.0) + share) / SH_C0)[:, None, None]
        changed = (left < 1.0) | (shine > 0.0)
        opacity_logits = torch.where(
            changed, torch.logit(opacity.clamp(1e-9, 1.0 - 1e-6)), moved.opacity_logits
        )
        sh = torch.cat([first, moved.sh[:, 1:] * kept[:, None, None]], 1)
        lit = replace(moved, opacity_logits=opacity_logits, sh=sh)
        for form in look.forms:
            lit = form.of(lit)
        return self._with_shade(lit, frame)

    def _with_shade(self, moved: Gaussians, frame: int) -> Gaussians:
        """With the shade on the ground."""
        if self._shade is None:
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

    def _puffs(self, frame: int) -> Puffs:
        """Those of a frame that came out of an emitter; each is its particle's only splat, as large as its F says."""
        F = self.trajectory.F[frame]
        mine = np.flatnonzero((present(F) & self._mist)[self._particle])
        particle, splats = self._particle[mine], self.scene.foreground
        index = torch.from_numpy(mine)
        widths = splats.scales[index].mean(1).numpy() * np.trace(F[particle], axis1=1, axis2=2) / 3.0
        places = self.trajectory.positions[frame, particle].astype(np.float64)
        return Puffs.shown(places, splats.opacities[index].numpy().astype(np.float64), widths)

    def _exposures(self) -> Array:
        """[carried]: what a splat's matter is lit by, in what its own colour has of light already."""
        scene, light = self.scene, self._light
        full = FULL / (light.ambient + light.lamp)
        kinds, of = scene.materials()
        shown = self._detailed | ~(self._skinned | self._mist)
        seen = {kinds[k].preset for k in np.unique(of[shown])}
        exposure = np.array([1.0 if k.preset in seen else full for k in kinds])[of[self._particle]]
        body = scene.particles.body[self._particle]
        for index in np.unique(scene.particles.body[self._detailed]):
            mine = np.flatnonzero((body == index) & self._detailed[self._particle])
            places = scene.foreground.means[mine].numpy().astype(np.float64)
            exposure[mine] = 1.0 / pictured(scene, scene.bodies[index], light, places)
        return exposure

    @torch.no_grad()
    def _look(self, moved: Gaussians, frame: int) -> Look:
        scene, count = self.scene, len(moved)
        gain, left = np.ones(count), np.ones(count)
        positions, there = self.trajectory.positions[frame], present(self.trajectory.F[frame])
        strain = self._strain.at(positions)
        whole = picture_left(strain)
        poured = self._matter(frame, self._poured)
        own = np.flatnonzero(~self._poured[self._particle] & there[self._particle])
        gain[own] = self._shaded(moved, own, poured)
        left[: len(self._particle)] = np.where(self._skinned[self._particle], whole[self._particle], 1.0)

        skin, particle, share = self._skin(frame, there, strain)
        mine = self._carrier[particle]
        bare = 1.0 - whole[particle]  # what is below the picture's own splats has their light
        lit = (self._exposure[mine] * skin.brightness(self._light)) ** (1.0 / GAMMA)
        most = scene.foreground.colors[mine].numpy().max(1).clip(0.05)
        gain[mine] += bare * (np.minimum(lit, LIGHTEST / most) - gain[mine])
        solid = torch.sigmoid(scene.foreground.opacity_logits[mine]).numpy().astype(np.float64)
        scales = skin.form.scales * (1.0 - BELOW * whole[particle])[:, None]
        clear = clear_opacity(scene, particle, scales, solid)
        left[mine] = 1.0 + share * (clear / solid - 1.0)
        skin = replace(skin, overlap=1.0 + (skin.overlap - 1.0) * (1.0 - clear))
        self._light_mist(moved, frame, there, gain)
        left[len(self._particle) :] = self._shadows_left(moved, frame, whole)

        bound = scene.binding.carried_means(
            torch.from_numpy(positions), torch.from_numpy(self.trajectory.F[frame])
        )[mine]
        shift = torch.from_numpy(skin.form.means).float() - bound
        weight = torch.from_numpy(share).float()[:, None]
        on = torch.from_numpy(mine)
        before = moved.log_scales[on.to(moved.means.device)].cpu()
        formed = Reshaped(
            on,
            weight * shift,
            quaternion_from_matrix(torch.from_numpy(skin.form.axes).float()),
            torch.lerp(before, torch.from_numpy(scales).float().log(), weight),
        )
        forms = [formed, *self._coated(frame, strain)]
        return Look(
            torch.from_numpy(gain).float(), torch.from_numpy(left).float(), forms, on, skin, share * bare
        )

    def _coats(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64], Coat]]:
        """Of each object that the picture shows and that flows: its particles, its splats that are not the skin, and these as a coat."""
        scene, rest = self.scene, self.scene.particles.positions.astype(np.float64)
        skin = np.zeros(len(self._particle), bool)
        skin[self._carrier[self._carrier >= 0]] = True
        still = torch.eye(3).expand(len(rest), 3, 3)
        places = scene.binding.carried_means(torch.from_numpy(scene.particles.positions), still).numpy()
        coats = []
        for index in np.unique(scene.particles.body[self._detailed]):
            rows = np.flatnonzero(self._detailed & (scene.particles.body == index))
            mine = np.flatnonzero(np.isin(self._particle, rows) & ~skin)
            coats.append((rows, mine, Coat(places[mine].astype(np.float64), rest[rows], scene.spacing)))
        return coats

    def _coated(self, frame: int, strain: Array) -> list[Reshaped]:
        """The picture's own splats where matter with ``strain`` [P] flows, an object each."""
        scene, made = self.scene, []
        positions, F = self.trajectory.positions[frame], self.trajectory.F[frame]
        bound = scene.binding.carried_means(torch.from_numpy(positions), torch.from_numpy(F))
        for rows, mine, coat in self._coat:
            share = sheared(strain[self._particle[mine]])
            flows = np.flatnonzero(share > 0.0)
            if not len(flows):
                continue
            places, A = coat.at(positions[rows].astype(np.float64), F[rows].astype(np.float64))
            index, weight = torch.from_numpy(mine[flows]), torch.from_numpy(share[flows]).float()[:, None]
            own = torch.from_numpy(F[self._particle[mine[flows]]])
            maps = torch.lerp(own, torch.from_numpy(A[flows]).float(), weight[..., None])
            quats, scales = principal_axes(
                maps, scene.foreground.quats[index], scene.foreground.scales[index]
            )
            shift = weight * (torch.from_numpy(places[flows]).float() - bound[index])
            made.append(Reshaped(index, shift, quats, scales.log()))
        return made

    def _skin(
        self, frame: int, there: NDArray[np.bool_], strain: Array
    ) -> tuple[Skin, NDArray[np.int64], Array]:
        """The skin where there is one, of which particles [n], and how far it has grown [n]."""
        shown = np.flatnonzero(self._skinned & there & (self._carrier >= 0))
        grown = closed(strain[shown])
        if not grown.any():
            shown, grown = shown[:0], grown[:0]
        points = self.trajectory.positions[frame, shown].astype(np.float64)
        skin = Skin.of(self.scene, shown, points, self._matter(frame, self._solid), self._light)
        seen = grown > 0.0
        return skin[seen], shown[seen], grown[seen]

    def _light_mist(self, moved: Gaussians, frame: int, there: NDArray[np.bool_], gain: Array) -> None:
        """Shades puffs of gas in ``gain`` [N]."""
        mine = np.flatnonzero((self._mist & there)[self._particle])
        if not len(mine):
            return
        index = torch.from_numpy(mine).to(moved.means.device)
        puffs = Puffs.shown(
            moved.means[index].cpu().numpy().astype(np.float64),
            moved.opacities[index].cpu().numpy().astype(np.float64),
            moved.scales[index].mean(1).cpu().numpy().astype(np.float64),
        )
        solid = self._matter(frame, self._solid)
        bright = brightness(puffs, solid, self.scene.spacing, self._light)
        most = self.scene.foreground.colors[mine].numpy().max(1).clip(0.05)
        gain[mine] = np.minimum((self._exposure[mine] * bright) ** (1.0 / GAMMA), LIGHTEST / most)

    def _shadows_left(self, moved: Gaussians, frame: int, whole: Array) -> Array:
        """[G]: what is left of the shadows on the ground: none where poured matter lies on them, and less where a liquid has sunk."""
        binding = self.scene.binding
        left = np.ones(len(binding.ground))
        if self._shade is not None:
            places = moved.means[len(self._particle) :, :2].cpu().numpy().astype(np.float64)
            left = 1.0 - self._shade.covered(frame, places).clip(0.0, 1.0)
        body, ground = self.scene.particles.body, binding.ground.numpy()
        for index in np.unique(body[self._skinned & ~self._poured]):
            mine = body == index
            height = float(np.quantile(self.trajectory.positions[frame, mine, 2], 0.95))
            was = float(np.quantile(self.scene.particles.positions[mine, 2], 0.95))
            sunk = 1.0 - np.clip(height / max(was, 1e-6), 0.0, 1.0)
            left[ground == index] *= 1.0 - sunk * (1.0 - float(whole[mine & self._skinned].mean()))
        return left

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


def _carriers(scene: Scene, which: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[P]: of the splats that hang on each particle of ``which`` [P] the one nearest to it, which is its part of the skin; -1 for none."""
    binding = scene.binding
    particle = binding.particle[: binding.carried].numpy()
    splat = np.flatnonzero(which[particle])
    away = binding.displacements()[: binding.carried].norm(dim=1).numpy()[splat]
    carrier = np.full(len(which), -1, np.int64)
    order = splat[np.argsort(-away, kind="stable")]  # the last one written stays
    carrier[particle[order]] = order
    return carrier
