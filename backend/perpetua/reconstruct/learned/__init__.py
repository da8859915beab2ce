"""Providers with weights: each a small class that is chosen by name in a take's scene settings.

``checkpoint.py`` finds a provider's folder in the models folder; nothing is fetched, nothing unpickled, no code of a checkpoint run. The
models are those of transformers. Their own picture processors want torchvision, so pictures are prepared in ``pixels.py``.
Importing this folder is cheap.
"""
