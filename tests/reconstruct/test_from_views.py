"""A capture becomes a scene that looks like views it never saw, whose objects come apart, and says no in a sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn_captures import Ball, Box, capture_of

from perpetua.errors import CaptureError, ReconstructionError, SegmentationError
from perpetua.progress import Progress
from perpetua.reconstruct import providers
from perpetua.reconstruct.capture.capture import Capture, CapturedView
from perpetua.reconstruct.fit.flat import flattened, unevenness
from perpetua.reconstruct.fit.train import FitSettings
from perpetua.reconstruct.followed import with_followed
from perpetua.reconstruct.from_views import ViewsReconstructor
from perpetua.reconstruct.surface.clusters import with_masks
from perpetua.reconstruct.surface.plane import find_plane
from perpetua.render import render_layers
from perpetua.scene import Gaussians, Scene, deform
from perpetua_protocol.take import Click, MaterialSpec, ObjectSpec, Quality, SceneSettings, Take

SOLIDS: dict = {
    "ball": [Ball((-0.07, 0.02, 0.05), 0.05)],
    "box": [Box((0.03, -0.04, 0), (0.12, 0.05, 0.06))],
}
SETTINGS = FitSettings(gaussians=3000, steps=260)
TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) @ np.array(
    [[1, 0, 0], [0, 0.9, -np.sqrt(0.19)], [0, np.sqrt(0.19), 0.9]]
)


def take_of(*names: str, **changes) -> Take:
    things = tuple(ObjectSpec(name, material=MaterialSpec("clay")) for name in names)
    return Take("t", "p", things, **{"quality": Quality(particles=900), **changes})


@pytest.fixture(scope="module")
def capture() -> Capture:
    """In a world that is turned and shifted, so that nothing is level by itself."""
    return capture_of(SOLIDS, 12, (96, 72), held_out=2).moved(TURN, np.array([0.4, -0.1, 0.3]), 1.0)


@pytest.fixture(scope="module")
def scene(capture: Capture) -> Scene:
    return ViewsReconstructor(SETTINGS, 48).reconstruct(capture, take_of("box", "ball"), Progress())


def in_scene(scene: Scene, capture: Capture) -> Capture:
    """The capture in the scene's world."""
    there, here = scene.camera.camera_to_world, capture.front_view.camera.camera_to_world
    turn = there[:3, :3] @ here[:3, :3].T
    return capture.moved(turn, there[:3, 3] - turn @ here[:3, 3], 1.0)


def test_held_out_views(scene: Scene, capture: Capture) -> None:
    everything = Gaussians.cat([scene.background, scene.foreground])
    errors = []
    for view in in_scene(scene, capture).held_out:
        seen = render_layers(everything, view.camera).rgb.clamp(0, 1).numpy()
        errors.append(((seen - view.rgb / 255.0) ** 2).mean())
    assert -10 * np.log10(np.mean(errors)) > 25  # dB; the table's far stripes are finer than a pixel


def test_objects_come_apart(scene: Scene, capture: Capture) -> None:
    body = torch.from_numpy(scene.particles.body.astype(np.int64))[scene.binding.particle]
    everything = Gaussians.cat([scene.background, scene.foreground])
    whose = torch.cat([torch.full((len(scene.background),), -1), body])
    for view in in_scene(scene, capture).held_out:
        masks = render_layers(everything, view.camera, objects=whose, object_count=2).masks.numpy() > 0.5
        for index, name in enumerate(("box", "ball")):
            true = view.objects == capture.objects.index(name)
            assert (masks[..., index] & true).sum() / (masks[..., index] | true).sum() > 0.9


def test_the_world_is_level_and_metric(scene: Scene) -> None:
    ball = next(b for b in scene.bodies if b.name == "ball")
    assert np.ptp(ball.vertices, axis=0) == pytest.approx([0.1, 0.1, 0.1], rel=0.06)
    assert ball.vertices[:, 2].min() == pytest.approx(0.0, abs=0.003)
    heading = scene.camera.world_to_camera[2, :3]
    assert heading[0] == pytest.approx(0, abs=1e-6)
    assert heading[1] > 0
    assert np.degrees(np.arcsin(-heading[2])) == pytest.approx(16, abs=0.5)
    box = scene.bodies[0]
    np.testing.assert_allclose((box.vertices.min(0) + box.vertices.max(0))[:2] / 2, 0.0, atol=0.004)


def test_particles_fill_the_bodies(scene: Scene) -> None:
    assert [b.name for b in scene.bodies] == ["box", "ball"]
    counts = np.bincount(scene.particles.body)
    assert counts.sum() == pytest.approx(900, rel=0.1)
    volumes = counts * scene.spacing**3
    assert volumes == pytest.approx([0.09 * 0.09 * 0.06, 4 / 3 * np.pi * 0.05**3], rel=0.06)


