"""From what was wanted and what came to rows of the table: (what, relative L2 error, largest absolute difference)."""
import numpy as np


def error(got, want):
    """(|got - want| / |want|, max |got - want|), in float64; the relative one is absolute where nothing was wanted."""
    got, want = got.astype(np.float64), want.astype(np.float64)
    if got.shape != want.shape:
        return float("inf"), float("inf")
    difference, size = np.linalg.norm(got - want), np.linalg.norm(want)
    relative = difference / size if size else difference
    return float(relative if np.isfinite(relative) else np.inf), float(np.abs(got - want).max(initial=0))


def worst(errors):
    relative, absolute = zip(*errors)
    return max(relative), max(absolute)


def plain(c, given, want, got):
    return [(n, *error(got[n], want[n])) for n in want]


def gradients(c, given, want, got):
    kv = [n for n in want if n.startswith("grad.") and n != "grad.token_row"]
    return [("loss", *error(got["loss"], want["loss"])),
            (f"K/V gradients, worst of {len(kv)} matrices", *worst([error(got[n], want[n]) for n in kv])),
            ("token row's gradient", *error(got["grad.token_row"], want["grad.token_row"]))]


def trajectory(c, given, want, got):
    steps = [error(g, w) for g, w in zip(got["latents"], want["latents"])]
    return [(f"latents, worst of {len(steps) - 1} steps", *worst(steps)), ("latents at the end", *steps[-1])]


def alpha_bar(t):
    betas = np.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000) ** 2
    return np.cumprod(1 - betas)[t]


def guided(c, given, want, got):
    """The prediction that the first of two DDIM steps (501 -> 1) was made with, taken back out of its latents."""
    now, then = alpha_bar(501), alpha_bar(1)
    factor = np.sqrt(1 - then) - np.sqrt(then * (1 - now) / now)

    def prediction(latents):
        return (latents[1].astype(np.float64) - np.sqrt(then / now) * latents[0]) / factor

    return [("guided prediction", *error(prediction(got["latents"]), prediction(want["latents"])))]


def masks(c, given, want, got):
    """Bits that differ. Float32 states cannot order scores that float64 tells apart in the eighth digit."""
    rows = []
    for kind, label in (("mask.", "bits that differ, prompts"), ("general.", "bits that differ, AND of prompts")):
        names = [n for n in want if n.startswith(kind)]
        wrong, bits = sum(int((got[n] != want[n]).sum()) for n in names), sum(want[n].size for n in names)
        rows.append((f"{label} ({wrong} of {bits})", wrong / bits, float(wrong > 0)))
    return rows


def step(c, given, want, got):
    """Weights and row by how far they moved: an error of the change over the change."""
    rows = [(n, *error(got[n], want[n])) for n in ("loss", "loss_per_sample", "grad_norm")]
    row = [t["token_row"].astype(np.float64) - want["old.token_row"] for t in (got, want)]
    rows.append(("change of the token's row", *error(*row)))
    moved, stray = [[], []], 0
    for n in (n for n in want if n.startswith("weight.")):
        name = n[len("weight."):]
        mask, old = given[f"mask.{name}"].astype(bool), want[f"old.{name}"]
        for t, out in zip((got, want), moved):
            out.append(t[n].astype(np.float64)[mask] - old[mask])
        stray += int((got[n][~mask] != old[~mask]).sum())
    rows.append(("change of the masked weights", *error(*map(np.concatenate, moved))))
    rows.append(("weights outside the mask that moved", float(stray), float(stray)))
    return rows
