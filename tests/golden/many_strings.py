"""Ten thousand texts nobody would write, and what transformers' slow CLIPTokenizer (without ftfy) makes of them.

    python many_strings.py                 writes many_strings.txt for the tokenizer of `classic`, with ADDED added
    python many_strings.py FOLDER FILE     the same for another tokenizer folder

One text a line: eight hex digits, a space, the text as a JSON string. The digits are FNV-1a over the 77 ids, four bytes
each, low byte first. tests/golden/tokenizer.c reads the file; a difference shows the text, and this program the ids.
"""
import json
import random
import sys
import unicodedata
from pathlib import Path

import regex

COUNT, LENGTH, SEED = 10500, 77, 20220822
ADDED = ["<rex>", "<rex><r", "<mug-2>", "\u732b", "\u00e9t\u00e9", "<|x|>", "don't"]

WORDS = """a the of photo dog cat painting it isn't don't we've i'm she'd they'll you're o'clock 's 'T rock'n'roll Mountains
MOUNTAINS mountain's x-ray 3d 4k 16:9 1,000 $5 10% caf\u00e9 CAFE\u0301 na\u00efve stra\u00dfe STRASSE \u0130stanbul \u039f\u0394\u039f\u03a3 \u03a3\u03a3 \u03a3's \u041c\u043e\u0441\u043a\u0432\u0430 \u05e9\u05dc\u05d5\u05dd
\u0645\u0631\u062d\u0628\u0627 \u0939\u093f\u0928\u094d\u0926\u0940 \u0e01\u0e34\u0e19 \u732b\u72d7 \u306d\u3053 \ud55c\uad6d\uc5b4 \u1112\u1161\u11ab \ufb01sh \u212bngstr\u00f6m 'll 'RE " ... !! -- (a) [b] {c} <d> &amp; a_b a*b #1 @c ~`^|\\/""".split()
GLUE = ["<rex>", "<REX>", "<Rex>", "<rex", "rex>", "<|startoftext|>", "<|endoftext|>", "<|EndOfText|>", "<|STARTOFTEXT|>",
        "<|endoftext|", "<mug-2>", "<mug-3>", "<|x|>", "\u00e9t\u00e9", "e\u0301te\u0301", "don't", "DON'T", "don\u2019t"]
APOSTROPHES = ["'", "\u2019", "\u02bc", "`", "\uff07", "''", "'\u200d", "'\u0301"]
ENDINGS = ["s", "t", "re", "ve", "m", "ll", "d", "S", "T", "RE", "Ve", "M", "LL", "D", "\u017f", "x", "\u017ft", "l", "r", ""]
SPACES = [chr(c) for c in (9, 10, 11, 12, 13, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680, 0x180e, 0x2000, 0x2001, 0x2002,
                           0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a, 0x200b, 0x2028, 0x2029, 0x202f,
                           0x205f, 0x2060, 0x3000, 0xfeff)]
JOINERS = ["\u200d", "\ufe0f", "\ufe0e", "\U0001f3fb", "\U0001f3ff", "\u20e3", "\U000e0062", "\U000e007f", "\u0301", "\u0345"]
EMOJI = [chr(c) for c in [*range(0x1f600, 0x1f650), *range(0x1f900, 0x1f9ff), *range(0x2600, 0x2700), 0x1f468, 0x1f469, 0x1f1e9, 0x1f1ea]]


def characters():
    """Every assigned character by its category; of the large blocks every 29th. Of what Python's Unicode does not know only
    what a newer one (that of the regex module) does not know either, so that the texts mean the same for years."""
    by_category, assigned = {}, regex.compile(r"\P{Cn}")
    for c in range(1, 0x110000):
        category = unicodedata.category(chr(c))
        if category == "Cn" and assigned.match(chr(c)):
            continue
        if category == "Cs" or (category in ("Co", "Cn") and c % 997) or (category == "Lo" and c > 0x3400 and c % 29):
            continue
        by_category.setdefault(category, []).append(chr(c))
    return by_category


