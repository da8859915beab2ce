"""Looking at an input that Blender cannot show itself: the backend draws the picture that its objects are clicked in."""

from __future__ import annotations

from pathlib import Path

import bpy

from perpetua_protocol.cache import CacheMeta, read_meta
from perpetua_protocol.client import new_job_id
from perpetua_protocol.errors import JobFailed
from perpetua_protocol.inputs import input_files
from perpetua_protocol.messages import BakeRequest, Event, StateChanged

from . import across_undo, following, log, marking, playback, session
from .backend_job import BackendJob
from .bake_folders import bake_folder, look_folder
from .take_builder import build_look, picture_path

FRONT = "front.png"


class Look(BackendJob):
    """A look at a scene's input. Made by ``start``."""

    did = "looked at it in"

    def take_in(self, event: Event) -> None:
        super().take_in(event)
        if isinstance(event, StateChanged) and event.state == "done":
            self._files_wanted = True

    def arrived(self) -> None:
        show(self.scene, self.folder)

    def finish(self, state: str, text: str) -> None:
        if state == "cancelled":
            self.cancelled = True
            session.current().sentence = "Cancelled; press Look to see the splats."
        elif state != "done":
            raise JobFailed(text or "The backend could not show this file; see its log.")


def start(scene: bpy.types.Scene) -> Look:
    """Ask the backend for the picture and return the job under way. Raises as ``bake.start``."""
    following.check_free()
    take = build_look(scene)
    inputs = input_files(take, picture_path(scene))
    folder = look_folder(bake_folder(scene))
    job = Look(scene, new_job_id(), BakeRequest(take, 0, "", look=True), folder)
    job.send(inputs)
    following.begin(job)
    log.LOG.info("look at %s into %s", inputs[0].name, job.folder)
    return job


def show(scene: bpy.types.Scene, folder: Path) -> None:
    """Let objects be clicked in the picture that lies in ``folder``. Raises ``DamagedCache``."""
    meta: CacheMeta = read_meta(folder)
    known, path = scene.perpetua.input, folder / FRONT
    known.front = playback.stored_path(path)
    if meta.cameras:
        camera = meta.cameras[0]
        known.look_matrix, known.look_fov = camera.matrix_world, camera.horizontal_fov_degrees
        known.look_size = (camera.width, camera.height)
    across_undo.note_look(scene)
    image = marking.picture_image(scene)
    image.reload()
    scene.render.resolution_x, scene.render.resolution_y = image.size
    if bpy.context.window is not None and bpy.context.scene == scene:
        marking.show_picture(bpy.context)
