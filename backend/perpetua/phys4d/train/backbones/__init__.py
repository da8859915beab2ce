"""Video diffusion transformers that can be trained: those of diffusers, with their autoencoder, text encoder and noise schedule.

api.py        what the trainings ask of a family
cogvideox.py  wan.py    the families
loading.py    from a folder of the models folder to a model on a device
"""
