"""The same matter stepped by Genesis alone: its own solvers, the same grid and substep, nothing of ours around them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from perpetua.errors import SimulationError
from perpetua.physics.grid import Box
from perpetua.physics.parts import quiet
from perpetua.physics.rigid import shape_of
from perpetua.scene.scene import Scene

MODELS = frozenset({"elastic", "plastic", "snow", "sand", "liquid", "rigid", "cloth"})
"""What Genesis simulates too; it has no gas of particles."""


class Bare:
    """A Genesis scene with the one body of ``scene`` in ``box``, substeps of ``dt`` s. Genesis must have been started."""

    def __init__(self, scene: Scene, box: Box, dt: float) -> None:
        import genesis as gs

        material = scene.bodies[0].material
        low, high = ([float(c * box.dx) for c in corner] for corner in (box.lower, box.upper))
        with quiet(), tempfile.TemporaryDirectory(prefix="perpetua-bench-") as folder:
            self._genesis = gs.Scene(
                show_viewer=False,
                sim_options=gs.options.SimOptions(dt=dt, substeps=1),
                mpm_options=gs.options.MPMOptions(
                    lower_bound=tuple(low),
                    upper_bound=tuple(high),
                    grid_density=1.0 / box.dx,
                    particle_size=scene.spacing,
                ),
                pbd_options=gs.options.PBDOptions(
                    lower_bound=tuple(low), upper_bound=tuple(high), particle_size=scene.spacing
                ),
            )
            if material.is_rigid:
                self._add_rigid(gs, scene, Path(folder))
                self._genesis.build()
            elif material.model == "cloth":
                self._add_cloth(gs, scene, Path(folder))
                self._genesis.build()
            else:
                entity = self._genesis.add_entity(
                    gs.morphs.Nowhere(n_particles=len(scene.particles)), _material(gs, scene, dt)
                )
                self._genesis.build()
                entity.set_particles_pos(scene.particles.positions)
                entity.set_particles_active(True)
                entity.active = True

    def _add_rigid(self, gs: Any, scene: Scene, folder: Path) -> None:
        shape = shape_of(scene, 0)
        path = folder / "body.obj"
        shape.mesh.export(path)
        morph = gs.morphs.Mesh(file=str(path), pos=tuple(shape.centre), file_meshes_are_zup=True)
        self._genesis.add_entity(gs.morphs.Plane())
        self._genesis.add_entity(morph, gs.materials.Rigid(rho=scene.bodies[0].material.density))

    def _add_cloth(self, gs: Any, scene: Scene, folder: Path) -> None:
        import trimesh

        path = folder / "sheet.obj"
        trimesh.Trimesh(scene.bodies[0].vertices, scene.bodies[0].faces, process=False).export(path)
        self._genesis.add_entity(gs.morphs.Plane())
        with _as_it_is():
            self._genesis.add_entity(
                gs.morphs.Mesh(file=str(path), file_meshes_are_zup=True), gs.materials.PBD.Cloth()
            )

    def step(self, substeps: int) -> None:
        for _ in range(substeps):
            self._genesis.step(update_visualizer=False)


@contextmanager
def _as_it_is() -> Iterator[None]:
    """Genesis meshes cloth anew, with a package that nothing else needs, to edges as long as a particle is wide: these are that long."""
    from genesis.engine.mesh import Mesh

    meshed_anew = Mesh.remesh
    Mesh.remesh = lambda self, **_: None
    try:
        yield
    finally:
        Mesh.remesh = meshed_anew


def _material(gs: Any, scene: Scene, dt: float) -> Any:
    """Genesis' own material that comes nearest; its viscous liquid has the dynamic viscosity mu dt."""
    m, mpm = scene.bodies[0].material, gs.materials.MPM
    numbers = {"E": m.youngs_modulus, "nu": m.poisson_ratio, "rho": m.density, "sampler": "regular"}
    if m.model == "elastic":
        return mpm.Elastic(model="neohooken", **numbers)
    if m.model == "plastic":
        return mpm.ElastoPlastic(von_mises_yield_stress=m.yield_stress, **numbers)
    if m.model == "snow":
        return mpm.Snow(**numbers)
    if m.model == "sand":
        return mpm.Sand(friction_angle=m.friction_angle, **numbers)
    if m.model == "liquid":
        return mpm.Liquid(viscous=True, lam=m.lame[0], mu=m.viscosity / dt, **numbers)
    raise SimulationError(f"There is no measurement of the model '{m.model}' in Genesis alone.")
