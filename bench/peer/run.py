"""Engram beside PyTorch, row by row: python bench/peer/run.py [--missing] [--threads N] [--rounds N] [ROW...]

Both halves of a row are made ready, then run in turns; only the one that is timed is not stopped. A row's figures go to
bench/results/peer.json as soon as it is done: a run may be interrupted, --missing measures what is not there yet. The
table of all rows is printed at the end.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import machine
import table
from rows import FEWEST, ROUNDS, ROWS
from side import Side

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ROUND_SECONDS, RUNS_MOST = 0.5, 50
PROGRAMS = ROOT / os.environ.get("ENGRAM_BENCH", "build/plain/bench/peer")


def first_run(side, memory):
    """The run that touches all memory: what it adds to the resident set, and its seconds."""
    memory["highest"] = side.memory()["VmHWM"]
    side.reset_highest()
    before = side.memory()["VmRSS"]
    seconds = float(side.ask("run 1"))
    memory["grown"] = side.memory()["VmHWM"] - before
    return seconds


def runs_of_a_round(seconds):
    """One, but of quick work as many as take some time: a step of training follows a step, not a pause in which the other
    side has emptied the caches."""
    return max(1, min(RUNS_MOST, round(ROUND_SECONDS / seconds)))


def timed_rounds(sides, budget, rounds, cpus, runs):
    """Rounds until there are enough, or FEWEST when the row's budget of seconds is used up. Seconds of one run."""
    times, load, start = {s.name: [] for s in sides}, [], time.monotonic()
    for i in range(rounds):
        if i >= FEWEST and time.monotonic() - start > budget:
            break
        load.append(machine.wait_for_idle(cpus))
        for s in sides if i % 2 == 0 else sides[::-1]:
            times[s.name].append(float(s.ask(f"run {runs}")) / runs)
    return times, load


def difference(row, folder):
    """Worst relative L2 error of ours against theirs over the results; of neurons the share of bits that differ."""
    import numpy
    from safetensors.numpy import load_file
    ours, theirs = load_file(folder / "engram.safetensors"), load_file(folder / "torch.safetensors")
    if row["kind"] == "score":
        return sum(int((ours[n] != theirs[n]).sum()) for n in theirs) / sum(t.size for t in theirs.values())
    worst = 0.0
    for n, t in theirs.items():
        t = t.astype(numpy.float64)
        worst = max(worst, float(numpy.linalg.norm(ours[n].astype(numpy.float64).reshape(t.shape) - t) / numpy.linalg.norm(t)))
    return worst


def measure(row, folder, threads, rounds, cpus, limit, log):
    (folder / "row.json").write_text(json.dumps(row))
    model = ROOT / row["model"]
    openmp, deadline = {"OMP_NUM_THREADS": str(threads)}, time.monotonic() + limit
    sides = [Side("torch", [sys.executable, HERE / "torch_side.py", folder / "row.json", folder, str(threads)], cpus, openmp, log,
                  deadline)]
    try:
        facts = {"torch": json.loads(sides[0].wait_until_ready())}
        sides.insert(0, Side("engram", [PROGRAMS / "engram_side", row["kind"], model, folder / "in.safetensors",
                                        folder / "options.json", str(threads)], cpus, openmp, log, deadline))
        facts["engram"] = json.loads(sides[0].wait_until_ready())
        memory = {s.name: {} for s in sides}
        first = {s.name: first_run(s, memory[s.name]) for s in sides}
        for s in sides:
            s.ask(f"write {folder / s.name}.safetensors")
        apart = difference(row, folder)
        runs = runs_of_a_round(max(first.values()))
        times, load = timed_rounds(sides, row["budget"], rounds, cpus, runs)
        for s in sides:
            now = s.memory()
            memory[s.name] |= {"highest": max(memory[s.name]["highest"], now["VmHWM"]), "own": now["RssAnon"]}
        memory["torch"] |= {k: facts["torch"][k] for k in ("grown", "highest")}  # of its best layout, tried before
    finally:
        for s in sides:
            s.end()
    median = {n: statistics.median(t) for n, t in times.items()}
    return {"title": row["title"], "bar": row["bar"], "allowed": row["allowed"], "difference": apart, "threads": threads, "runs": runs,
            "first": first, "times": times, "median": median, "least": {n: min(t) for n, t in times.items()},
            "ratio": median["torch"] / median["engram"], "memory": memory, "facts": facts, "load": load}


def load_results(path):
    return json.loads(path.read_text()) if path.exists() else {"rows": {}}


def save_results(results, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(results, indent=1) + "\n")
    new.replace(path)


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("row", nargs="*", help="all without a name, or with the name all")
    p.add_argument("--missing", action="store_true", help="only rows without figures of this source")
    p.add_argument("--table", action="store_true", help="print the table of what is there, measure nothing")
    p.add_argument("--threads", type=int, default=min(2, os.cpu_count()))
    p.add_argument("--rounds", type=int, default=ROUNDS)
    p.add_argument("--results", type=Path, default=ROOT / "bench/results/peer.json")
    p.add_argument("--limit", type=float, default=300, help="seconds after which a row is given up (default: %(default)s)")
    p.add_argument("--total", type=float, default=900, help="seconds after which no further row is begun (default: %(default)s)")
    o = p.parse_args()
    o.row = [] if o.row == ["all"] else o.row
    return o


def main():
    o = options()
    unknown = set(o.row) - {r["name"] for r in ROWS}
    if unknown:
        sys.exit(f"no row {' '.join(sorted(unknown))}; there are {' '.join(r['name'] for r in ROWS)}")
    results, source, failed = load_results(o.results), machine.version(ROOT), 0
    chosen = [r for r in ROWS if (not o.row or r["name"] in o.row)
              and not (o.missing and results["rows"].get(r["name"], {}).get("engram") == source)]
    if chosen and not o.table:
        if any(r["model"].startswith("build/") for r in chosen):
            subprocess.run([sys.executable, ROOT / "tests/full_size/checkpoints.py", "sd15"], check=True)
        cpus = set(sorted(os.sched_getaffinity(0))[:o.threads])
        print(f"measuring {len(chosen)} rows with {o.threads} threads", flush=True)
        ceilings = machine.ceilings(PROGRAMS / "ceilings", o.threads, cpus)
        about = {"engram": source, "machine": machine.describe(), "ceilings": ceilings}
    begun = time.monotonic()
    for row in chosen if not o.table else []:
        if time.monotonic() - begun > o.total:
            print(f"  {row['name']} and what follows: no time left; --missing measures them")
            break
        print(f"  {row['name']} ...", end="", flush=True)
        with tempfile.TemporaryDirectory(prefix="engram-peer-") as folder, open(Path(folder) / "log", "w+") as log:
            try:
                found = measure(row, Path(folder), o.threads, o.rounds, cpus, o.limit, log)
            except (RuntimeError, OSError, ValueError, KeyError) as problem:
                log.seek(0)
                print(f" FAILED: {problem}\n{log.read()[-2000:]}", flush=True)
                failed += 1
                continue
        print(f" {found['median']['engram']:.3f} s, PyTorch {found['median']['torch']:.3f} s, {found['ratio']:.2f} times", flush=True)
        results["rows"][row["name"]] = found | about | {"date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")}
        save_results(results, o.results)
    print(table.text(ROWS, results))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
