"""Rendered videos -> videos as they should look.

api.py        what a refiner takes and gives
none.py       changes nothing: the loop is then a simulator
teacher.py    shows another simulation: a refiner whose truth is known, to measure the loop by
files/        hands videos to any other program, and takes them back
diffusion/    video diffusion models
check.py      what every refined video must be
likeness.py   whether it still shows the same scene
"""
