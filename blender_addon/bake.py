"""A bake under way: its take is sent, every finished round's files are brought and played."""

from __future__ import annotations

import bpy

from perpetua_protocol.client import new_job_id
from perpetua_protocol.errors import JobFailed
from perpetua_protocol.inputs import input_files
from perpetua_protocol.messages import BakeRequest, Event, RoundReady

from . import (
    across_undo,
    dependencies,
    following,
    log,
    picture_so_far,
    playback,
    round_status,
    session,
)
from .backend_job import BackendJob
from .bake_folders import bake_folder
from .errors import AddonError
from .kept_cache import KeptCache
from .reconstruction import import_reconstruction
from .take_builder import build_take, picture_path


class Bake(BackendJob):
    """The bake of a scene's take. Made by ``start``."""

    did = "baked into"
    go_on = "What it has baked is kept: Resume goes on from there."

    def __init__(
        self, scene: bpy.types.Scene, job_id: str, request: BakeRequest, made_from: list[str]
    ) -> None:
        """made_from: digests of what the reconstruction and each round are baked from (``dependencies``)."""
        super().__init__(scene, job_id, request, bake_folder(scene))
        self._through_round = request.through_round
        self._made_from = made_from
        self._ready_round = self._manifest_round = -1
        self._done = False
        self._before: KeptCache | None = None

    def named(self) -> None:
        # one more than the rounds, so that 0 is none: a reconstruction can be resumed too
        across_undo.note_job(self.scene, self.job_id, self._through_round + 1)
        self._before = self._before or KeptCache(self.folder)

    def take_in(self, event: Event) -> None:
        super().take_in(event)
        if isinstance(event, RoundReady):
            self._ready_round = event.round

    def listed(self) -> None:
        self._manifest_round = self._ready_round

    def arrived(self) -> None:
        scene = self.scene
        round_status.note(self.folder, playback.attach(scene, self.folder), self._made_from)
        across_undo.note_take(scene, self.folder)
        if session.current().rounds_ready < 0:
            import_reconstruction(scene)
        session.current().rounds_ready = self._manifest_round
        if not bpy.app.background:
            session.current().picture = picture_so_far.update(scene)

    def finish(self, state: str, text: str) -> None:
        if state == "cancelled":
            self.cancelled = True
            session.current().sentence = (
                "Paused; Resume goes on where it was."
                if self.paused
                else "Cancelled; finished rounds are kept."
            )
            if not self.paused:
                self._forget_job()
        elif state == "done":
            self._done = True
            if self._before is not None:
                self._before.forget()
            self._forget_job()
        else:
            raise JobFailed(text or "The bake ended without saying why; see the backend's log.")

    def close(self) -> None:
        super().close()
        again = not self._done and self._before is not None and self._before.give_back()
        if again and self.scene_is_there:
            playback.attach(self.scene, self.folder)
            across_undo.note_take(self.scene, self.folder)

    def _forget_job(self) -> None:
        """Nothing is left to resume."""
        if self.scene_is_there:
            across_undo.note_job(self.scene, "", 0)


def start(scene: bpy.types.Scene, through_round: int) -> Bake:
    """Send the scene's take to the backend and return the bake under way.

    Raises ``AddonError`` or a protocol error with a sentence: something baking already, no backend, an impossible take.
    """
    return _send(scene, through_round, new_job_id())


def resume(scene: bpy.types.Scene) -> Bake:
    """Go on with the bake that was paused, failed, or left running when its file was closed. Raises as ``start``."""
    if not can_resume(scene):
        raise AddonError("No bake was paused; press Bake.")
    settings = scene.perpetua
    return _send(scene, min(settings.job_rounds - 1, len(settings.rounds)), settings.job or new_job_id())


def can_resume(scene: bpy.types.Scene) -> bool:
    """Whether a bake of the scene did not come to its end and none runs now."""
    return following.running() is None and scene.perpetua.job_rounds > 0


def _send(scene: bpy.types.Scene, through_round: int, job_id: str) -> Bake:
    following.check_free()
    take = build_take(scene, through_round)
    made_from = dependencies.fingerprints(scene)
    inputs = input_files(take, picture_path(scene))
    job = Bake(scene, job_id, BakeRequest(take, through_round, ""), made_from)
    job.send(inputs)
    following.begin(job)
    log.LOG.info("bake %s of '%s' through round %d into %s", job_id, take.name, through_round, job.folder)
    return job
