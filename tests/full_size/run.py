"""Holds Engram against PyTorch at full size: python run.py [--again] [NAME...]. See README.md.

One comparison after another, each in two programs that never run at once: PyTorch writes inputs and answers, then
`engram debug` answers. Every result is kept as it comes, so a run may be interrupted; the page is written from all that
there is.
"""
import json
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from safetensors import safe_open
from safetensors.numpy import load_file

import exports
import figures
import page
import tokenizer
from comparisons import COMPARISONS, find
from places import HOME, ROOT, location

HERE = Path(__file__).resolve().parent
ENGRAM = Path(os.environ.get("ENGRAM_BIN", ROOT / "build")) / "engram"


def engram_version():
    """Which source the program was built from, as well as git can say."""
    seen = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return seen.stdout.strip() or "unknown"


def reference_is_there(c, folder):
    try:
        with safe_open(folder / "want.safetensors", "np") as f:
            return f.metadata()["key"] == json.dumps(c.key(), sort_keys=True)
    except (OSError, KeyError, TypeError):
        return False


def answer(c, folder):
    """Engram's tensors for the comparison's inputs."""
    out = folder / "got.safetensors"
    out.unlink(missing_ok=True)
    command = [ENGRAM, "debug", c.part.replace("_detach", ""), "--model", location(c.model),
               "--in", folder / "in.safetensors", "--out", out]
    if c.options:
        command += ["--options", folder / "options.json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    tensors = load_file(out)
    out.unlink()
    return tensors


def rows_of(c):
    """Inputs and PyTorch's answer are made if they are not there; a comparison of two forms of a model needs the inputs only."""
    subprocess.run([sys.executable, HERE / "checkpoints.py", c.model], check=True)
    if c.part == "tokenizer":
        return tokenizer.rows(location(c.model) / "tokenizer")
    if c.part == "export":
        return exports.rows(ENGRAM, c.model)
    asked = find(c.same_as) if c.same_as else c
    folder = HOME / "work" / asked.name
    if not reference_is_there(asked, folder):
        subprocess.run([sys.executable, HERE / "reference.py", asked.name, folder], check=True)
    want = answer(asked, folder) if c.same_as else load_file(folder / "want.safetensors")
    return getattr(figures, c.figures)(c, load_file(folder / "in.safetensors"), want, answer(c, folder))


def compare(c):
    start = time.monotonic()
    rows = rows_of(c)
    return {"name": c.name, "date": date.today().isoformat(), "engram": engram_version(), "allowed": c.allowed,
            "seconds": round(time.monotonic() - start, 1),
            "rows": [{"what": w, "relative": r, "absolute": a, "good": r <= c.allowed} for w, r, a in rows]}


def results_file(c):
    return HOME / "results" / f"{c.name}.json"


def main(names, again):
    chosen = [find(n) for n in names] or COMPARISONS
    bad = 0
    for c in chosen:
        file = results_file(c)
        if not again and not names and file.exists() and json.loads(file.read_text())["engram"] == engram_version():
            continue
        print(f"{c.name}: {c.title}", flush=True)
        try:
            result = compare(c)
        except (RuntimeError, subprocess.CalledProcessError) as problem:
            print(f"  FAILED {problem}", flush=True)
            bad += 1
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(result, indent=1) + "\n")
        for row in result["rows"]:
            print(f"  {'  ' if row['good'] else 'NO'} {row['what']}: {row['relative']:.1e}, allowed {c.allowed:.0e}", flush=True)
            bad += not row["good"]
    found = {c.name: json.loads(results_file(c).read_text()) for c in COMPARISONS if results_file(c).exists()}
    page.write(ROOT / "docs" / "parity.md", COMPARISONS, found)
    return 1 if bad else 0


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit(main([w for w in words if w != "--again"], "--again" in words))
