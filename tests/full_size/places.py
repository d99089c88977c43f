"""Where things lie."""
from pathlib import Path

from shapes import VARIANTS

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "build" / "parity"
MODELS_HOME = HOME / "models"


def location(name):
    """What model `name` is called on a command line."""
    folder = MODELS_HOME / name
    return folder / "model.safetensors" if VARIANTS.get(name, {}).get("form") == "single" else folder
