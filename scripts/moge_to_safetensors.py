"""Write a checkpoint of MoGe-2, which is published pickled, as the folder that Perpetua reads:

    .venv/bin/python scripts/moge_to_safetensors.py model.pt ~/.cache/perpetua/models/moge-2-vitl

Only tensors and plain settings are unpickled (PyTorch's ``weights_only``).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    checkpoint = torch.load(given.checkpoint, map_location="cpu", weights_only=True)
    given.folder.mkdir(parents=True, exist_ok=True)
    config = json.dumps({"model_config": checkpoint["model_config"]}, indent=1)
    (given.folder / "config.json").write_text(config, encoding="utf-8")
    save_file(
        {name: t.contiguous() for name, t in checkpoint["model"].items()}, given.folder / "model.safetensors"
    )


if __name__ == "__main__":
    main()
