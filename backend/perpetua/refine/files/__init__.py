"""Bring your own: videos are handed to any other program as files, and taken back from it as files.

refiner.py     the refiner: where the folders are, and what it waits for
hand_over.py   what another program gets: colour, depth, flow, masks, camera, prompt
take_back.py   what it gives back: pictures or a movie, made to fit where that is harmless
"""
