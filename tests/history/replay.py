"""The other way round, to be sure: an order that was found is played through a coordinator of dictionaries, one thing after the
other, and every answer must be the one that it would have given.

    trouble = replay(things, retried)       # None, or the first operation whose answer is another one
"""

from bisect import bisect_right

from rules import ENDED, SUBMITS, Happening


class Coordinator:
    def __init__(self, retried):
        self.retried = retried          # jobs whose states are checked elsewhere
        self.keys, self.jobs, self.lineages, self.chains = {}, {}, {}, {}
        self.newest, self.counted = {}, {}
        self.last_job = self.last_epoch = -1

    # ---- what happens

    def happen(self, h):
        if h.what == "born":
            fits = h.job > self.last_job and (h.key is None or h.key not in self.keys)
            self.last_job = h.job
            self.keys[h.key] = h.job
            self.jobs[h.job] = {"state": "live", "commit": None}
        elif h.what == "made":
            fits = h.lineage not in self.lineages
            self.lineages[h.lineage] = h.key
        elif h.what == "committed":
            chain = self.chains.setdefault(h.lineage, [])
            fits = self.jobs[h.job]["commit"] is None and (h.job in self.retried or self.jobs[h.job]["state"] == "live")
            fits = fits and (h.number is None or not chain or chain[-1][0] < h.number)
            if h.number is not None:
                chain.append((h.number, h.commit))
            self.jobs[h.job]["commit"] = h.commit
            self.counted.setdefault((h.job, "train"), True)
        elif h.what == "ended":
            fits = self.jobs[h.job]["state"] == "live"
            self.jobs[h.job]["state"] = h.word or "done or failed"
        elif h.what == "granted":
            stage, _, _, epoch = h.word.split()
            fits = h.job in self.jobs and int(epoch) > self.last_epoch and (h.job, stage) not in self.counted
            self.last_epoch = self.newest[h.job, stage] = int(epoch)
        else:
            fits = (h.job, h.word) not in self.counted
            self.counted[h.job, h.word] = True
        return fits

    # ---- what it would answer

    def state_fits(self, id, state):
        if id in self.retried:
            return True
        now = self.jobs[id]["state"]
        if now == "done or failed":
            return state in ("done", "failed")
        return now == (state if state in ENDED else "live")

    def row_fits(self, row, is_learn):
        id = row["job"]
        if id not in self.jobs or not self.state_fits(id, row["state"]):
            return False
        return not is_learn(id) or "commit" not in row or (row["commit"] or None) == self.jobs[id]["commit"]

    def answers(self, op, is_learn):
        there = op.job in self.jobs
        if op.ask in SUBMITS:
            return op.answer != "accepted" or self.keys.get(op.key) == op.job
        if op.ask == "lineage_create":
            return op.answer != "done" or self.lineages.get(op.lineage) == op.key
        if op.ask == "cancel":
            if op.answer == "done":
                return there and self.state_fits(op.job, "cancelled")
            return op.code != "stale" or there and (self.state_fits(op.job, "done") or self.state_fits(op.job, "failed"))
        if op.ask in ("job", "watch") and not op.refused:
            row = {"job": op.job, "state": op.state}
            if op.ask == "job":
                row["commit"] = op.commit
            return self.row_fits(row, is_learn)
        if op.ask == "queue" and op.answer == "jobs":
            return all(self.row_fits(row, is_learn) for row in op.rows)
        if op.ask == "log" and op.answer == "commits":
            chain = self.chains.get(op.lineage, [])
            first = bisect_right(chain, (op.total, "g"))
            return first == len(chain) and all((row["number"], row["commit"]) in chain[bisect_right(
                chain, (row["number"], "")):][:1] for row in op.rows)
        if op.ask == "ready" and op.answer == "stage":
            return self.newest.get((op.job, op.stage)) is not None and self.newest[op.job, op.stage] >= op.epoch
        if op.ask == "result" and op.answer == "done":
            return (op.job, op.stage) in self.counted or (op.job in self.retried and op.stage == "score")
        return True


def replay(things, facts):
    """things: operations and happenings in order. None, or the first that does not fit."""
    c = Coordinator(facts.again)

    def is_learn(id):
        return facts.jobs[id].kind == "learn" and facts.jobs[id].committed is not None

    for thing in things:
        fits = c.happen(thing) if isinstance(thing, Happening) else c.answers(thing, is_learn)
        if not fits:
            return thing
    return None
