"""Where things lie. Everything made on the way is under build/, which git ignores."""
import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
WORK = ROOT / "build" / "storybook"
DATA = WORK / "data"
EXPORT = WORK / "model"
FINAL = HERE.parent / "model"


def save_atomically(save, path):
    """Calls save(temporary path), then renames: a reader never meets half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    save(temporary)
    os.replace(temporary, path)
