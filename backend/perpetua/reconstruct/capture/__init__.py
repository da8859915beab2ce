"""Captures: pictures of one scene from several places, with what is known of cameras, depth and objects.

capture.py      what a capture is, and the checks that its parts agree
agreement.py    whether cameras agree with what the pictures have in common, where there is no depth
folder.py       a capture on disk: ``transforms.json`` and pictures
depth_file.py   depth maps in EXR and 16-bit PNG
"""
