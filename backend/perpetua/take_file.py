"""Read and write ``take.yaml``."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import yaml

from perpetua.yaml_file import load_yaml
from perpetua_protocol.errors import InvalidTake
from perpetua_protocol.take import Action, Collider, Mesh, Take, validate

MESH_FILES = (".obj", ".ply", ".stl")


def load_take(path: Path, look: bool = False) -> tuple[Take, Path]:
    """The take in a YAML file, and the path of its picture (relative paths start at the file's folder, those of mesh files too).
    look: it needs no objects yet.

    Raises ``InvalidTake`` naming the field that is wrong.
    """
    take = load_yaml(path, Take, InvalidTake, "perpetua_protocol/take.py and actions.py")
    take = _with_meshes(take, path.parent)
    picture = (path.parent / Path(take.picture).expanduser()).resolve()
    take = _with_views(take, picture)
    validate(take, look)
    return take, picture


def _with_views(take: Take, picture: Path) -> Take:
    """The take with the patterns among its further pictures replaced by the names of the files beside the picture that match."""
    names: list[str] = []
    for name in take.scene.views:
        if "*" not in name and "?" not in name:
            names.append(name)
            continue
        found = sorted(p.relative_to(picture.parent).as_posix() for p in picture.parent.glob(name))
        found = [each for each in found if each != picture.name]
        if not found:
            raise InvalidTake(f"No picture beside {picture.name} is called {name}; correct the pattern.")
        names += found
    scene = msgspec.structs.replace(take.scene, views=tuple(dict.fromkeys(names)))
    return msgspec.structs.replace(take, scene=scene)


def _with_meshes(take: Take, folder: Path) -> Take:
    """The take with the mesh files that its colliders name read into it."""

    def read(action: Action) -> Action:
        if not isinstance(action, Collider) or not action.mesh.file:
            return action
        return msgspec.structs.replace(action, mesh=_mesh(action, folder))

    rounds = tuple(
        msgspec.structs.replace(turn, actions=tuple(read(action) for action in turn.actions))
        for turn in take.rounds
    )
    return msgspec.structs.replace(take, rounds=rounds)


def _mesh(collider: Collider, folder: Path) -> Mesh:
    """A collider's mesh from its file, which is an OBJ, PLY or STL in metres with Z up."""
    import trimesh

    path = (folder / Path(collider.mesh.file).expanduser()).resolve()
    if path.suffix.lower() not in MESH_FILES:
        raise InvalidTake(
            f"Collider '{collider.name}' names {path.name}; give it a mesh of the kind {', '.join(MESH_FILES)}."
        )
    if not path.is_file():
        raise InvalidTake(f"Collider '{collider.name}' names {path}, which is not there; check its path.")
    try:
        mesh = trimesh.load_mesh(path)
        corners, faces = np.asarray(mesh.vertices, float), np.asarray(mesh.faces, int)
    except (OSError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise InvalidTake(
            f"Collider '{collider.name}' names {path.name}, which is no readable mesh ({error}); export it again."
        ) from error
    return Mesh(tuple(map(tuple, corners.tolist())), tuple(map(tuple, faces.tolist())))


def save_take(take: Take, path: Path) -> None:
    """Write a take that ``load_take`` reads back equal."""
    path.write_text(yaml.safe_dump(msgspec.to_builtins(take), sort_keys=False), encoding="utf-8")
