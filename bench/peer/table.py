"""The peer table as text (Markdown, so that it can go into docs/speed.md as it is)."""


HEAD = ("| row | ours | best | PyTorch | best | its layout | rounds | ratio | bar | GFLOP/s (of multiply-adds) | activations MB: "
        "planned / grown | PyTorch: grown | highest RSS MB (no map) | PyTorch's | apart | others' load |")


def seconds(t):
    return f"{1e3 * t:.1f} ms" if t < 1 else f"{t:.2f} s"


def megabytes(n):
    return "-" if n is None else f"{n / 1e6:.0f}" if n >= 1e7 else f"{n / 1e6:.1f}"


def peak(found):
    """GFLOP/s by the direct algorithms' count, and its share of the multiply-add ceiling."""
    flops = found["facts"]["engram"]["flops"]
    if not flops:
        return "-"
    rate = flops / 1e9 / found["median"]["engram"]
    return f"{rate:.0f} ({100 * rate / found['ceilings']['fma_256']:.0f} %)" if found["ceilings"]["fma_256"] else f"{rate:.0f}"


def resident(memory):
    return f"{megabytes(memory['highest'])} ({megabytes(memory['own'])})"


def verdict(found):
    if found["difference"] > found["allowed"]:
        return "**results differ**"
    if found["bar"] is None:
        return "-"
    return f"{found['bar']:g}: {'met' if found['ratio'] >= found['bar'] else '**missed**'}"


def line(found):
    memory, facts = found["memory"], found["facts"]
    planned = facts["engram"]["planned"]
    return (f"| {found['title']} | {seconds(found['median']['engram'])} | {seconds(found['least']['engram'])} | "
            f"{seconds(found['median']['torch'])} | {seconds(found['least']['torch'])} | {facts['torch'].get('layout', '-')} | "
            f"{len(found['times']['torch'])} | **{found['ratio']:.2f}** | {verdict(found)} | {peak(found)} | "
            f"{megabytes(planned or None)} / {megabytes(memory['engram']['grown'])} | "
            f"{megabytes(memory['torch']['grown'])} | {resident(memory['engram'])} | "
            f"{resident(memory['torch'])} | {found['difference']:.0e} | {100 * max(found['load']):.0f} % |")


def circumstances(found):
    c, m = found["ceilings"], found["machine"]
    return (f"{found['date'][:10]}. {m['cpu']}, {m['cores']} cores, {found['threads']} threads each; Engram {found['engram']}, PyTorch "
            f"{found['facts']['torch']['torch']}, diffusers {found['facts']['torch']['diffusers']}. Ceilings in the same run: multiply-adds "
            f"{c['fma_256']:.0f} GFLOP/s at 256 bits" + (f", {c['fma_512']:.0f} at 512" if c["fma_512"] else "") +
            f"; OpenBLAS sgemm {c['sgemm']:.0f}; copying {c['copy']:.1f} GB/s.")


def text(rows, results):
    found = [results["rows"][r["name"]] for r in rows if r["name"] in results["rows"]]
    absent = [r["name"] for r in rows if r["name"] not in results["rows"]]
    lines = []
    for about in dict.fromkeys(circumstances(f) for f in found):
        lines += [f"\n{about}\n", HEAD, "|" + "---|" * (HEAD.count("|") - 1)]
        lines += [line(f) for f in found if circumstances(f) == about]
    if absent:
        lines.append(f"\nNot measured: {', '.join(absent)}.")
    return "\n".join(lines)