def test_splats_hang_on_their_own_body(scene: Scene) -> None:
    means = scene.foreground.means.numpy()
    body = scene.particles.body[scene.binding.particle.numpy()]
    for index, thing in enumerate(scene.bodies):
        low, high = thing.vertices.min(0), thing.vertices.max(0)
        own = means[body == index]
        assert (own > low - 0.02).all()
        assert (own < high + 0.02).all()
    still = deform(
        scene.foreground,
        scene.binding,
        torch.from_numpy(scene.particles.positions),
        torch.eye(3).expand(len(scene.particles), 3, 3),
    )
    np.testing.assert_allclose(still.means.numpy(), means, atol=1e-6)


def test_the_table_goes_on_under_an_object(scene: Scene) -> None:
    above = scene.camera.orbited(0.0, scene.centre, "above", "side")
    bare = render_layers(scene.background, above)
    assert float(bare.alpha[scene.matte > 0].min()) > 0.8


def test_unknown_objects_are_refused(capture: Capture) -> None:
    with pytest.raises(CaptureError, match=r"no object 'cup'; its objects are called ball, box"):
        ViewsReconstructor(SETTINGS).reconstruct(capture, take_of("cup"), Progress())


def test_objects_that_no_mask_shows_are_refused(capture: Capture) -> None:
    empty = replace(
        capture, views=tuple(replace(v, objects=np.full_like(v.objects, -1)) for v in capture.views)
    )
    with pytest.raises(CaptureError, match="No picture's mask shows object 'ball'"):
        ViewsReconstructor(SETTINGS).reconstruct(empty, take_of("ball"), Progress())


def without_masks(capture: Capture) -> Capture:
    return replace(capture, views=tuple(replace(v, objects=None) for v in capture.views), objects=())


def clicked(capture: Capture, name: str) -> ObjectSpec:
    rows, columns = np.nonzero(capture.front_view.objects == capture.objects.index(name))
    click = Click(float(np.median(columns)) + 0.5, float(np.median(rows)) + 0.5)
    return ObjectSpec(name, (click,), material=MaterialSpec("clay"))


def test_without_masks_objects_are_what_stands_where_it_is_clicked(capture: Capture) -> None:
    bare = without_masks(capture)
    plane = find_plane(list(bare.views), 0)
    things = (clicked(capture, "box"), clicked(capture, "ball"))
    found = with_masks(bare, plane, things, 1.0)
    assert found.objects == ("box", "ball")
    for view, truth in zip(found.views, capture.views, strict=True):
        for index, name in enumerate(found.objects):
            ours, true = view.objects == index, truth.objects == capture.objects.index(name)
            assert (ours & true).sum() / (ours | true).sum() > 0.82  # their foot is too near the table


def test_without_masks_an_object_may_be_boxed(capture: Capture) -> None:
    bare = without_masks(capture)
    rows, columns = np.nonzero(capture.front_view.objects == 0)
    box = (float(columns.min()), float(rows.min()), float(columns.max()), float(rows.max()))
    found = with_masks(bare, find_plane(list(bare.views), 0), (ObjectSpec("ball", box=box),), 1.0)
    ours, true = found.front_view.objects == 0, capture.front_view.objects == 0
    assert (ours & true).sum() / (ours | true).sum() > 0.82


def test_where_depth_is_rough_what_lies_beside_the_outline_is_not_the_object_s() -> None:
    """Ball and box touch, only the ball is clicked."""
    truth = capture_of(STACKED, 8, (120, 90), at=(0, 0, 0.08))
    bare = without_masks(truth)
    plane = find_plane(list(bare.views), 0)
    found = with_masks(bare, plane, (clicked(truth, "ball"),), 1.0, rough=True)
    ours = np.concatenate([v.objects.ravel() == 0 for v in found.views])
    true = np.concatenate([v.objects.ravel() == 0 for v in truth.views])
    assert (ours & true).sum() / (ours | true).sum() > 0.8


STACKED: dict = {
    "ball": [Ball((0, 0, 0.11), 0.05)],
    "box": [Box((-0.05, -0.05, 0), (0.05, 0.05, 0.07))],
}


def test_objects_that_touch_are_told_apart_by_their_colours() -> None:
    truth = capture_of(STACKED, 8, (120, 90), at=(0, 0, 0.08))
    bare = without_masks(truth)
    things = (clicked(truth, "ball"), clicked(truth, "box"))
    found = with_masks(bare, find_plane(list(bare.views), 0), things, 1.0)
    for index in range(2):
        ours = np.concatenate([v.objects.ravel() == index for v in found.views])
        true = np.concatenate([v.objects.ravel() == index for v in truth.views])
        assert (ours & true).sum() / (ours | true).sum() > 0.8


