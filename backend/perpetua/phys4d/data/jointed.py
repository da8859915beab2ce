"""Links held together by joints, moved by Genesis' rigid solver itself: the project's engine knows free bodies only.

The scene becomes an MJCF model, one body a link, nested as the joints say, with things of no joint as free bodies.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as Xml

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from perpetua.errors import SimulationError
from perpetua.phys4d.data.shapes import volume
from perpetua.phys4d.data.spec import Joint, SceneSpec, Thing
from perpetua.scene import Scene, Trajectory
from perpetua.scene.materials import resolve

SUBSTEPS = 20
"""Of a frame; joints of light links need short ones."""
GEOMS = {"ball": "sphere", "box": "box"}
ARMATURE = "1e-7"
"""kg m^2 of each joint itself, far below any link's: it keeps light links stable."""
FASTEST = 50.0
"""m/s that a link of a table-top scene never reaches."""


def simulate_jointed(spec: SceneSpec, scene: Scene) -> Trajectory:
    """The motion of ``scene``, whose bodies are the links. Raises ``SimulationError`` for shapes a link cannot have."""
    from perpetua.physics import runtime, worlds

    worlds.discard()
    gs = runtime.fresh(spec.seed % (1 << 31))
    names = [f"link_{i}" for i in range(len(spec.things))]
    genesis = gs.Scene(
        sim_options=gs.options.SimOptions(dt=1.0 / spec.fps, substeps=SUBSTEPS, gravity=spec.gravity),
        show_viewer=False,
    )
    genesis.add_entity(gs.morphs.Plane())
    with TemporaryDirectory() as folder:
        path = Path(folder) / "links.xml"
        path.write_text(model_of(spec, names), encoding="utf-8")
        entity = genesis.add_entity(gs.morphs.MJCF(file=str(path)))
        genesis.build()
    links = [entity.get_link(name) for name in names]
    poses = [_poses(links)]
    for _ in range(spec.frames - 1):
        genesis.step()
        poses.append(_poses(links))
    worlds.discard()
    return trajectory_of(spec, scene, np.stack(poses))


def _poses(links: list) -> NDArray[np.float64]:
    """[L, 7]: position m and quaternion wxyz of each link."""
    found = [
        np.concatenate([link.get_pos().cpu().numpy().ravel(), link.get_quat().cpu().numpy().ravel()])
        for link in links
    ]
    return np.stack(found).astype(np.float64)


def trajectory_of(spec: SceneSpec, scene: Scene, poses: NDArray) -> Trajectory:
    """poses: [T, L, 7]. Particles ride on their link."""
    moved = np.linalg.norm(np.diff(poses[..., :3], axis=0), axis=-1).max(initial=0.0) * spec.fps
    if not np.isfinite(poses).all() or moved > FASTEST:
        raise SimulationError(f"The joints of scene '{spec.name}' came apart; draw it with another seed.")
    rest, body = scene.particles.positions.astype(np.float64), scene.particles.body
    turns = Rotation.from_quat(poses[..., 3:].reshape(-1, 4), scalar_first=True).as_matrix()
    turns = turns.reshape(*poses.shape[:2], 3, 3)
    turns = turns @ np.swapaxes(turns[:1], -1, -2)  # since the first frame
    arms = rest - poses[0, body, :3]
    positions = np.einsum("tpij,pj->tpi", turns[:, body], arms) + poses[:, body, :3]
    times = np.arange(spec.frames) / spec.fps
    return Trajectory(positions.astype(np.float32), turns[:, body].astype(np.float32), times)


def model_of(spec: SceneSpec, names: list[str]) -> str:
    """The scene as MJCF, with all places in the world's axes of the first frame turned into each parent's own."""
    root = Xml.Element("mujoco")
    Xml.SubElement(root, "compiler", angle="radian")
    top = Xml.SubElement(root, "worldbody")
    centres = [np.add(t.at, (0.0, 0.0, t.form.size[2] / 2)) for t in spec.things]
    turns = [Rotation.from_quat(t.turn, scalar_first=True) for t in spec.things]
    held = {joint.child: joint for joint in spec.joints}

    def add(parent: Xml.Element, index: int, above: int) -> None:
        turn = turns[index] if above < 0 else turns[above].inv() * turns[index]
        place = centres[index] if above < 0 else turns[above].inv().apply(centres[index] - centres[above])
        body = Xml.SubElement(
            parent,
            "body",
            name=names[index],
            pos=_numbers(place),
            quat=_numbers(turn.as_quat(scalar_first=True)),
        )
        _geom(body, spec.things[index])
        joint = held.get(index)
        if joint is None:
            Xml.SubElement(body, "freejoint")
        else:
            _joint(
                body, joint, turns[index].inv().apply(np.asarray(joint.anchor) - centres[index]), turns[index]
            )
        for child in held.values():
            if child.parent == index:
                add(body, child.child, index)

    for index in range(len(spec.things)):
        if index not in held or held[index].parent < 0:
            add(top, index, -1)
    return Xml.tostring(root, encoding="unicode")


def _joint(body: Xml.Element, joint: Joint, place: NDArray, turn: Rotation) -> None:
    made = Xml.SubElement(
        body, "joint", type="ball", pos=_numbers(place), damping=f"{joint.damping:.9g}", armature=ARMATURE
    )
    if joint.axis is not None:
        made.set("type", "hinge")
        made.set("axis", _numbers(turn.inv().apply(np.asarray(joint.axis))))


def _geom(body: Xml.Element, thing: Thing) -> None:
    if thing.form.kind not in GEOMS:
        raise SimulationError(f"'{thing.name}' is a {thing.form.kind}; links are boxes and balls.")
    x, y, z = (0.5 * side for side in thing.form.size)
    size = np.array([x]) if thing.form.kind == "ball" else np.array([x, y, z])
    material = resolve(thing.material)
    Xml.SubElement(
        body, "geom", type=GEOMS[thing.form.kind], size=_numbers(size), mass=f"{volume(thing.form) * material.density:.9g}",
        friction=f"{material.friction:.6g} 0.005 0.0001",
    )  # fmt: skip


def _numbers(values: NDArray) -> str:
    return " ".join(f"{float(v):.9g}" for v in values)
