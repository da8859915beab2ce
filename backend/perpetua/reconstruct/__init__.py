"""Reconstruction: a picture becomes a scene of splats and particles.

``load_picture`` reads the file; a segmenter cuts the objects out; ``EmbeddedReconstructor`` (embedded.py, read it first) places
the camera, inflates each object to a solid, fills it with particles, and clothes it and the world behind it in splats.
The implementations are looked up by name in ``perpetua.registry``, so importing this folder stays cheap.
"""
