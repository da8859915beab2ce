"""A job on the backend as Blender follows it: its input is sent, its events come in, its files are brought into a folder.

``BackendJob.step`` never waits, so a timer can call it (``following``); ``batch`` calls it in a loop. What the panel shows goes into the
session. What a job is about is its subclass's: ``bake.Bake``, ``look.Look``.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import bpy
import msgspec

from perpetua_protocol import limits
from perpetua_protocol.client import Client, new_job_id
from perpetua_protocol.errors import JobConflict, ProtocolError
from perpetua_protocol.inputs import InputFile
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
)
from perpetua_protocol.transfer import Manifest, Transfer
from perpetua_protocol.upload import Upload

from . import backend_process, log, preferences, session
from .errors import AddonError

CLIENT_NAME = "Perpetua for Blender"


class BackendJob:
    """One job on the backend, for one scene."""

    did = "brought files into"
    """What it has done with its folder at the end, in words."""
    go_on = "Press the button again; what was sent is kept."
    """What to do when the backend is gone."""

    def __init__(self, scene: bpy.types.Scene, job_id: str, request: BakeRequest, folder: Path) -> None:
        """request: without the digests of the input, which ``send`` fills in. folder: where its files go."""
        self.client = connect()
        self.job_id = job_id
        self.folder = folder
        self.cancelled = False
        self.paused = False
        self._scene_uid = scene.session_uid
        self._request = request
        self._upload: Upload | None = None
        self._ended: tuple[str, str] | None = None
        self._files_wanted = self._files_here = False
        self._listing: Pending | None = None
        self._transfer: Transfer | None = None

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
    def scene_is_there(self) -> bool:
        """Whether it was not deleted meanwhile."""
        return any(scene.session_uid == self._scene_uid for scene in bpy.data.scenes)

    @property
    def idle(self) -> bool:
        """Whether nothing but events is waited for."""
        return self._upload is None and self._transfer is None and self._listing is None

    def send(self, inputs: tuple[InputFile, ...]) -> None:
        """Send the input and the request: a lone picture at once, anything larger in the steps that follow.

        Raises a protocol error with the backend's sentence.
        """
        try:
            welcome = self.client.hello(CLIENT_NAME)
            if len(inputs) > 1 or inputs[0].path.stat().st_size > limits.FRAME_BYTES:
                self._upload = self.client.upload(inputs)
            else:
                picture = inputs[0].path.read_bytes()
                digest = hashlib.sha256(picture).hexdigest()
                self._submit(msgspec.structs.replace(self._request, picture_sha256=digest), picture)
        except ProtocolError:
            self.client.close()
            raise
        session.reset()
        state = session.current()
        state.refiners, state.baking = welcome.refiners, True
        state.text = "waiting for the backend"
        if self._upload is not None:
            state.stage, state.text = "sending", inputs[0].name
        self.named()

    def step(self, budget_s: float) -> bool:
        """Work for about ``budget_s`` without waiting. True once the job has ended and its files are here.

        Raises a protocol error when the backend stops answering or the job failed.
        """
        until = time.monotonic() + budget_s
        if self._upload is not None:
            self._send_on(self._upload, budget_s)
            return False
        for event in self.client.poll(budget_s):
            if event.job_id == self.job_id:
                self.take_in(event)
        if self._fetch(max(0.0, until - time.monotonic()) or budget_s / 4):
            self._files_here = True
        if renders():
            return False
        if self._files_here:
            self._files_here = False
            self.arrived()
        if self._ended is None or self._files_wanted or self._listing or self._transfer:
            return False
        log.LOG.info("job %s: %s %s", self.job_id, *self._ended)
        self.finish(*self._ended)
        return True

    def cancel(self) -> None:
        """Ask the backend to stop the job; what is finished is kept."""
        self.cancelled = True
        session.current().text = "cancelling"
        if self._upload is None:
            self.client.cancel(self.job_id)
            return
        self._upload.close()
        self._upload, self._ended = None, ("cancelled", "")

    def pause(self) -> None:
        """Ask the backend to stop the job, to go on later with the stage it was in."""
        self.cancel()
        self.paused = True
        session.current().text = "pausing"

    def close(self) -> None:
        """Let go of the connection; the job itself goes on."""
        for moving in (self._upload, self._transfer):
            if moving is not None:
                moving.close()
        self.client.close()

    # -- what a kind of job makes of it -----------------------------------------------------------------------------

    def named(self) -> None:
        """``job_id`` is what the job is called from now on."""

    def take_in(self, event: Event) -> None:
        """An event of the job has come."""
        state = session.current()
        if isinstance(event, ProgressMade):
            state.stage, state.text, state.overall = event.stage, event.text, event.overall
            state.eta_s, state.elapsed_s = event.eta_s, event.elapsed_s
        elif isinstance(event, RoundReady):
            self._files_wanted = True
        else:  # one that was interrupted and submitted again has such a state in its past
            self._ended = (event.state, event.text) if event.state in FINISHED else None

    def listed(self) -> None:
        """Files that were asked for begin to come."""

    def arrived(self) -> None:
        """The files that the job has finished are in the folder."""

    def finish(self, state: str, text: str) -> None:
        """The job has ended: done, cancelled or failed, with the backend's sentence."""

    # -- the wire ---------------------------------------------------------------------------------------------------

    def _send_on(self, upload: Upload, budget_s: float) -> None:
        state = session.current()
        if not upload.step(budget_s):
            share = upload.bytes_done / upload.bytes_total if upload.bytes_total else 0.0
            state.text = f"{upload.bytes_done / 1e6:.0f} of {upload.bytes_total / 1e6:.0f} MB, {share:.0%}"
            return
        self._upload = None
        main, *others = upload.files
        request = msgspec.structs.replace(self._request, picture_sha256=main.sha256, files=tuple(others))
        self._submit(request, None)
        state.stage, state.text = "", "waiting for the backend"
        self.named()

    def _submit(self, request: BakeRequest, picture: bytes | None) -> None:
        """Submit a request, under a new id where the one given stopped or was for another take."""
        try:
            stopped = self.client.submit(self.job_id, request, picture).state in ("cancelled", "failed")
        except JobConflict:
            stopped = True
        if stopped:
            self.client.unwatch(self.job_id)
            self.job_id = new_job_id()
            self.client.submit(self.job_id, request, picture)

    def _fetch(self, budget_s: float) -> bool:
        """Go on with bringing files. True when a whole set of them has just arrived."""
        if self._files_wanted and self._listing is None and self._transfer is None:
            self._files_wanted = False
            self._listing = self.client.request(ListFiles(self.job_id))
            self.listed()
        if self._listing is not None and self._listing.ready:
            reply, meta = self._listing.result(Files), self._listing.arrays.get("meta")
            manifest = Manifest(reply.files, b"" if meta is None else meta.tobytes(), reply.meta_sha256)
            self._transfer = self.client.transfer(self.job_id, manifest, self.folder)
            self._listing = None
        if self._transfer is None or not self._transfer.step(budget_s):
            return False
        self._transfer = None
        return True


def renders() -> bool:
    """Whether Blender's window renders: in a thread of its own, which reads the scene, so nothing of it may be changed meanwhile."""
    return bool(bpy.app.is_job_running("RENDER"))


def connect() -> Client:
    """A connection to the backend. Raises ``BackendUnreachable`` with what to do, or ``AddonError`` when offline."""
    if (
        not bpy.app.background
    ):  # a script says which backend it means; an artist need not know that there is one
        backend_process.start_if_none()
    connection = read_connection(preferences.connection_file())
    if not is_loopback(connection.control) and not bpy.app.online_access:
        raise AddonError(
            "The backend is on another machine and Blender may not go online; allow it in Preferences > System > Network."
        )
    return Client.connect(preferences.connection_file())
