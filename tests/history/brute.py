#!/usr/bin/env python3
"""Is the checker right? For tiny histories all orders can be tried. This tries them, with a coordinator of its own that knows none of
the checker's rules, on random histories of which half are spoiled, and counts where the two differ.

    brute.py SEED HISTORIES [retry]

With `retry` jobs are retried as well. What a retried job's states mean is looked at for each job alone, so that the checker may
overlook something there; it must not see what is not.
"""

import random
import sys
from types import SimpleNamespace

import check
import history
import simulate
from rules import ENDED, SUBMITS


def explain(operations):
    """Whether some order explains them all; None: too many to try."""
    ops = list(operations)
    everything = world_of(ops)
    start = SimpleNamespace(keys={}, jobs={}, chains={}, newest={}, counted={}, epoch=-1)
    seen, stack = set(), [(frozenset(range(len(ops))), start)]
    while stack:
        left, s = stack.pop()
        if not any(ops[i].answer is not None for i in left):
            return True
        mark = (left, freeze(s))
        if mark in seen:
            continue
        if len(seen) > 50_000:
            return None
        seen.add(mark)
        first_back = min(ops[i].back for i in left)
        stack += [(left, t) for t in by_itself(s, everything)]
        for i in left:
            if ops[i].call <= first_back:
                stack += [(left - {i}, t) for t in outcomes(ops[i], s, everything)]
    return False


def world_of(ops):
    """What can be made of this history at all: ids, epochs, commits that somebody saw."""
    w = SimpleNamespace(ids=set(), epochs=set(), commits={}, counting=set(), retried=set())
    for op in ops:
        if op.ask == "retry":
            w.retried.add(op.job)
        if op.job is not None and not (op.refused and op.code == "not-found"):
            w.ids.add(op.job)
        if op.ask == "ready" and op.answer == "stage":
            w.epochs.add((op.job, op.stage, op.epoch, op.group))
        if op.commit:
            w.commits.setdefault(op.job, set()).add(op.commit)
        if op.ask == "result" and op.answer == "done" and op.stage == "train":
            w.counting.add(op.job)
        for row in op.rows or ():
            if "job" in row:
                w.ids.add(row["job"])
                if row.get("commit"):
                    w.commits.setdefault(row["job"], set()).add(row["commit"])
    return w


def freeze(s):
    return (tuple(sorted(s.keys.items())), tuple(sorted((k, tuple(v.values())) for k, v in s.jobs.items())),
            tuple(sorted((k, tuple(v)) for k, v in s.chains.items())), tuple(sorted(s.newest.items())),
            tuple(sorted(s.counted.items())), s.epoch)


def copy(s):
    return SimpleNamespace(keys=dict(s.keys), jobs={k: dict(v) for k, v in s.jobs.items()},
                           chains={k: list(v) for k, v in s.chains.items()}, newest=dict(s.newest),
                           counted=dict(s.counted), epoch=s.epoch)


def commit(s, id, hash, w):
    """None, or s with it."""
    j, t = s.jobs[id], copy(s)
    chain = t.chains.setdefault(j["lineage"], [])
    if j["kind"] != "learn" or j["commit"] or j["state"] != "live" or any(
            other > id for _, other in chain if id not in w.retried and other not in w.retried):
        return None
    chain.append((hash, id))
    t.jobs[id]["commit"] = hash
    return t


def by_itself(s, w):
    for id, j in s.jobs.items():
        if j["state"] == "waits" or j["state"] == "live" and j["kind"] == "learn" and not j["commit"]:
            t = copy(s)
            t.jobs[id]["state"] = "failed" if j["state"] == "waits" else "waits"
            yield t
        if j["state"] != "live":
            continue
        for state in ("done", "failed"):
            if state == "failed" or j["kind"] != "learn" or j["commit"]:
                t = copy(s)
                t.jobs[id]["state"] = state
                yield t
        if id not in w.counting:
            for hash in w.commits.get(id, set()) | {"unseen"}:
                t = commit(s, id, hash, w)
                if t:
                    yield t


def row_fits(s, row):
    j = s.jobs.get(row["job"])
    if not j or (row["state"] if row["state"] in ENDED else "live") != ("failed" if j["state"] == "waits" else j["state"]):
        return False
    return "commit" not in row or j["kind"] != "learn" or (row["commit"] or None) == j["commit"]


def outcomes(op, s, w):
    """All that can have come of op when its moment is now, given its answer."""
    if op.ask in SUBMITS:
        yield from submitted(op, s, w)
    elif op.ask == "cancel":
        j = s.jobs.get(op.job)
        if (op.answer is None or op.code == "stale" and j and j["state"] in ("done", "failed") or
                op.code == "not-found" and not j):
            yield s
        if op.answer in (None, "done") and j and j["state"] not in ("done", "failed"):
            t = copy(s)
            t.jobs[op.job]["state"] = "cancelled"
            yield t
    elif op.ask == "ready":
        yield from leased(op, s, w)
    elif op.ask == "retry":
        yield from retried(op, s)
    elif op.ask == "result":
        yield from resulted(op, s, w)
    elif op.answer is None or (answered(op, s)):
        yield s


def submitted(op, s, w):
    if op.key in s.keys:
        if op.answer is None or op.answer == "accepted" and s.keys[op.key] == op.job:
            yield s
        return
    if op.answer is None:
        yield s
    for id in ([op.job] if op.answer == "accepted" else w.ids if op.answer is None else ()):
        if id > max(s.jobs, default=-1):
            t = copy(s)
            t.keys[op.key] = id
            t.jobs[id] = {"kind": op.ask, "lineage": op.lineage, "state": "live", "commit": None}
            yield t


