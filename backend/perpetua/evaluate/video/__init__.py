"""How good is a video, and the world in it, against the truth? Folders of clips go in, figures with intervals and a page come out.

perpetua.clips reads the clips.

physics_iq.py       does matter move where, when and as much as in truth
depth.py  flow.py  picture.py    each frame by itself
warping.py          carries images along flow, and says what stays visible
warp_errors.py      does what is seen agree with how it moves
worldlines.py  novel_time.py    the world over time
learned.py          LPIPS and FVD, with weights that the user brings
clip_figures.py     all of them for one clip; figures.py names them
suite.py            a set of clips, means and paired differences; intervals.py
published.py        the paper's tables
report.py           rows, JSON and the page
"""
