"""The same bytes for any number of threads, in every run, and compiled kernels that later processes load."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from perpetua.errors import RenderError
from perpetua.render import rasterization
from perpetua.render.numba_backend.compile import cache_folder
from perpetua.render.numba_backend.threads import set_threads, thread_count

# Renders a fixed scene, sends a gradient back, prints a digest of all results and how many kernels were compiled anew.
PROCESS = """
import hashlib, torch
from perpetua.render import rasterization
from perpetua.render.numba_backend import bin, composite, composite_backward, project, project_backward
random = torch.Generator().manual_seed(0)
g = [torch.rand(500, n, generator=random).requires_grad_(True) for n in (3, 4, 3, 3)]
o = torch.rand(500, generator=random).requires_grad_(True)
K = torch.tensor([[[60.0, 0, 40], [0, 60.0, 30], [0, 0, 1]]])
V = torch.eye(4)[None].clone(); V[0, 2, 3] = 2; V.requires_grad_(True)
B = torch.tensor([[0.2, 0.4, 0.6]], requires_grad=True)
image, alpha, _ = rasterization(g[0], g[1], 0.1 * g[2], o, g[3], V, K, 320, 200, backgrounds=B, render_mode="RGB+ED")
(image.square().sum() + alpha.square().sum()).backward()
digest = hashlib.sha256()
for t in (image, alpha, *(p.grad for p in g), o.grad, V.grad, B.grad):
    digest.update(t.detach().contiguous().numpy().tobytes())
kernels = [project.project_forward, project_backward.project_backward, bin.make_records, bin.sort_by_depth, bin.count_tiles, bin.start_tiles, bin.fill_tiles,
           composite.composite_forward, composite_backward.composite_backward, composite_backward.sum_slots]
print(digest.hexdigest(), sum(sum(k.stats.cache_misses.values()) for k in kernels))
"""


def render_in_process(**environment: str) -> tuple[str, int]:
    """(digest, kernels compiled) of a fresh process."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROCESS],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    digest, compiled = result.stdout.split()
    return digest, int(compiled)


@pytest.fixture
def restore_threads() -> Iterator[None]:
    yield
    set_threads(None)


def digest_of(scene: dict[str, Any], pull: Any, **options: Any) -> str:
    """All that comes out of a scene, and every gradient."""
    scene["viewmats"].requires_grad_(True)
    image, alpha, meta = rasterization(**scene, **options)
    pull(image, alpha)
    digest = hashlib.sha256()
    results = (image, alpha, meta["means2d"], meta["radii"])
    gradients = [value.grad for value in scene.values() if torch.is_tensor(value) and value.requires_grad]
    for tensor in (*results, *gradients):
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.usefixtures("restore_threads")
@pytest.mark.parametrize(
    "options",
    [
        {"render_mode": "RGB+ED"},
        {"render_mode": "RGB+ED", "packed": False},
        {"sh_degree": 1, "rasterize_mode": "antialiased"},
    ],
    ids=["packed", "dense", "harmonics"],
)
def test_same_bytes_for_any_number_of_threads(
    options: dict[str, Any], make_scene: Any, both: Any, pull: Any
) -> None:
    scene = make_scene(20_000, 200, 120, cameras=3)  # several ranges of Gaussians and of tiles
    scene["backgrounds"] = torch.rand(3, 3, generator=torch.Generator().manual_seed(0))
    if "sh_degree" in options:
        scene["colors"] = 0.3 * torch.randn(20_000, 4, 3, generator=torch.Generator().manual_seed(0))
    digests = set()
    for threads in (1, 3, 2, 1):
        set_threads(threads)
        assert thread_count() == threads
        digests.add(digest_of(both(scene)[1], pull, **options))
    assert len(digests) == 1


def test_renders_of_several_threads_do_not_mix(make_scene: Any) -> None:
    scenes = [make_scene(400, seed=seed) for seed in range(4)]
    single = [{k: v.float() if torch.is_tensor(v) else v for k, v in scene.items()} for scene in scenes]

    def render(scene: dict[str, Any]) -> torch.Tensor:
        return rasterization(**scene, render_mode="RGB+ED")[0]

    alone = [render(scene) for scene in single]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(render, single * 3))
    assert all(torch.equal(a, b) for a, b in zip(alone * 3, together))


FORK = """
import os, signal, torch
from perpetua.render import rasterization
from perpetua.render.numba_backend.threads import set_threads
set_threads(2)
K = torch.tensor([[[60.0, 0, 80], [0, 60.0, 60], [0, 0, 1]]])
def draw():
    one = torch.ones(1)
    return rasterization(torch.tensor([[0.0, 0, 2]]), torch.ones(1, 4), torch.ones(1, 3), one, torch.ones(1, 3), torch.eye(4)[None], K, 160, 120)[0]
drawn = draw()
child = os.fork()
if child == 0:
    signal.alarm(20)  # ends a child that waits for threads it does not have
    os._exit(0 if torch.equal(draw(), drawn) else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_draws_with_threads_of_its_own() -> None:
    assert subprocess.run([sys.executable, "-c", FORK], timeout=120, check=False).returncode == 0


@pytest.mark.usefixtures("restore_threads")
def test_thread_count_must_be_positive() -> None:
    with pytest.raises(RenderError, match="at least one thread"):
        set_threads(0)


@pytest.mark.slow
def test_cache_follows_numba_cache_dir_and_later_processes_only_load(tmp_path: Path) -> None:
    first, compiled = render_in_process(NUMBA_CACHE_DIR=str(tmp_path))
    assert compiled == 8
    assert list(tmp_path.glob("render-*/**/*.nbi"))
    again, compiled_again = render_in_process(NUMBA_CACHE_DIR=str(tmp_path))
    assert compiled_again == 0
    assert again == first


def test_processes_give_the_same_bytes() -> None:
    assert render_in_process(OMP_NUM_THREADS="1")[0] == render_in_process(OMP_NUM_THREADS="2")[0]


def test_a_user_without_a_home_compiles_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    from perpetua.render.numba_backend import compile as compiling

    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it does for an unknown user
    with pytest.warns(RuntimeWarning, match="this user has no home folder"):
        assert compiling._writable_cache_folder.__wrapped__() is None


def test_cache_is_in_the_users_folder_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder().parent == tmp_path / ".cache" / "perpetua" / "numba"


@pytest.mark.slow
def test_unwritable_cache_warns_and_still_renders(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    script = PROCESS.replace(
        "import hashlib", "import warnings; warnings.simplefilter('always')\nimport hashlib", 1
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NUMBA_CACHE_DIR": str(blocked)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "set NUMBA_CACHE_DIR to a folder you can write" in result.stderr
    assert result.stderr.count("cannot be kept") == 1


def test_importing_the_package_does_not_load_numba() -> None:
    script = "import sys, perpetua.render; sys.exit('numba' in sys.modules or 'gsplat' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=120, check=False).returncode == 0


def test_input_may_change_between_forward_and_next_call() -> None:
    """An optimiser changes parameters in place after backward; the renderer keeps no views of them."""
    means = torch.tensor([[0.0, 0, 3]], requires_grad=True)
    fixed = (torch.tensor([[1.0, 0, 0, 0]]), torch.full((1, 3), 0.1), torch.ones(1), torch.ones(1, 3))
    K = torch.tensor([[[30.0, 0, 16], [0, 30.0, 16], [0, 0, 1]]])
    image, _, _ = rasterization(means, *fixed, torch.eye(4)[None], K, 32, 32)
    before = image.detach().clone()
    with torch.no_grad():
        means += 1
    assert torch.equal(image, before)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        image.sum().backward()
