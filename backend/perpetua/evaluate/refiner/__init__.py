"""How good is a refiner? Coarse videos of scenes that nothing was trained on go in, refined by several; out come figures against the
truth, and how far each is from the coarse video, scene by scene.

baselines.py   what a refiner has to beat: the coarse video, the first frame's background or colours kept, a filter over time
figures.py     what is measured of a clip; perpetua.evaluate.video measures most of it
suite.py       all refiners on all clips, means and paired differences by scene
report.py      rows, JSON and the page
"""
