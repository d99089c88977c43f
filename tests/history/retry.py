"""Jobs that were asked to run again, or cancelled after they had failed, may end more than once, so what their states mean depends on the order. For each of them alone the
orders are searched: all states that it can be in, with the requests under way that have had their effect, from answer to answer.

    op = check(job, operations)     # None, or the operation that fits no order
"""

from collections import defaultdict, namedtuple

from rules import ENDED

LIVE, WAITS = "live", "failed, and its lineage waits"
# What an operation says of one job: commit is None where it does not say, else whether there is one.
View = namedtuple("View", "op ask answer state commit")


def all_views(jobs, operations):
    """{id: [View]} of the jobs named, in the order of the calls."""
    views = defaultdict(list)
    for op in operations:
        if op.ask in ("cancel", "retry") and op.job in jobs and (op.answer in (None, "done") or op.code == "stale" or op.silent):
            views[op.job].append(View(op, op.ask, None if op.silent else op.answer, None, None))
        elif op.ask in ("job", "watch") and op.job in jobs and op.answer in ("job_info", "events"):
            has = bool(op.commit) if op.ask == "job" else None
            views[op.job].append(View(op, "see", op.answer, op.state, has))
        elif op.ask == "queue" and op.answer == "jobs":
            for row in op.rows:
                if row["job"] in jobs:
                    has = bool(row["commit"]) if "commit" in row else None
                    views[row["job"]].append(View(op, "see", op.answer, row["state"], has))
    return views


def by_itself(state, is_learn):
    """What it can become unseen. Only what lives commits, and what learns is not done before. A lineage may wait for a learn job
    that failed, until somebody retries or cancels it or says that it waits no more."""
    phase, commit = state
    yield state
    if phase == WAITS:
        yield "failed", commit
    if phase != LIVE:
        return
    for has in {commit, is_learn or commit}:
        yield LIVE, has
        yield "failed", has
        if is_learn and not has:
            yield WAITS, has
        if has or not is_learn:
            yield "done", has


def after(view, state):
    """The state after the operation, None if its answer does not fit."""
    phase, commit = state
    if view.ask == "see":
        seen = view.state if view.state in ENDED else LIVE
        fits = seen == ("failed" if phase == WAITS else phase) and view.commit in (None, commit)
        return state if fits else None
    final = ("done", "failed") if view.ask == "cancel" else ("done", "failed", "cancelled")
    if view.answer == "refused":
        return state if phase in final else None
    if view.ask == "cancel":
        takes = phase not in final
    else:
        takes = phase != "done"
    if takes:
        return ("cancelled" if view.ask == "cancel" else LIVE), commit
    return state if view.answer is None else None


def check(job, views):
    is_learn = job.kind in ("learn", None)
    if job.kind != "learn":
        views = [v._replace(commit=None) for v in views]
    moments = sorted([(v.op.call, 0, i) for i, v in enumerate(views)] +
                     [(v.op.back, 1, i) for i, v in enumerate(views) if v.answer is not None])
    # (state, requests under way that have had their effect)
    now = {(s, frozenset()) for s in by_itself((LIVE, False), is_learn)}
    under_way = set()
    for _, is_back, i in moments:
        if not is_back:
            under_way.add(i)
            continue
        now = {(s, done - {i}) for s, done in reach(now, under_way, views, is_learn) if i in done}
        under_way.discard(i)
        if not now:
            return views[i].op
    return None


def reach(now, under_way, views, is_learn):
    """Everything that can be so when some of the requests under way have had their effect."""
    found, new = set(now), list(now)
    while new:
        state, done = new.pop()
        for i in under_way - done:
            then = after(views[i], state)
            for s in by_itself(then, is_learn) if then else ():
                c = (s, done | {i})
                if c not in found:
                    found.add(c)
                    new.append(c)
    return found
