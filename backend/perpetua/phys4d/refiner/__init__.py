"""Trains the space-time refiner on simulated pairs.

data set -> pairs (coarse and fine cuts) -> losses -> train -> weights.safetensors, which refine.space_time plays
"""
