"""Makes Storybook's byte-level BPE vocabulary in CLIP's own order, so that CLIPTokenizer loads it.

256 byte symbols, the same 256 at a word's end, one entry per merge, then the two special tokens. Merges are learned
from the words of the captions until every one of them is a single token; any other word still works, from its bytes.
"""
import collections
import json
import random
import sys
from pathlib import Path

from models import TOKENS
from world.captions import caption
from world.scene import random_scene

START, END = "<|startoftext|>", "<|endoftext|>"


def byte_symbols():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(rest))]


def words():
    rng = random.Random(5)
    count = collections.Counter()
    for _ in range(6000):
        count.update(caption(rng, random_scene(rng)).replace(",", " ,").split())
    return count


def learn_merges(count):
    """Byte-pair encoding; ties go to the alphabet, so that every run gives the same file."""
    pieces = {w: [*w[:-1], w[-1] + "</w>"] for w in count}
    merges = []
    while any(len(p) > 1 for p in pieces.values()):
        pairs = collections.Counter()
        for w, p in pieces.items():
            for pair in zip(p, p[1:]):
                pairs[pair] += count[w]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for w, p in pieces.items():
            merged, i = [], 0
            while i < len(p):
                if i + 1 < len(p) and (p[i], p[i + 1]) == best:
                    merged.append(p[i] + p[i + 1])
                    i += 2
                else:
                    merged.append(p[i])
                    i += 1
            pieces[w] = merged
    return merges


def write(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    merges = learn_merges(words())
    symbols = byte_symbols()
    entries = symbols + [s + "</w>" for s in symbols] + ["".join(m) for m in merges] + [START, END]
    vocab = {e: i for i, e in enumerate(entries)}
    assert len(vocab) == len(entries)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2))
    config = {"tokenizer_class": "CLIPTokenizer", "add_prefix_space": False, "do_lower_case": True, "errors": "replace",
              "model_max_length": TOKENS, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))
    return len(entries)


if __name__ == "__main__":
    print(write(sys.argv[1]), "entries")
