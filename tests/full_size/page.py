"""docs/parity.md, written from results."""
from importlib.metadata import version

HEAD = """# Parity at full size

Written by `make parity`; do not edit. Engram beside diffusers {diffusers}, transformers {transformers} and PyTorch
{torch} on the same files and inputs: random checkpoints of the exact published shapes, written by diffusers and transformers
themselves. [tests/full_size/README.md](../tests/full_size/README.md) says how.

The error is |ours - theirs| / |theirs| (2-norms over a tensor), beside it the largest absolute difference. The reference ran
on the CPU in the type that stands in the column; where that is float32, its own rounding is part of the error. {summary}

| what | size | tensor | reference | relative L2 | largest | allowed | |
|---|---|---|---|---|---|---|---|
"""


def size(c):
    return f"{c.size[0]}x{c.size[1]}" if c.size else "-"


def lines(c, result):
    if result is None:
        yield f"| {c.title} | {size(c)} | not measured | {c.dtype} | - | - | {c.allowed:.0e} | - |\n"
        return
    for i, row in enumerate(result["rows"]):
        head = f"{c.title}" if i == 0 else ""
        yield (f"| {head} | {size(c) if i == 0 else ''} | {row['what']} | {c.dtype} | {row['relative']:.1e} | "
               f"{row['absolute']:.1e} | {c.allowed:.0e} | {'good' if row['good'] else '**off**'} |\n")


def write(path, comparisons, found):
    rows = [row for r in found.values() for row in r["rows"]]
    dates = sorted(r["date"] for r in found.values())
    off = sum(not r["good"] for r in rows)
    summary = (f"{len(rows)} figures of {len(found)} comparisons, {off} off; {len(comparisons) - len(found)} comparisons "
               f"not measured. Measured {dates[0]} to {dates[-1]}." if rows else "Nothing was measured yet.")
    versions = {name: version(name) for name in ("torch", "diffusers", "transformers")}
    text = HEAD.format(summary=summary, **versions)
    for c in comparisons:
        text += "".join(lines(c, found.get(c.name)))
    path.write_text(text, encoding="utf-8")
