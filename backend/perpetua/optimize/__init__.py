"""Refined videos -> corrected motion and colours, and from there back into the physics.

correct.py      the backward pass: optimise(...) finds a Correction by comparing renders with the refined videos
stage.py          the scene as a correction in progress has it
motion.py         how particles may be displaced: a smooth field per soft body, one pose per rigid body, at time knots
views.py          what the pass compares with: targets and backdrops, the videos' own colours and warps taken out
colours.py        the gain and bias that a video has of its own, by its backdrop
warps.py          the smooth warp that it has
own_look.py       what is left of both where objects are, learned with the motion
splat_offsets.py  where on their particles splats sit, learned with L_sim
flow.py           the optical flow of a video, and how far a rendered one is from it
trust.py          how far each view is believed
loss.py           how images are compared: pyramid, robust differences, SSIM
plausibility.py   what keeps motion plausible: rigidity, smoothness, nearness to the simulator
volume.py         and that matter keeps its volume
lengths.py        and sheets their lengths
obstacles.py      what matter may not be pushed into: colliders and other bodies
standing.py       what keeps a rigid body on its feet
knots.py          the cubic in time through the knots
end_slope.py      how fast a correction moves at its end
rigid.py          rigid motions from displacements
clock.py          the time that parts of the pass take
apply.py        apply_correction(...): the corrected trajectory and splats
write_back.py   write_back(...): the corrected state that the next round's forces begin from
"""
