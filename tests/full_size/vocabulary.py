"""The genuine CLIP vocabulary: its merges ship with the package open_clip_torch, its two files are made from them here."""
import gzip
import hashlib
import importlib.util
import json
from pathlib import Path

import golden  # noqa: F401  (puts tests/golden on the path)
import bpe
from transformers.models.clip.tokenization_clip import bytes_to_unicode

MERGES = 48894
# Of the merges.txt that every Stable Diffusion ships. The ids follow from it.
SHA256 = "9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a"


def read_merges():
    package = importlib.util.find_spec("open_clip")
    if package is None:
        raise SystemExit("open_clip is not installed: make parity installs it without its dependencies")
    path = Path(package.submodule_search_locations[0]) / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    return [tuple(line.split()) for line in lines[1:MERGES + 1]]


def save(folder, pad):
    """The four files of a tokenizer folder. Merges that are not the published ones, byte for byte, are refused."""
    merges = read_merges()
    symbols = list(bytes_to_unicode().values())
    tokens = symbols + [s + "</w>" for s in symbols] + ["".join(m) for m in merges] + [bpe.START, bpe.END]
    bpe.save(folder, 77, pad)
    (folder / "vocab.json").write_text(
        json.dumps({t: i for i, t in enumerate(tokens)}, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), encoding="utf-8")
    if hashlib.sha256((folder / "merges.txt").read_bytes()).hexdigest() != SHA256:
        raise SystemExit("open_clip's merges are not those that Stable Diffusion ships")
