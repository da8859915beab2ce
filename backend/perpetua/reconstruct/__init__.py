"""Reconstruction: pictures become a scene of splats and particles.

``source.py`` opens what a take starts from and says who makes a scene of it (by name in ``perpetua.registry``):

    a picture                     embedded.py     camera and depth are guessed; the object is inflated from its outline
    a picture and its depth map   from_depth.py   camera, table and fronts are measured; backs are guessed
    a capture (many pictures)     from_views.py   Gaussians are fitted to all views, solids are fused from depth
    pictures, or a video          poses/          their cameras are found by COLMAP; then they are a capture without depth
    splats                        existing/       rendered from a ring of cameras they are a capture that is fitted already

The first two find solids and a stage, which ``dress.py`` fills and clothes in the picture's colours; ``assemble.py`` puts any scene
together, and ``from_fit.py`` does for the last two what comes after the Gaussians. ``capture/`` reads captures, ``fit/`` trains Gaussians, ``surface/`` makes solids of depth. Importing this folder is cheap.
"""
