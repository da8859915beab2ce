"""Video models that can be trained.

api.py          what the trainings ask of a family
of_diffusers.py    what transformers of diffusers share: autoencoder, text encoder, first picture; cogvideox.py  wan.py
space_time.py   the small network of the refiner of that name
loading.py      from a checkpoint to a model
"""
