"""What `rasterization` says about what it drew: gsplat's meta, dense and packed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from perpetua.render import rasterization


@pytest.fixture
def scene(make_scene: Any, both: Any) -> dict[str, Any]:
    return both(make_scene(300, cameras=2))[1]


def test_projection_is_gsplats(make_scene: Any, both: Any) -> None:
    from gsplat.cuda import _torch_impl as gsplat

    exact, single = both(make_scene(300))
    covars, _ = gsplat._quat_scale_to_covar_preci(exact["quats"], exact["scales"], True, False)
    radii, means2d, depths, conics, compensations = gsplat._fully_fused_projection(
        exact["means"], covars, exact["viewmats"], exact["Ks"], 80, 48, calc_compensations=True
    )
    _, _, meta = rasterization(**single, packed=False, rasterize_mode="antialiased")
    seen = (meta["radii"] > 0).all(-1)
    assert seen.sum() > 100
    assert (radii[seen] > 0).all()
    assert (meta["radii"][seen] <= radii[seen]).all()  # gsplat's torch code does not shrink them by opacity
    expected = {
        "means2d": means2d,
        "depths": depths,
        "conics": conics,
        "opacities": compensations * exact["opacities"],
    }
    for name, value in expected.items():
        torch.testing.assert_close(meta[name][seen].double(), value[seen], rtol=2e-4, atol=2e-4)


def test_radii_are_where_alpha_falls_to_a_255th() -> None:
    """gsplat's CUDA rule: ceil(sigma min(3.33, sqrt(2 ln(255 opacity)))), and 0 where that is nowhere."""
    opacities = torch.tensor([1.0, 0.5, 0.02, 1 / 255 - 1e-5])
    count = len(opacities)
    _, _, meta = rasterization(
        torch.tensor([[0.0, 0.0, 2.0]]).repeat(count, 1),
        torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1),
        torch.tensor([[0.2, 0.4, 0.1]]).repeat(count, 1),
        opacities,
        torch.ones(count, 3),
        torch.eye(4)[None],
        torch.tensor([[[50.0, 0, 40], [0, 50.0, 30], [0, 0, 1]]]),
        80,
        60,
        packed=False,
    )
    sigma = torch.sqrt(torch.tensor([5.0, 10.0]) ** 2 + 0.3)
    reach = torch.sqrt(2 * torch.log(255 * opacities[:3])).clamp_max(3.33)
    expected = torch.ceil(reach[:, None] * sigma)
    assert torch.equal(meta["radii"][0, :3].float(), expected)
    assert (meta["radii"][0, 3] == 0).all()


def test_dense_meta_has_a_row_for_each_gaussian(scene: dict[str, Any]) -> None:
    _, _, meta = rasterization(**scene, packed=False)
    shapes = {"radii": (2,), "means2d": (2,), "depths": (), "conics": (3,), "opacities": ()}
    for name, size in shapes.items():
        assert meta[name].shape == (2, 300, *size), name
    assert meta["radii"].dtype == torch.int32
    assert meta["batch_ids"] is meta["camera_ids"] is meta["gaussian_ids"] is None
    sizes = {"width": 80, "height": 48, "tile_size": 16, "tile_width": 5, "tile_height": 3}
    assert {name: meta[name] for name in sizes} == sizes
    assert (meta["n_cameras"], meta["n_batches"]) == (2, 1)
    assert (meta["opacities"] == scene["opacities"]).all()


def test_packed_meta_has_the_rows_that_are_seen(scene: dict[str, Any]) -> None:
    dense_image, dense_alpha, dense = rasterization(**scene, packed=False)
    image, alpha, packed = rasterization(**scene)
    assert torch.equal(image, dense_image)
    assert torch.equal(alpha, dense_alpha)
    cameras, gaussians = torch.nonzero((dense["radii"] > 0).all(-1), as_tuple=True)
    assert 300 < len(cameras) < 600
    for name, expected in (("camera_ids", cameras), ("gaussian_ids", gaussians), ("batch_ids", 0 * cameras)):
        assert packed[name].dtype == torch.int64
        assert torch.equal(packed[name], expected), name
    for name in ("radii", "means2d", "depths", "conics", "opacities"):
        assert torch.equal(packed[name], dense[name][cameras, gaussians]), name


def test_packed_rows_of_batches(make_scene: Any) -> None:
    made = [make_scene(50, 40, 24, seed=seed, cameras=3) for seed in range(2)]
    batch: dict[str, Any] = {
        name: torch.stack([one[name] for one in made]).float() if torch.is_tensor(value) else value
        for name, value in made[0].items()
    }
    _, _, dense = rasterization(**batch, packed=False)
    _, _, packed = rasterization(**batch)
    expected = torch.nonzero((dense["radii"] > 0).all(-1), as_tuple=True)
    for name, ids in zip(("batch_ids", "camera_ids", "gaussian_ids"), expected):
        assert torch.equal(packed[name], ids), name
    assert torch.equal(packed["means2d"], dense["means2d"][expected])
    assert (packed["n_batches"], packed["n_cameras"]) == (2, 3)


