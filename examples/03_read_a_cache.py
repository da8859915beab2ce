"""Open a baked cache, look at what is in it, and find how far each frame moved.

Run after example 1:  python examples/03_read_a_cache.py examples/01_clay_ball/cache
"""

import sys
from pathlib import Path

import numpy as np

from perpetua_protocol.cache import Cache

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "01_clay_ball" / "cache"
cache = Cache(folder)
meta = cache.meta
print(
    f"{meta.name}: {meta.frames} frames at {meta.fps:g} fps, {meta.foreground} moving splats, {meta.background} still ones"
)

rest = cache.frame(0)["position"]
for record in meta.rounds:
    last = record.start + record.frames - 1
    moved = np.linalg.norm(cache.frame(last)["position"] - rest, axis=1)
    print(
        f"round {record.index}: frame {last}, moved {1000 * moved.mean():.1f} mm on average, {1000 * moved.max():.1f} at most"
    )
