"""Where Gaussians are added, moved and taken away while a scene is fitted: gsplat's two strategies, on CPU and CUDA alike.

    default.py      Kerbl et al. 2023: duplicate and split where the image pulls, prune what is transparent or too big
    mcmc.py         Kheradmand et al. 2024: a fixed budget; transparent Gaussians move to where opaque ones are, and all jitter
    rows.py         rows of parameters added, replaced and removed together with their optimisers' state
    relocation.py   what N copies of a Gaussian must look like to be that Gaussian together

They are used as gsplat's are, with the same fields, defaults and calls:

    strategy = MCMCStrategy(cap_max=10_000)
    strategy.check_sanity(params, optimizers)      # params: means, quats, scales (log), opacities (logit), ...
    state = strategy.initialize_state()
    for step in range(steps):
        image, alpha, info = rasterization(...)
        strategy.step_pre_backward(params, optimizers, state, step, info)
        loss.backward()
        ...                                        # optimisers step
        strategy.step_post_backward(params, optimizers, state, step, info, lr=means_rate)
"""

from perpetua.render.strategy.default import DefaultStrategy
from perpetua.render.strategy.mcmc import MCMCStrategy

__all__ = ["DefaultStrategy", "MCMCStrategy"]