def test_packed_gradients_are_the_dense_ones(scene: dict[str, Any], pull: Any) -> None:
    kept = []
    for packed in (False, True):
        for name in ("means", "quats", "scales", "opacities", "colors"):
            scene[name].grad = None
        image, alpha, meta = rasterization(**scene, packed=packed, render_mode="RGB+ED")
        meta["means2d"].retain_grad()
        pull(image, alpha)
        kept.append(
            (meta, [scene[name].grad for name in ("means", "quats", "scales", "opacities", "colors")])
        )
    (dense, of_dense), (packed_meta, of_packed) = kept
    for one, other in zip(of_dense, of_packed):
        assert torch.equal(one, other)
    rows = (packed_meta["camera_ids"], packed_meta["gaussian_ids"])
    assert torch.equal(packed_meta["means2d"].grad, dense["means2d"].grad[rows])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["means2d", "depths", "conics", "opacities"])
def test_meta_is_in_the_graph(name: str, packed: bool, both: Any, make_scene: Any) -> None:
    """A loss on what the projection found reaches the Gaussians and the camera as it does through gsplat's torch code."""
    from gsplat.cuda import _torch_impl as gsplat

    exact, single = both(make_scene(60))
    for made in (exact, single):
        made["viewmats"].requires_grad_(True)
    _, _, meta = rasterization(**single, packed=packed, rasterize_mode="antialiased")
    covars, _ = gsplat._quat_scale_to_covar_preci(exact["quats"], exact["scales"], True, False)
    _, means2d, depths, conics, compensations = gsplat._fully_fused_projection(
        exact["means"], covars, exact["viewmats"], exact["Ks"], 80, 48, calc_compensations=True
    )
    theirs = {
        "means2d": means2d,
        "depths": depths,
        "conics": conics,
        "opacities": compensations * exact["opacities"],
    }[name]
    seen = meta["gaussian_ids"] if packed else torch.nonzero((meta["radii"][0] > 0).all(-1))[:, 0]
    ours = meta[name] if packed else meta[name][0, seen]
    pull = torch.randn(ours.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (theirs[0, seen] * pull).sum().backward()
    (ours * pull.float()).sum().backward()
    for parameter in ("means", "quats", "scales", "opacities", "viewmats"):
        expected, found = exact[parameter].grad, single[parameter].grad
        if expected is None:
            continue
        distance = (found.double() - expected).norm() / expected.norm().clamp_min(1e-12)
        assert distance < 1e-3, parameter


def test_nothing_seen_is_no_rows(scene: dict[str, Any]) -> None:
    image, _, meta = rasterization(**scene, near_plane=1e5)
    assert (image == 0).all()
    assert meta["means2d"].shape == (0, 2)
    assert meta["gaussian_ids"].shape == (0,)
    image.sum().backward()
    assert (scene["means"].grad == 0).all()


@pytest.mark.parametrize("cameras", [1, 3])
def test_tile_lists_are_gsplats(cameras: int, make_scene: Any) -> None:
    from gsplat.cuda import _torch_impl as gsplat

    made = make_scene(60, cameras=cameras)
    scene = {name: value.float() if torch.is_tensor(value) else value for name, value in made.items()}
    _, _, meta = rasterization(**scene, packed=False)
    size = (meta["tile_size"], meta["tile_width"], meta["tile_height"])
    counts, ids, rows = gsplat._isect_tiles(meta["means2d"], meta["radii"], meta["depths"], *size)
    assert torch.equal(meta["tiles_per_gauss"], counts)
    assert torch.equal(meta["isect_ids"], ids)
    assert torch.equal(meta["flatten_ids"], rows)
    offsets = gsplat._isect_offset_encode(ids, cameras, *size[1:])
    assert torch.equal(meta["isect_offsets"], offsets)

    _, _, packed = rasterization(**scene)
    camera, gaussian = packed["camera_ids"], packed["gaussian_ids"]
    assert torch.equal(packed["tiles_per_gauss"], counts[camera, gaussian])
    assert torch.equal(packed["isect_ids"], ids)
    assert torch.equal((camera * 60 + gaussian)[packed["flatten_ids"]].int(), rows)
    assert torch.equal(packed["isect_offsets"], offsets)


def test_meta_has_no_other_entries(scene: dict[str, Any]) -> None:
    _, _, meta = rasterization(**scene)
    with pytest.raises(KeyError, match="colours"):
        meta["colours"]


@pytest.mark.parametrize("packed", [False, True])
def test_gsplats_own_strategy_reads_it(packed: bool, scene: dict[str, Any], pull: Any) -> None:
    from gsplat import DefaultStrategy

    strategy = DefaultStrategy(refine_scale2d_stop_iter=10)
    state = strategy.initialize_state()
    params = {name: scene[name] for name in ("means", "scales", "quats", "opacities")}
    image, alpha, info = rasterization(**scene, packed=packed)
    strategy.step_pre_backward(params, {}, state, 0, info)
    pull(image, alpha)
    strategy.step_post_backward(params, {}, state, 1, info, packed=packed)
    _, _, dense = rasterization(**scene, packed=False)
    assert torch.equal(state["count"], (dense["radii"] > 0).all(-1).sum(0).float())
    assert ((state["grad2d"] > 0) <= (state["count"] > 0)).all()
    assert (state["grad2d"] > 0).sum() > 200
    assert (state["radii"] > 0).sum() == (state["count"] > 0).sum()
