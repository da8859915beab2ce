"""Does a baked take hold together? Its videos are judged against its own 4D scene, without a learned model and without a truth.

views.py        what each camera shows in a round, drawn from the cache or read from videos
tracks.py       points of the scene, followed through the pictures by Lucas and Kanade
geometry.py     triangulation between views, and the camera that tracks speak for
flicker.py      what trembles where nothing moves, and flow that does not come back
suite.py        all of it, round by round and over time, and the means
report.py       rows, JSON and the page
"""
