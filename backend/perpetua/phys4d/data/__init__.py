"""Clips whose everything is known: scenes are drawn, simulated coarse and fine, filmed, and kept in Parquet.

config -> templates, draws -> SceneSpec -> world (physics, twice) -> surfaces -> cycles (fine picture) -> truth
                                                              +-> coarse (our renderer)            -> store
"""
