"""A commit on SD 1.5, exported, drawn by diffusers and by Engram from the same noise: rows of the table.

One training step with large rates makes a commit in a minute and moves the picture well away from the base's; that distance is
measured, too, or equal pictures would say nothing. Pictures are 64x64 pixels.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from places import HOME, ROOT, location

PROMPT, SEED, STEPS, GUIDANCE = "a photo of a <rex> dog", 7, 10, 5.0
SETTINGS = ("train.steps=1", "train.lr=0.02", "train.lr_token=0.3", "prior.count=0", "general.k=2")
DRAWING = ("sample.sampler=ddim", f"sample.steps={STEPS}", f"sample.guidance={GUIDANCE}")


def engram(program, home, *words):
    done = subprocess.run([program, *words], env=os.environ | {
        "ENGRAM_HOME": str(home), "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"},
        capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"engram {' '.join(words[:2])}: {done.stderr.strip() or done.stdout.strip()}")


def said(settings):
    return [word for s in settings for word in ("--set", s)]


def learn_and_export(program, model, folder):
    """folder/pets and folder/base drawn by Engram, folder/export for others."""
    with tempfile.TemporaryDirectory(prefix="engram.") as home:  # short: a socket's path has 107 bytes
        def run(*words):
            engram(program, home, *words)

        run("up", "--ranks", "1")
        try:
            for lineage in ("pets", "base"):
                run("lineage", "create", lineage, "--base", str(model))
            run("learn", "--lineage", "pets", "--wait", "--no-evaluate", *said(SETTINGS), str(ROOT / "tests/cluster/photos/rex"))
            for lineage, prompt in (("pets", PROMPT), ("base", PROMPT.replace("<rex> ", ""))):
                run("sample", "--lineage", lineage, "--seed", str(SEED), *said(DRAWING), "--out", str(folder / lineage), prompt)
            run("export", "--lineage", "pets", "--to", "diffusers,single-file,embeddings", "--out", str(folder / "export"))
        finally:
            engram(program, home, "down", "--now")


def rows(program, model_name):
    folder = HOME / "work" / f"export-{model_name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = location(model_name)
    learn_and_export(program, model, folder)
    here = Path(__file__).resolve().parent
    asked = json.dumps({"prompt": PROMPT, "seed": SEED, "steps": STEPS, "guidance": GUIDANCE,
                        "base": str(model)})
    done = subprocess.run([sys.executable, here / "pictures.py", folder, asked], check=True, stdout=subprocess.PIPE, text=True)
    shutil.rmtree(folder / "export")
    return [(r["what"], r["mean"], r["most"]) for r in json.loads(done.stdout)]
