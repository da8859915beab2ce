"""A bake under way: sends the take, follows its events, brings every finished round's files, plays them.

``Bake.step`` never waits, so a timer can call it; ``batch`` calls it in a loop. What the panel shows goes into the
session. One bake runs at a time.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import bpy
from bpy.app.handlers import persistent

from perpetua_protocol.client import Client, new_job_id
from perpetua_protocol.errors import BackendUnreachable, JobConflict, JobFailed, ProtocolError
from perpetua_protocol.keys import read_connection
from perpetua_protocol.link import Pending, is_loopback
from perpetua_protocol.messages import (
    FINISHED,
    BakeRequest,
    Event,
    Files,
    ListFiles,
    ProgressMade,
    RoundReady,
    StateChanged,
)
from perpetua_protocol.transfer import Manifest, Transfer

from . import (
    across_undo,
    backend_process,
    dependencies,
    log,
    picture_so_far,
    playback,
    preferences,
    redraw,
    round_status,
    session,
)
from .errors import EXPECTED, AddonError
from .kept_cache import KeptCache
from .reconstruction import import_reconstruction
from .take_builder import build_take, picture_path

BUDGET_S = 0.004
"""Longest a timer's tick works, so that the interface stays smooth."""
TICK_S = 0.05
REDRAW_S = 0.25
"""Between two drawings of the panels: drawing them costs more than a tick."""
CLIENT_NAME = "Perpetua for Blender"


class Bake:
    """One job on the backend, for one scene. Made by ``start``."""

    def __init__(
        self, client: Client, job_id: str, scene: bpy.types.Scene, folder: Path, made_from: list[str]
    ) -> None:
        """made_from: digests of what the reconstruction and each round are baked from (``dependencies``)."""
        self.client = client
        self.job_id = job_id
        self.folder = folder
        self.cancelled = False
        self.paused = False
        self._made_from = made_from
        self._scene_uid = scene.session_uid
        self._ended: StateChanged | None = None
        self._files_wanted = False
        self._listing: Pending | None = None
        self._transfer: Transfer | None = None
        self._manifest_round = -1
        self._ready_round = -1
        self._done = False
        self._before = KeptCache(folder)

    @property
    def scene(self) -> bpy.types.Scene:
        """The scene, found anew: no Blender data is held while other things happen."""
        for scene in bpy.data.scenes:
            if scene.session_uid == self._scene_uid:
                return scene
        raise AddonError(
            "The scene that was baking is gone; open its file and bake again: finished stages are kept."
        )

    @property
    def _scene_is_there(self) -> bool:
        return any(scene.session_uid == self._scene_uid for scene in bpy.data.scenes)

    @property
    def idle(self) -> bool:
        """Whether nothing but events is waited for."""
        return self._transfer is None and self._listing is None

    def step(self, budget_s: float) -> bool:
        """Work for about ``budget_s`` without waiting. True once the job has ended and its files are here.

        Raises a protocol error when the backend stops answering or the job failed.
        """
        until = time.monotonic() + budget_s
        for event in self.client.poll(budget_s):
            if event.job_id == self.job_id:
                self._take_in(event)
        if self._fetch(max(0.0, until - time.monotonic()) or budget_s / 4):
            self._play()
        if self._ended is None or self._files_wanted or self._listing or self._transfer:
            return False
        self._finish(self._ended)
        return True

    def cancel(self) -> None:
        """Ask the backend to stop the job; what is finished is kept."""
        self.cancelled = True
        session.current().text = "cancelling"
        self.client.cancel(self.job_id)

    def pause(self) -> None:
        """Ask the backend to stop the job, to go on later (``resume``) with the stage it was in."""
        self.cancel()
        self.paused = True
        session.current().text = "pausing"

    def close(self) -> None:
        """Let go of the connection; the job itself goes on."""
        if self._transfer is not None:
            self._transfer.close()
        self.client.close()
        if not self._done and self._before.give_back() and self._scene_is_there:
            playback.attach(self.scene, self.folder)
            across_undo.note_take(self.scene, self.folder)

    def _take_in(self, event: Event) -> None:
        state = session.current()
        if isinstance(event, ProgressMade):
            state.stage, state.text, state.overall = event.stage, event.text, event.overall
            state.eta_s, state.elapsed_s = event.eta_s, event.elapsed_s
        elif isinstance(event, RoundReady):
            self._ready_round, self._files_wanted = event.round, True
        else:  # one that was interrupted and submitted again has such a state in its past
            self._ended = event if event.state in FINISHED else None

    def _fetch(self, budget_s: float) -> bool:
        """Go on with bringing files. True when a whole cache has just arrived."""
        if self._files_wanted and self._listing is None and self._transfer is None:
            self._files_wanted = False
            self._listing = self.client.request(ListFiles(self.job_id))
            self._manifest_round = self._ready_round
        if self._listing is not None and self._listing.ready:
            reply, meta = self._listing.result(Files), self._listing.arrays.get("meta")
            manifest = Manifest(reply.files, b"" if meta is None else meta.tobytes(), reply.meta_sha256)
            self._transfer = self.client.transfer(self.job_id, manifest, self.folder)
            self._listing = None
        if self._transfer is None or not self._transfer.step(budget_s):
            return False
        self._transfer = None
        return True

    def _play(self) -> None:
        scene = self.scene
        round_status.note(self.folder, playback.attach(scene, self.folder), self._made_from)
        across_undo.note_take(scene, self.folder)
        if session.current().rounds_ready < 0:
            import_reconstruction(scene)
        session.current().rounds_ready = self._manifest_round
        if not bpy.app.background:
            session.current().picture = picture_so_far.update(scene)

    def _finish(self, ended: StateChanged) -> None:
        log.LOG.info("bake %s: %s %s", self.job_id, ended.state, ended.text)
        if ended.state == "cancelled":
            self.cancelled = True
            session.current().sentence = (
                "Paused; Resume goes on where it was."
                if self.paused
                else "Cancelled; finished rounds are kept."
            )
            if not self.paused:
                self._forget_job()
        elif ended.state == "done":
            self._done = True
            self._before.forget()
            self._forget_job()
        else:
            raise JobFailed(ended.text or "The bake ended without saying why; see the backend's log.")

    def _forget_job(self) -> None:
        """Nothing is left to resume."""
        if self._scene_is_there:
            across_undo.note_job(self.scene, "", 0)


