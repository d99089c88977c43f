"""tests/golden, whose models.py and parts.py serve full size, too: how weights are drawn, what each part answers."""
import sys

from places import ROOT

sys.path.insert(0, str(ROOT / "tests" / "golden"))
