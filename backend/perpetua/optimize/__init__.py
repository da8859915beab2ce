"""Refined videos -> corrected motion and colours, and from there back into the physics.

correct.py      the backward pass: optimise(...) finds a Correction by comparing renders with the refined videos
motion.py         how particles may be displaced: a smooth field per soft body, one pose per rigid body, at time knots
views.py          what the pass compares with: targets, backdrops, colour differences between videos
warps.py          the smooth warp a video has of its own
trust.py          how far each view is believed
loss.py           how it compares: image pyramid, robust differences, SSIM, and what keeps motion plausible
standing.py     what keeps a rigid body on its feet
knots.py          the cubic in time through the knots
end_slope.py      how fast a correction moves at its end
rigid.py          rigid motions from displacements
apply.py        apply_correction(...): the corrected trajectory and splats
write_back.py   write_back(...): the corrected state that the next round's forces begin from
"""
