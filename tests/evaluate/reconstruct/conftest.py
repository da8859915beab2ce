"""Lets these tests draw captures as those of the reconstruction do."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "reconstruct"))
