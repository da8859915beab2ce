"""What a renderer is: something that takes `RasterizationInputs` and returns an image, its alpha and what it met.

`perpetua.render.rasterization` checks what it is given once and hands it to the renderer of the tensors' device, so a
renderer may rely on shapes, types and options. Adding a renderer is one file and one line in `rasterize.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor

RenderMode = Literal["RGB", "D", "ED", "RGB+D", "RGB+ED"]
RENDER_MODES: tuple[RenderMode, ...] = ("RGB", "D", "ED", "RGB+D", "RGB+ED")
RasterizeMode = Literal["classic", "antialiased"]
CameraModel = Literal["pinhole", "ortho", "fisheye", "ftheta"]


@dataclass(frozen=True)
class RasterizationInputs:
    """One call of `rasterization`, checked: N Gaussians, C cameras; float32 tensors on one device.

    `...` are batch dimensions, none or more and the same for all: scenes that are drawn apart in one call.
    """

    means: Tensor
    """[..., N, 3] m, world."""
    quats: Tensor
    """[..., N, 4] wxyz, any length but zero; not used when covars is given."""
    scales: Tensor
    """[..., N, 3] m, standard deviations along the Gaussian's axes; not used when covars is given."""
    opacities: Tensor
    """[..., N] in [0, 1]."""
    colors: Tensor
    """[..., N, D] or [..., C, N, D] values of any kind; with sh_degree [..., N, K, 3] or [..., C, N, K, 3] coefficients."""
    viewmats: Tensor
    """[..., C, 4, 4] world to camera, OpenCV (x right, y down, z forward)."""
    Ks: Tensor
    """[..., C, 3, 3] pixels (pinhole) or pixels per metre (ortho), the centre of the first pixel is (0.5, 0.5)."""
    width: int
    height: int
    near_plane: float
    """m along the optical axis; what is nearer is not drawn."""
    far_plane: float
    radius_clip: float
    """pixels; Gaussians whose radius is not larger are not drawn."""
    eps2d: float
    """pixels^2, added to the image variance so that nothing is thinner than a pixel."""
    sh_degree: int | None
    packed: bool
    """Whether `meta` has a row for each Gaussian that a camera sees, or for each Gaussian."""
    backgrounds: Tensor | None
    """[..., C, D] (3 with sh_degree), behind the colours; the depth has none."""
    render_mode: RenderMode
    absgrad: bool
    """Whether backward leaves the sums of absolute gradients in meta["means2d"].absgrad."""
    rasterize_mode: RasterizeMode
    """antialiased: opacities are lowered by what eps2d adds to a Gaussian's area (Mip-Splatting, Yu et al. 2024)."""
    channel_chunk: int
    """Most channels composited at once; bounds memory, not the result."""
    camera_model: CameraModel
    covars: Tensor | None
    """[..., N, 3, 3] m^2 in place of quats and scales; the upper triangle is read."""
    gsplat_only: Mapping[str, Any]
    """Options of gsplat that no other renderer has, by name, where they differ from gsplat's defaults."""


class Renderer(Protocol):
    """Draws Gaussians: differentiable in means, quats, scales, covars, opacities, colors, backgrounds and viewmats.

    Returns `image` [..., C, H, W, channels] (colour channels, then depth in m, as the mode says), `alpha`
    [..., C, H, W, 1] and a dictionary with at least `means2d` [..., C, N, 2] pixels (in the graph), `radii`
    [..., C, N, 2] int32 pixels (0: not seen), `depths` [..., C, N] m, `conics` [..., C, N, 3], `opacities` [..., C, N],
    `width`, `height`, `n_batches`, `n_cameras`, and `batch_ids`, `camera_ids`, `gaussian_ids` (None). With `packed` the
    first five have rows [nnz, ..] of what is seen, and the last three say of which batch, camera and Gaussian, [nnz] int64.
    """

    def __call__(self, given: RasterizationInputs) -> tuple[Tensor, Tensor, dict[str, Any]]: ...


class GaussiansLike(Protocol):
    """What is drawn of a set of N Gaussians; `perpetua.scene.Gaussians` has it."""

    @property
    def means(self) -> Tensor:
        """[N, 3] m."""

    @property
    def quats(self) -> Tensor:
        """[N, 4] wxyz."""

    @property
    def scales(self) -> Tensor:
        """[N, 3] m."""

    @property
    def opacities(self) -> Tensor:
        """[N] in [0, 1]."""

    def colors_from(self, position: Tensor) -> Tensor:
        """[N, 3] in [0, 1], as they are seen from ``position`` [3] m."""
