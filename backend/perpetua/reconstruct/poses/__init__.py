"""Pictures without known cameras, or a video that goes around a still scene, become a capture.

shot.py           a picture as it was taken
shots.py          what was taken: pictures from files, or the frames of a video
frames.py         which frames of a video are used: sharp ones, evenly spread over the camera's way
colmap.py         cameras and a sparse cloud of points, by COLMAP
plausible.py      what says that the pictures cannot be of one still scene
reconstructor.py  shots into a scene
"""