class Writer:
    def __init__(self):
        self.r = random.Random(SEED)
        self.by_category = characters()
        self.categories = sorted(self.by_category)
        self.digits = self.by_category["Nd"] + self.by_category["No"][:200] + self.by_category["Nl"]
        self.cased = [c for c in self.by_category["Lu"] + self.by_category["Lt"] + self.by_category["Ll"]
                      if c.lower() != c or c.upper() != c]
        self.composed = [chr(c) for c in range(0xc0, 0x2fa1e) if unicodedata.decomposition(chr(c))[:1] not in ("", "<")]
        self.marks = self.by_category["Mn"] + self.by_category["Mc"]

    def some(self, make, low, high):
        return "".join(make() for _ in range(self.r.randint(low, high)))

    def any_character(self):
        return self.r.choice(self.by_category[self.r.choice(self.categories)])

    def of_all(self):
        return self.some(self.any_character, 1, 7)

    def of_one_category(self):
        return self.some(lambda c=self.r.choice(self.categories): self.r.choice(self.by_category[c]), 2, 6)

    def between_letters(self):
        return self.r.choice("aZ\u03a3\u0130") + self.any_character() + self.r.choice("bY\u03c3'") + self.any_character()

    def accents(self):
        text = self.some(lambda: self.r.choice([self.r.choice(self.composed), self.r.choice(self.marks), "e", "O"]), 1, 5)
        return unicodedata.normalize(self.r.choice(["NFC", "NFD"]), text) if self.r.random() < 0.7 else text

    def emoji(self):
        return self.some(lambda: self.r.choice(EMOJI) + (self.r.choice(JOINERS) if self.r.random() < 0.6 else ""), 1, 4)

    def added(self):
        return self.some(lambda: self.r.choice([self.r.choice(GLUE), self.r.choice(ADDED), self.r.choice(WORDS),
                                                self.any_character(), " "]), 2, 5)

    def apostrophes(self):
        return self.some(lambda: self.r.choice(["it", "I", "\u0130", "9", "", "'"]) + self.r.choice(APOSTROPHES) +
                         self.r.choice(ENDINGS), 1, 3)

    def spaces(self):
        return self.some(lambda: self.r.choice(SPACES) + self.r.choice(["a", "", "B", "1", "!"]), 1, 5)

    def numbers(self):
        return self.some(lambda: self.r.choice([self.r.choice(self.digits), self.r.choice("0123456789.,-x")]), 1, 6)

    def cases(self):
        return self.some(lambda: self.r.choice([self.r.choice(self.cased), "\u03a3", "\u0345", "'", "\u0307", "I"]), 1, 6)

    def controls(self):
        return self.some(lambda: self.r.choice([chr(self.r.randint(1, 0x9f)), "a", "\ufffd", "\u00ad", "\ufeff"]), 1, 6)

    def right_to_left(self):
        return self.some(lambda: self.r.choice([chr(self.r.randint(0x590, 0x6ff)), "\u200f", "\u202e", " ", "a"]), 1, 7)

    def ideographs(self):
        return self.some(lambda: self.r.choice([chr(self.r.choice([0x3400, 0x4e00, 0x9fff, 0xf900, 0x20000, 0x2a6d0, 0x2b740,
                                                                     0x2f800, 0x30000, 0xac00, 0x3040, 0xff00]) +
                                                    self.r.randint(0, 60)), "a", "\u732b"]), 1, 6)

    def sentence(self):
        return " ".join(self.r.choice(WORDS) for _ in range(self.r.randint(2, 9)))

    def long(self):
        kind = self.r.randint(0, 3)
        if kind == 0:
            return "".join(self.r.choice("abcdefghij") for _ in range(self.r.randint(60, 260)))
        if kind == 1:
            return self.r.choice(["\u732b", "9", "<rex>", "! ", "e\u0301", "\U0001f600", "'s"]) * self.r.randint(70, 80)
        return " ".join(self.r.choice(WORDS) for _ in range(self.r.randint(30, 50)))

    def texts(self):
        kinds = [self.of_all] * 4 + [self.of_one_category, self.between_letters, self.accents, self.emoji, self.added, self.added,
                                     self.apostrophes, self.spaces, self.numbers, self.cases, self.controls, self.right_to_left,
                                     self.ideographs, self.sentence]
        seen = {"": None}
        while len(seen) < COUNT:
            make = self.long if len(seen) % 70 == 0 else self.r.choice(kinds)
            text = make()
            if "\0" not in text:
                seen[text] = None
        return list(seen)


def hash_of(ids):
    h = 2166136261
    for i in ids:
        for byte in i.to_bytes(4, "little"):
            h = (h ^ byte) * 16777619 & 0xffffffff
    return h


def write(folder, path):
    from transformers import CLIPTokenizer
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    assert tokenizer.fix_text is None, "ftfy is installed here: its repairs are not part of what Engram follows"
    tokenizer.add_tokens(ADDED)
    with open(path, "w", encoding="utf-8") as f:
        for text in Writer().texts():
            ids = tokenizer(text, padding="max_length", truncation=True, max_length=LENGTH).input_ids
            f.write(f"{hash_of(ids):08x} {json.dumps(text, ensure_ascii=False)}\n")


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    write(*(sys.argv[1:] or [here / "classic/model/tokenizer", here / "many_strings.txt"]))
