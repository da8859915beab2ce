"""Clips: videos on disk with what is known of the world in them, that evaluation measures and training learns from.

clip.py     a clip's folder; layers.py reads its files
chamfer.py  its points in space and time, and how far apart two sets of them are
motion.py   where its pixels are in space, and what moves
"""
