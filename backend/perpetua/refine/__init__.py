"""Refiners: a rendered video goes in, the video as it should look comes out."""