_running: Bake | None = None
_drawn = 0.0
"""When the panels were asked to be drawn, by the monotonic clock."""


def start(scene: bpy.types.Scene, through_round: int) -> Bake:
    """Send the scene's take to the backend and return the bake under way.

    Raises ``AddonError`` or a protocol error with a sentence: nothing baking yet, no backend, an impossible take.
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
    return _running is None and scene.perpetua.job_rounds > 0


def _send(scene: bpy.types.Scene, through_round: int, job_id: str) -> Bake:
    global _running
    if _running is not None:
        raise AddonError("A bake is running already; wait for it or cancel it.")
    take = build_take(scene, through_round)
    made_from = dependencies.fingerprints(scene)
    picture = picture_path(scene).read_bytes()
    request = BakeRequest(take, through_round, hashlib.sha256(picture).hexdigest())
    if (
        not bpy.app.background
    ):  # a script says which backend it means; an artist need not know that there is one
        backend_process.start_if_none()
    client = connect()
    try:
        welcome = client.hello(CLIENT_NAME)
        job_id = _submit(client, job_id, request, picture)
    except ProtocolError:
        client.close()
        raise
    session.reset()
    session.current().refiners = welcome.refiners
    session.current().baking = True
    session.current().text = "waiting for the backend"
    # one more than the rounds, so that 0 is none: a reconstruction can be resumed too
    across_undo.note_job(scene, job_id, through_round + 1)
    _running = Bake(client, job_id, scene, bake_folder(scene), made_from)
    log.LOG.info(
        "bake %s of '%s' through round %d into %s", job_id, take.name, through_round, _running.folder
    )
    return _running


def _submit(client: Client, job_id: str, request: BakeRequest, picture: bytes) -> str:
    """Submit a request, under a new id where the one given stopped or was for another take. Returns the id."""
    try:
        stopped = client.submit(job_id, request, picture).state in ("cancelled", "failed")
    except JobConflict:
        stopped = True
    if stopped:
        client.unwatch(job_id)
        job_id = new_job_id()
        client.submit(job_id, request, picture)
    return job_id


def connect() -> Client:
    """A connection to the backend. Raises ``BackendUnreachable`` with what to do, or ``AddonError`` when offline."""
    connection = read_connection(preferences.connection_file())
    if not is_loopback(connection.control) and not bpy.app.online_access:
        raise AddonError(
            "The backend is on another machine and Blender may not go online; allow it in Preferences > System > Network."
        )
    return Client.connect(preferences.connection_file())


def bake_folder(scene: bpy.types.Scene) -> Path:
    """Where the scene's take is baked to: the chosen folder, or ``//cache/<file>/<take>``; the user's folder while unsaved."""
    settings = scene.perpetua
    if settings.bake_folder:
        return playback.resolve(settings.bake_folder)
    name = bpy.path.clean_name(settings.take_name) or "take"
    if bpy.data.filepath:
        # with the file's name, so that two shots in a folder may have takes of the same name
        return playback.resolve(f"//cache/{Path(bpy.data.filepath).stem}/{name}")
    return preferences.cache_root() / name


def running() -> Bake | None:
    """The bake under way, if any."""
    return _running


def end() -> None:
    """Forget the bake under way; its job goes on unless it was cancelled."""
    global _running
    if _running is not None:
        _running.close()
        _running = None
    session.current().baking = False


def start_timer() -> None:
    """Follow the bake from Blender's timers (they do not run in the background; see ``batch``)."""
    if not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=TICK_S)


def stop_timer() -> None:
    """Stop following."""
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)


@persistent
def on_load_pre(*_: object) -> None:
    """Another file is opened: its session must not hold this one's sockets. The job itself goes on."""
    stop_timer()
    end()


def register() -> None:
    """Let go of a bake when another file is opened."""
    if on_load_pre not in bpy.app.handlers.load_pre:
        bpy.app.handlers.load_pre.append(on_load_pre)


def unregister() -> None:
    """Let go of the bake under way and of everything registered."""
    stop_timer()
    end()
    if on_load_pre in bpy.app.handlers.load_pre:
        bpy.app.handlers.load_pre.remove(on_load_pre)


def _tick() -> float | None:
    if _running is None:
        return None
    finished = True
    try:
        finished = _running.step(BUDGET_S)
    except EXPECTED as error:  # a timer has no caller to raise to: the panel shows the sentence
        session.current().sentence = _why(error)
        log.LOG.warning("bake: %s", error)
    finally:  # also after a defect, whose traceback Blender prints: a bake that nobody follows must not look like one that runs
        if finished:
            end()
        _redraw(finished)
    if finished:
        return None
    return TICK_S if _running.idle else BUDGET_S


def _redraw(now: bool) -> None:
    global _drawn
    if now or time.monotonic() - _drawn >= REDRAW_S:
        _drawn = time.monotonic()
        redraw.sidebars()


def _why(error: Exception) -> str:
    """The sentence for a bake that broke off: also what became of what was baked, if the backend is gone."""
    if not isinstance(error, BackendUnreachable):
        return str(error)
    return f"{backend_process.failure() or error} What it has baked is kept: Resume goes on from there."