def test_objects_that_touch_and_look_alike_are_refused() -> None:
    twins: dict = {
        "left": [Box((-0.06, -0.05, 0), (0.0, 0.05, 0.07))],
        "right": [Box((0.0, -0.05, 0), (0.06, 0.05, 0.07))],
    }

    def grey(view: CapturedView) -> CapturedView:
        return replace(view, rgb=np.where((view.objects >= 0)[..., None], 120, view.rgb).astype(np.uint8))

    truth = capture_of(twins, 8, (120, 90), change=grey)
    bare = without_masks(truth)
    things = (clicked(truth, "left"), clicked(truth, "right"))
    with pytest.raises(CaptureError, match="'left' and 'right' touch and look alike"):
        with_masks(bare, find_plane(list(bare.views), 0), things, 1.0)


def test_a_scene_without_masks(capture: Capture) -> None:
    take = take_of("ball")
    take = Take("t", "p", (clicked(capture, "ball"),), quality=take.quality)
    scene = ViewsReconstructor(FitSettings(2000, 20), 32).reconstruct(
        without_masks(capture), take, Progress()
    )
    ball = scene.bodies[0].vertices
    assert np.ptp(ball, axis=0) == pytest.approx([0.1, 0.1, 0.1], rel=0.1)
    assert scene.matte.shape == scene.picture.shape[:2]
    assert scene.matte.sum() == pytest.approx((capture.front_view.objects == 0).sum(), rel=0.18)


class TruthTracker:
    """Knows the masks of a capture, by its pictures."""

    def __init__(self, capture: Capture) -> None:
        self.views = {view.rgb.tobytes(): view.objects for view in capture.views}
        self.asked: list[int] = []

    def track(self, frames, first, progress):  # type: ignore[no-untyped-def]
        assert ((first == 0) & (self.views[frames[0].tobytes()] == 0)).sum() > 0.8 * (first == 0).sum()
        self.asked.append(len(frames))
        return [first, *(np.where(self.views[f.tobytes()] == 0, 0, -1).astype(np.int32) for f in frames[1:])]


def test_a_tracker_carries_objects_to_the_other_views(
    capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = TruthTracker(capture)
    monkeypatch.setattr(providers, "tracker", lambda take: tracker)
    bare = replace(without_masks(capture), front=3)
    views = replace(capture, front=3)
    take = Take("t", "p", (clicked(views, "ball"),))
    found = with_followed(bare, take, 1.0, Progress())
    assert tracker.asked == [9, 4]
    assert found.objects == ("ball",)
    for index, (view, truth) in enumerate(zip(found.views, capture.views, strict=True)):
        ours, true = view.objects == 0, truth.objects == 0
        assert (ours & true).sum() / (ours | true).sum() > (0.8 if index == 3 else 0.999)
    assert with_followed(capture, take, 1.0, Progress()) is capture, "masks that are there stay"


def test_neither_masks_nor_clicks_is_refused(capture: Capture) -> None:
    with pytest.raises(CaptureError, match="no masks of objects, and 'ball' no click"):
        ViewsReconstructor(SETTINGS).reconstruct(without_masks(capture), take_of("ball"), Progress())


def test_an_outline_is_refused(capture: Capture) -> None:
    outlined = ObjectSpec(
        "ball", tuple(Click(x, y) for x, y in ((40.0, 30.0), (50, 30), (45, 40))), outline=True
    )
    with pytest.raises(CaptureError, match="'ball' is marked by its outline"):
        ViewsReconstructor(SETTINGS).reconstruct(
            without_masks(capture), Take("t", "p", (outlined,)), Progress()
        )


def test_a_click_on_the_table_is_refused(capture: Capture) -> None:
    bare = without_masks(capture)
    thing = ObjectSpec("ball", (Click(3.0, 70.0),))
    with pytest.raises(SegmentationError, match="Nothing stands on the table where 'ball' is clicked"):
        with_masks(bare, find_plane(list(bare.views), 0), (thing,), 1.0)


def test_flat_splats_are_refused_without_a_gpu(capture: Capture) -> None:
    take = take_of("ball", scene=SceneSettings(splats="2dgs"))
    with pytest.raises(ReconstructionError, match=r"CUDA GPU only.*leave `splats` out"):
        ViewsReconstructor(SETTINGS).reconstruct(capture, take, Progress())


def test_discs_in_one_surface_lose_nothing_and_turned_ones_do() -> None:
    normals = torch.tensor([0.0, 0.0, -1.0]).expand(4, 5, 3)
    cover, together = torch.ones(4, 5, 1), torch.zeros(4, 5, 1)
    assert unevenness(normals, normals, cover, together) == 0
    turned = torch.tensor([0.0, 0.6, -0.8]).expand(4, 5, 3)
    assert float(unevenness(turned, normals, cover, together)) == pytest.approx(0.05 * 0.2)
    assert float(unevenness(turned, normals, 0 * cover, together)) == 0
    assert float(unevenness(normals, normals, cover, together + 1)) == pytest.approx(0.01)
    assert flattened(torch.tensor([[2.0, 1.0, 5.0]])).tolist() == [[2.0, 1.0, pytest.approx(0.02)]]
