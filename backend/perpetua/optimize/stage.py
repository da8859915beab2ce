"""The scene as a correction in progress has it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from perpetua.optimize.api import Correction, Settings
from perpetua.optimize.apply import FLOWING, dressed
from perpetua.optimize.motion import CPU, Motion
from perpetua.optimize.splat_offsets import SplatOffsets
from perpetua.render import Motion as Flow
from perpetua.scene.appearance import Appearance
from perpetua.scene.binding import deform
from perpetua.scene.cameras import Camera
from perpetua.scene.fading import faded
from perpetua.scene.gaussians import Gaussians
from perpetua.scene.scene import Scene
from perpetua.scene.trajectory import Trajectory


@dataclass(frozen=True)
class Matter:
    """Particles in a frame: where they were simulated to be and where they are [P, 3] m, and their whole deformation [P, 3, 3]."""

    simulated: Tensor
    positions: Tensor
    F: Tensor


class Stage:
    """Motion and colours that an optimiser can move, and the splats they make of every frame.

    Tensors are on ``device``. Where matter keeps its neighbours, a splat's shape follows the correction's gradient by where
    particles are at the round's start, G: as F F_0^-1 takes the start to a frame, (I + grad u) F = F + G F_0. Where it flows,
    there is no such map, and splats keep the shape that they were simulated with until the correction is applied. So does the light on
    liquids and on what came out of emitters.
    """

    def __init__(
        self,
        scene: Scene,
        trajectory: Trajectory,
        start: Correction,
        settings: Settings,
        device: torch.device = CPU,
    ) -> None:
        self.scene, self.trajectory, self.device = scene, trajectory, device
        self.foreground = scene.foreground.to(device)
        self.motion = Motion(scene, trajectory, start, device)
        self.appearance = Appearance(scene, trajectory)
        going_on = dressed(scene, start)
        self.offsets = SplatOffsets(going_on.binding.to(device), scene.binding, scene.spacing)
        self.offsets.raw.requires_grad_(settings.offsets)
        fading = torch.zeros(len(self.foreground)) if going_on.fading is None else going_on.fading
        self.fading = fading[: scene.binding.carried].to(device, copy=True).requires_grad_(settings.fading)
        self.detail = torch.from_numpy(start.sh[:, :1]).to(device, copy=True).requires_grad_()
        self.sheen = torch.from_numpy(start.sh[:, 1:]).to(device)
        self.tint = torch.zeros(2, 3, device=device, requires_grad=True)
        self.F_start = torch.from_numpy(trajectory.F[0]).to(device)
        self.shaped = [
            soft
            for soft, model in zip(self.motion.soft, self.motion.models, strict=True)
            if model not in FLOWING
        ]

    @property
    def sh(self) -> Tensor:
        """[N, K, 3]: the splats' colours, and one gain and bias for all of them; shadows keep theirs, and all what depends on the
        view, which the few views of a round do not show."""
        count = len(self.fading)
        objects = self.detail[:count] * (1 + self.tint[0]) + self.tint[1]
        return torch.cat([torch.cat([objects, self.detail[count:].detach()]), self.sheen], 1)

    def matter(self, frame: int) -> Matter:
        """The particles in a frame."""
        simulated = torch.from_numpy(self.trajectory.positions[frame]).to(self.device)
        moved, turns = self.motion.displacement(frame, simulated)
        return Matter(simulated, simulated + moved, self._deformed(frame, turns))

    def splats(self, matter: Matter, frame: int, camera: Camera) -> Gaussians:
        """The foreground on the particles of a frame, as ``camera`` sees it."""
        rest = replace(self.foreground, sh=self.sh)
        moved = deform(rest, self.offsets.binding, matter.positions, matter.F)
        share = frame / max(1, self.trajectory.frames - 1)
        return faded(self.appearance.on(moved, frame, camera.position), self._fading(), share)

    def flow(self, matter: Matter, splats: Gaussians, after: Matter) -> Flow:
        """How the splats of a frame move to another."""
        return Flow.of_matter(
            self.foreground, self.offsets.binding, splats, matter.F, after.positions, after.F
        )

    @torch.no_grad()
    def _deformed(self, frame: int, turns: list[Tensor]) -> Tensor:
        """[P, 3, 3]: the whole deformation at a frame with the correction's in it."""
        F = torch.from_numpy(self.trajectory.F[frame]).to(self.device, copy=True)
        for soft in self.shaped:
            G = soft.gradient(self.motion.weights[frame])
            F[soft.particles] += G @ self.F_start[soft.particles]
        for rigid, turn in zip(self.motion.rigid, turns, strict=True):
            F[rigid.particles] = turn @ F[rigid.particles]
        return F

    def _fading(self) -> Tensor:
        """[N]: with splats on the ground, which do not fade."""
        return nn.functional.pad(self.fading, (0, len(self.foreground) - len(self.fading)))

    def correction(self) -> Correction:
        """What there is of the correction."""
        offsets, fading = self.offsets.binding.offsets.detach().cpu(), self._fading().detach().cpu()
        shifted, fades = not torch.equal(offsets, self.scene.binding.offsets), bool(fading.any())
        return Correction(
            self.motion.knots,
            self.motion.at_knots(self.trajectory),
            self.sh.detach().cpu().numpy().copy(),
            offsets=offsets.numpy().copy() if shifted else np.zeros((0, 3), np.float32),
            fading=fading.numpy().copy() if fades else np.zeros(0, np.float32),
        )
