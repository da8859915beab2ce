"""Does the loop work? Worlds whose truth is known, played through the loop and through what others do, and measured.

metrics.py          what is measured, as small functions
worlds.py           a scene made without a picture: bodies of particles dressed in splats, on a table, and cameras around it
catalogue.py        the worlds of the benchmark, and how each truth differs from what the simulator believes
spoil.py            makes the truth's videos as inconsistent as a video model's
teacher.py          the truth itself, and the refiner that shows its spoiled videos to the loop
positions_only.py   the backward pass of PerpetualWonder, to compare with
variants.py         how each way of closing the loop plays a round
suite.py            plays worlds and variants round by round, measures them, and keeps every result
report.py           the figures as a table, as JSON and as a page with curves and videos
page.py             the pieces such pages are made of
video/              is a video, and the world in it, as good as the truth? metrics on clips, of any maker
take/               does a baked take hold together, judged by itself?
"""
