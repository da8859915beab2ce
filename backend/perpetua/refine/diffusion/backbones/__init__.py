"""Families of video models, one file each: how its pipeline is called, and what its latents are."""
