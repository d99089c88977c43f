"""A small CLIP byte-pair vocabulary, trained on sentences of our own.

The files have the form of the genuine ones: 256 byte symbols, the same 256 with </w>, one entry
per merge, start, end. Only the number of merges is smaller (300 instead of 48,894).
"""
import json
from collections import Counter

import regex
from transformers.models.clip.tokenization_clip import bytes_to_unicode

START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = 300
PIECE = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", regex.IGNORECASE)

SENTENCES = """
a photo of a cat. a photo of a dog. a photo of the dog on the beach, at sunset
a drawing of a small red fox in the forest... a drawing of the red fox under an old tree
a painting of a castle on a hill in watercolour style; a painting in the style of a child
the cat isn't on the mat, it's under the table. the dog doesn't like the rain, does it?
we're walking home and they've lost the blue umbrella; i'm sure she'll find it, he'd said so
a striped yellow fish swims in the deep green sea! a striped fish swims near the coral reef
two white rabbits are sleeping in the snow, next to a wooden house with a round window
an owl with big eyes sits on a branch at night, and the moon is bright above the mountains
a toy robot holding a flower; a teapot and a cup of tea on the kitchen table, close-up photo
a lighthouse by the ocean in a storm, black and white photograph, high contrast, wide angle
the old horse is standing in the field... a brown horse running through the field in the morning
a purple dragon flies over the village while the children are watching from the bridge
a bowl of soup, some bread and a glass of water on a picnic blanket in the park at noon
a bear wearing sunglasses and a hat; a bear riding a bicycle down the street in the city
a café in paris, naïve art, a crème brûlée, the señor's jalapeño; café tables in the sun, naïve art
a cartoon turtle with spots, a cartoon mouse with long ears, a cartoon elephant with a trumpet
a garden with roses and a fountain (spring), a desert with a cactus (summer), a lake (winter)
the boat's sail is torn; the birds' nest is full; a boat on the river between the mountains
a clay figure of a penguin on ice, a paper crane on a desk, a glass swan in a window, 3d render
a quiet road through autumn leaves -- a train crossing a bridge -- a balloon above the clouds
"""


def train(text, count):
    """The `count` most frequent merges, ties to the alphabetically first pair."""
    byte = bytes_to_unicode()
    words = Counter()
    for piece in PIECE.findall(text.lower()):
        symbols = [byte[b] for b in piece.encode("utf-8")]
        words[(*symbols[:-1], symbols[-1] + "</w>")] += 1
    merges = []
    while len(merges) < count:
        pairs = Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = Counter({joined(word, best): n for word, n in words.items()})
    return merges


def joined(word, pair):
    out, i = [], 0
    while i < len(word):
        both = tuple(word[i:i + 2]) == pair
        out.append(word[i] + word[i + 1] if both else word[i])
        i += 2 if both else 1
    return tuple(out)


def vocabulary():
    """(vocab, merges): token text -> id, and the list of merged pairs in rank order."""
    merges = train(SENTENCES, MERGES)
    symbols = list(bytes_to_unicode().values())
    tokens = symbols + [s + "</w>" for s in symbols] + ["".join(m) for m in merges] + [START, END]
    vocab = {token: i for i, token in enumerate(tokens)}
    assert len(vocab) == len(tokens) == 512 + MERGES + 2
    return vocab, merges


def save(folder, positions, pad):
    """The four tokenizer files as the model repositories of 2022 ship them."""
    folder.mkdir(parents=True, exist_ok=True)
    vocab, merges = vocabulary()
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), encoding="utf-8")

    def special(text):
        return {"content": text, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}

    write_json(folder / "special_tokens_map.json", {
        "bos_token": special(START), "eos_token": special(END), "pad_token": pad, "unk_token": special(END)})
    write_json(folder / "tokenizer_config.json", {
        "add_prefix_space": False,
        "bos_token": {"__type": "AddedToken"} | special(START),
        "do_lower_case": True,
        "eos_token": {"__type": "AddedToken"} | special(END),
        "errors": "replace",
        "model_max_length": positions,
        "name_or_path": "",
        "pad_token": END,  # wrong for SD 2.x, as shipped: special_tokens_map.json decides
        "special_tokens_map_file": "./special_tokens_map.json",
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": {"__type": "AddedToken"} | special(END)})


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