def leased(op, s, w):
    if op.answer != "stage":
        yield s     # idle, or no answer and nothing given out
    for job, stage, epoch, group in w.epochs:
        if group != op.group or (op.answer is not None and (op.answer != "stage" or epoch != op.epoch)):
            continue
        if op.answer == "stage" and (job, stage) != (op.job, op.stage):
            continue
        j = s.jobs.get(job)
        if s.newest.get((job, stage)) == (epoch, group) and (job, stage) not in s.counted and \
                j["state"] == "live" and not (stage == "train" and j["commit"]):
            yield s
        elif j and j["state"] == "live" and epoch > s.epoch and (job, stage) not in s.counted and \
                (stage != "train" or j["kind"] == "learn" and not j["commit"]):
            t = copy(s)
            t.epoch, t.newest[job, stage] = epoch, (epoch, group)
            yield t


def retried(op, s):
    j = s.jobs.get(op.job)
    if op.answer is None or op.code == "stale" and j and j["state"] not in ("live", "waits") or op.code == "not-found" and not j:
        yield s
    if op.answer in (None, "done") and j and j["state"] != "done":
        t = copy(s)
        t.jobs[op.job]["state"] = "live"
        yield t


def resulted(op, s, w):
    at, j = (op.job, op.stage), s.jobs.get(op.job)
    if s.counted.get(at) == op.epoch:
        if op.answer in (None, "done"):
            yield s
        return
    if op.answer in (None, "give_up"):
        yield s
    if op.answer == "give_up" or not j or j["state"] != "live" or at in s.counted or s.newest.get(at, (None,))[0] != op.epoch:
        return
    t = commit(s, op.job, op.commit, w) if op.stage == "train" else copy(s)
    if t:
        t.counted[at] = op.epoch
        yield t


def answered(op, s):
    if op.ask in ("job", "watch"):
        if op.refused:
            return op.code != "not-found" or op.job not in s.jobs
        row = {"job": op.job, "state": op.state}
        return row_fits(s, {**row, "commit": op.commit} if op.ask == "job" else row)
    if op.ask == "queue":
        return all(row_fits(s, row) for row in op.rows)
    if op.ask == "log":
        chain = s.chains.get(op.lineage, [])
        return op.total == len(chain) and all(
            chain[row["number"] - 1] == (row["commit"], row["job"]) and
            row["parent"] == (chain[row["number"] - 2][0] if row["number"] > 1 else simulate.NOTHING)
            for row in op.rows if row["number"] <= len(chain)) and all(row["number"] <= len(chain) for row in op.rows)
    if op.ask == "heartbeat" and op.answer == "go_on":
        j = s.jobs.get(op.job)
        return bool(j) and j["state"] == "live" and s.newest.get((op.job, op.stage), (None,))[0] == op.epoch and \
            (op.job, op.stage) not in s.counted and not (op.stage == "train" and j["commit"])
    return True


# ---- histories to try


def spoil(lines, dice):
    """One answer becomes another one that could have been given, or two change places in time."""
    line = dice.choice(lines)
    if dice.random() < 0.3:
        other = dice.choice(lines)
        for name in ("call", "back"):
            line[name], other[name] = other[name], line[name]
        return
    if line.get("answer") in ("job_info", "events"):
        line["state"] = dice.choice(("queued", "running", "done", "failed", "cancelled"))
        if "commit" in line:
            line["commit"] = dice.choice((None, None, "c" * 64, line["commit"]))
        if dice.random() < 0.2:
            line.update(answer="refused", code="not-found")
    elif line.get("answer") == "accepted":
        line["job"] = dice.randint(1, 3)
    elif line["ask"] in ("cancel", "retry") and line.get("answer"):
        line.update(answer="refused", code=dice.choice(("stale", "not-found")))
    elif line.get("answer") == "stage":
        line["epoch"] = dice.randint(1, 6)
    elif line["ask"] == "heartbeat" and line.get("answer"):
        line["answer"] = "go_on" if line["answer"] == "give_up" else "give_up"
    elif line["ask"] == "result" and line.get("answer"):
        line["answer"] = dice.choice(("done", "give_up"))


def a_history(dice, retries):
    n = dice.randint(3, 9)
    lines = [line for line in simulate.history(dice.getrandbits(32), n, clients=dice.randint(1, 3), groups=dice.randint(0, 2),
                                               lost=0.15, lineages=1, page=100, retries=retries) if line["ask"] != "lineage_list"]
    if lines and dice.random() < 0.6:
        for _ in range(dice.randint(1, 2)):
            spoil(lines, dice)
    ops = []
    for i, line in enumerate(lines):
        if line["back"] is not None and line["back"] < line["call"]:
            return None
        ops.append(history.Operation(f"{i + 1}", line))
    return sorted(ops, key=lambda op: op.call)


def main():
    dice = random.Random(int(sys.argv[1]))
    retries = "retry" in sys.argv
    tried = good = differ = missed = 0
    while tried < int(sys.argv[2]):
        ops = a_history(dice, 0.25 if retries else 0)
        if not ops:
            continue
        truth = explain(ops)
        if truth is None:
            continue
        tried += 1
        order, wrong = check.decide(ops)
        good += truth
        if retries and not truth and wrong is None:
            missed += 1
        elif truth != (wrong is None):
            differ += 1
            print(f"# {'an order explains these' if truth else 'no order explains these'}, and the checker says otherwise:")
            for op in ops:
                print(f"#   {op}")
            for sentence, _ in wrong or ():
                print(f"#   {sentence}")
    print(f"{tried} histories, {good} of them right; the checker differs in {differ}" + f" and overlooks {missed}" * retries)
    return differ > 0


if __name__ == "__main__":
    sys.exit(main())
