"""The tokenizer against transformers with the genuine vocabulary: python tokenizer.py FOLDER

FOLDER holds vocab.json and merges.txt (vocabulary.py makes one). The ten thousand texts are those of
tests/golden/many_strings.py; the program that compares is the golden test's own, make build/plain/tests/golden/tokenizer.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import golden  # noqa: F401  (puts tests/golden on the path)
import many_strings

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("ENGRAM_TOKENIZER_TEST", ROOT / "build/plain/tests/golden/tokenizer"))


def compare(folder, texts):
    """(equal, unequal); the texts that differ are printed, twenty at most."""
    said = subprocess.run([PROGRAM, folder, texts], cwd=ROOT, capture_output=True, text=True).stdout
    counts = re.search(r"(\d+) equal, (\d+) unequal", said)
    if not counts:
        raise RuntimeError(said.strip() or f"{PROGRAM} said nothing")
    for line in said.splitlines():
        if line.startswith("# line"):
            print(line)
    return tuple(map(int, counts.groups()))


def found_in(model_dir):
    """What was read: (equal, unequal), with the vocabulary's file and with the merges alone."""
    if not PROGRAM.exists():
        subprocess.run(["make", "-s", str(PROGRAM.relative_to(ROOT))], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory() as folder:
        texts, alone = Path(folder) / "texts.txt", Path(folder) / "alone"
        many_strings.write(model_dir, texts)
        shutil.copytree(model_dir, alone, ignore=shutil.ignore_patterns("vocab.json"))
        return {"vocab.json and merges.txt": compare(model_dir, texts), "merges.txt alone": compare(alone, texts)}


def rows(model_dir):
    """For the table: the share of texts that got other ids, and their number."""
    return [(f"{what}: texts with other ids", unequal / (equal + unequal), unequal)
            for what, (equal, unequal) in found_in(model_dir).items()]


def main(model_dir):
    """Prints and returns (equal, unequal) of both."""
    found = found_in(model_dir)
    for what, (equal, unequal) in found.items():
        print(f"tokenizer, {what}: {equal} texts equal, {unequal} unequal")
    return tuple(map(sum, zip(*found.values())))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1])[1] > 0)
