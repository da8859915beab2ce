"""The heads that read depth and motion from the features of a video transformer.

tokens.py  features in the order of space and time
motion.py  LayerNorm and a linear layer, on the features before the output layer
depth.py   a dense prediction transformer with temporal attention, on four blocks' features
"""
