"""A small refiner that runs on any machine: one network that knows space and time, and predicts the fine video from the coarse one.

RenderedVideo -> signal (picture, nearness, flow as one tensor) -> bridge (coarse plus noise, to the prediction, in few steps) -> Video
"""

from perpetua.refine.space_time.refiner import SpaceTimeRefiner

__all__ = ["SpaceTimeRefiner"]
