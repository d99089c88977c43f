"""What answers mean: operations become points, things that happened unseen become points, and each answer says which of
those come before it and which after. README.md has the same rules in words.

    facts = Facts(operations)           # who is who; what contradicts itself is in facts.wrong
    order = facts.order()               # what is left to decide; its points are operations and Happenings
"""

from bisect import bisect_right
from collections import defaultdict

from history import NEVER
from order import Order

SUBMITS = frozenset(("learn", "sample", "evaluate"))
ENDED = frozenset(("done", "failed", "cancelled"))
NOTHING = "0" * 64


class Happening:
    """Something that happened unseen, at one moment."""

    __slots__ = ("what", "job", "lineage", "number", "commit", "word", "key", "point")

    def __init__(self, what, job=None, lineage=None, number=None, commit=None, word=None, key=None):
        self.what, self.job, self.lineage, self.number = what, job, lineage, number
        self.commit, self.word, self.key, self.point = commit, word, key, None

    def __str__(self):
        said = [f"{f}={getattr(self, f)}" for f in ("job", "lineage", "number", "commit", "word", "key")
                if getattr(self, f) is not None]
        return f"({self.what} {' '.join(said)})"


class Job:
    def __init__(self, id):
        self.id = id
        self.kind = self.lineage = self.token = self.key = self.user = None
        self.commit = self.number = None
        self.ends = []              # (word, an operation that saw it), different words
        self.ended_bare = None      # an operation that saw it ended without a commit
        self.seen = None            # the first operation that saw it
        self.stale = None           # an operation that heard that it had ended, and not as cancelled
        self.over = None            # one that heard that it had ended
        self.born = self.committed = self.finished = None


class Lease:
    def __init__(self, epoch, job, stage, group, by, call):
        self.epoch, self.job, self.stage, self.group = epoch, job, stage, group
        self.by, self.call = by, call   # who heard of it first, and since when it may have been given
        self.granted = None


class Facts:
    def __init__(self, operations, strangers=False):
        self.operations = operations
        self.strangers = strangers      # others, who keep no history, submit too
        self.wrong = []                 # (sentence, operations)
        self.jobs, self.lineages, self.chains = {}, {}, defaultdict(dict)
        self.keys = {}                  # key -> (job, body, operation)
        self.asked = defaultdict(list)  # key -> submits that may have made a job
        self.cancels, self.retries = defaultdict(list), defaultdict(list)
        self.leases, self.accepted, self.results = {}, {}, {}
        self.held = []                  # operations by which somebody holds a lease
        self.results_heard = []
        self.unheard = {}               # group -> its first `ready` without an answer; that may have come late
        for op in operations:
            learn = LEARN.get(op.ask)
            if learn:
                learn(self, op)
        # Jobs that may end in more than one way: retried, or cancelled after they had failed and their lineage waited for them.
        self.again = set(self.retries) | {j.id for j in self.jobs.values() if j.id in self.cancels and j.kind != "sample" and
                                          {word for word, _ in j.ends} == {"failed", "cancelled"}}
        self._explain_jobs()
        self._check_jobs()
        self._check_chains()
        self._check_leases()

    def say(self, sentence, *operations):
        self.wrong.append((sentence, operations))

    def job(self, id, op):
        if id not in self.jobs:
            self.jobs[id] = Job(id)
        j = self.jobs[id]
        if j.seen is None or op.back < j.seen.back:
            j.seen = op
        return j

    def settle(self, thing, name, value, op, what):
        """A fact that may be said once."""
        if value is None:
            return
        old = getattr(thing, name)
        if old is None:
            setattr(thing, name, value)
        elif old != value:
            self.say(f"{what}: {name} is {old} and also {value}", op)

    # ---- what each answer tells

    def learn_submit(self, op):
        if op.silent:
            self.asked[op.key].append(op)
        if op.answer != "accepted":
            return
        self.asked[op.key].append(op)
        j = self.job(op.job, op)
        what = f"job {op.job}"
        if op.key in self.keys and self.keys[op.key][0] != op.job:
            self.say(f"one request made two jobs, {self.keys[op.key][0]} and {op.job}", self.keys[op.key][2], op)
        elif op.key in self.keys and self.keys[op.key][1] != op.body:
            self.say(f"key {op.key} was accepted with two contents", self.keys[op.key][2], op)
        self.keys.setdefault(op.key, (op.job, op.body, op))
        if j.key is not None and j.key != op.key:
            self.say(f"two requests made one job, {op.job}", self.keys[j.key][2], op)
        j.key = op.key
        j.user = op.user
        self.settle(j, "kind", op.ask, op, what)
        self.settle(j, "lineage", op.lineage, op, what)
        self.settle(j, "token", op.token, op, what)

    def learn_create(self, op):
        if op.refused and not op.silent:
            return
        made = self.lineages.setdefault(op.lineage, {"key": None, "call": op.call, "user": op.user, "by": None, "seen": False})
        made["call"] = min(made["call"], op.call)
        if op.answer != "done":
            return
        if made["key"] not in (None, op.key):
            self.say(f"two requests made one lineage, {op.lineage}", made["by"], op)
        made.update(key=op.key, by=op, user=op.user, seen=True)

    def learn_cancel(self, op):
        if not op.refused or op.silent:
            self.cancels[op.job].append(op)
        if op.answer == "done":
            self.ended(op.job, "cancelled", op)
        elif op.refused and op.code == "stale":
            self.job(op.job, op).stale = op

    def learn_retry(self, op):
        if not op.refused or op.silent:
            self.retries[op.job].append(op)
        if op.answer == "done":
            self.job(op.job, op)
        elif op.refused and op.code == "stale":
            self.job(op.job, op).over = op

    def ended(self, id, word, op):
        j = self.job(id, op)
        if not any(word == w for w, _ in j.ends):
            j.ends.append((word, op))

    def status(self, op, id, state, commit, has_commit):
        j = self.job(id, op)
        what = f"job {id}"
        if commit:
            self.settle(j, "commit", commit, op, what)
        if state in ENDED:
            self.ended(id, state, op)
            if has_commit and not commit and j.ended_bare is None:
                j.ended_bare = op
        return j

    def learn_job(self, op):
        if op.answer == "job_info":
            self.status(op, op.job, op.state, op.commit, True)

    def learn_watch(self, op):
        if op.answer == "events":
            self.status(op, op.job, op.state, None, False)

    def learn_queue(self, op):
        if op.answer != "jobs":
            return
        for row in op.rows:
            j = self.status(op, row["job"], row["state"], row.get("commit"), "commit" in row)
            for name in ("kind", "lineage", "token"):
                self.settle(j, name, row.get(name), op, f"job {row['job']}")

    def learn_log(self, op):
        if op.answer != "commits":
            return
        chain = self.chains[op.lineage]
        for row in op.rows:
            link = (row["commit"], row["parent"], row["job"])
            if chain.setdefault(row["number"], (link, op))[0] != link:
                self.say(f"commit {row['number']} of lineage {op.lineage} is not the same for all",
                         chain[row["number"]][1], op)
                continue
            j = self.job(row["job"], op)
            what = f"job {row['job']}"
            self.settle(j, "commit", row["commit"], op, what)
            self.settle(j, "number", row["number"], op, what)
            self.settle(j, "lineage", op.lineage, op, what)
            self.settle(j, "kind", "learn", op, what)

    def learn_ready(self, op):
        if op.answer is None:
            self.unheard.setdefault(op.group, op)
            return
        first = self.unheard.get(op.group, op)
        if op.answer != "stage":
            return
        lease = self.leases.get(op.epoch)
        if lease is None:
            self.leases[op.epoch] = Lease(op.epoch, op.job, op.stage, op.group, op, first.call)
        elif (lease.job, lease.stage, lease.group) != (op.job, op.stage, op.group):
            self.say(f"epoch {op.epoch} was given twice", lease.by, op)
        self.stage(op)

    def stage(self, op):
        j = self.job(op.job, op)
        if op.stage in ("prior", "caption", "score", "train"):
            self.settle(j, "kind", "learn", op, f"job {op.job}")
        return j

    def learn_heartbeat(self, op):
        if op.answer == "go_on":
            self.job(op.job, op)
            self.held.append(op)

    def learn_result(self, op):
        if op.answer != "give_up":
            self.results.setdefault((op.job, op.stage, op.epoch), op.call)
        if op.answer != "done":
            return
        self.held.append(op)
        self.accepted.setdefault((op.job, op.stage), op)
        self.results_heard.append(op)
        j = self.stage(op)
        if op.stage == "train":
            self.settle(j, "commit", op.commit, op, f"job {op.job}")

    # ---- what must hold whatever the order

    def _explain_jobs(self):
        """Each job that was seen comes from a key that was accepted or whose answer is not known, one for each."""
        open_keys = sorted((k for k in self.asked if k not in self.keys), key=lambda k: self.asked[k][0].call)
        taken, until, latest = {}, NEVER, {}
        for id in sorted(self.jobs, reverse=True):      # a job is born before all that are younger
            until = latest[id] = min(until, self.jobs[id].seen.back)

        def fits(j, key):
            op = self.asked[key][0]
            words = {word for word, _ in j.ends}
            if op.ask == "learn" and j.ended_bare and "done" in words:
                return False
            if op.ask != "learn" and {"failed", "cancelled"} <= words and j.id not in self.retries:
                return False
            return op.call <= latest[j.id] and all(a is None or b is None or a == b for a, b in (
                (j.kind, op.ask), (j.lineage, op.lineage), (j.token, op.token)))

        def place(j, tried):
            for key in open_keys:
                if key in tried or not fits(j, key):
                    continue
                tried.add(key)
                if key not in taken or place(taken[key], tried):
                    taken[key] = j
                    return True
            return False

        for j in sorted((j for j in self.jobs.values() if j.key is None), key=lambda j: j.id):
            if not place(j, set()) and not self.strangers:
                self.say(f"job {j.id} is there and nobody asked for it", j.seen)
        for key, j in taken.items():
            op = self.asked[key][0]
            j.key, j.user = key, op.user
            j.kind, j.lineage, j.token = j.kind or op.ask, j.lineage or op.lineage, j.token or op.token

    def _check_jobs(self):
        for j in self.jobs.values():
            if (j.stale or j.over) and not j.ends:
                j.ends.append((None, j.stale or j.over))
            if not j.ends or j.id in self.retries:
                continue
            if j.id not in self.again:
                self._check_end(j)
            if j.kind == "learn" and j.ended_bare and j.ends[0][0] == "done":
                self.say(f"learn job {j.id} is done without a commit", j.ended_bare)
            elif j.kind == "learn" and j.ended_bare and j.commit:
                self.say(f"job {j.id} had ended without a commit and has one, {j.commit}", j.ended_bare)

    def _check_end(self, j):
        word, op = j.ends[0]
        for other, by in j.ends[1:]:
            self.say(f"job {j.id} ended twice, as {word} and as {other}", op, by)
        if word == "cancelled" and j.stale:
            self.say(f"job {j.id} was cancelled, and somebody heard that it had ended otherwise", op, j.stale)
        if word == "cancelled" and not self.cancels[j.id] and not self.strangers:
            self.say(f"job {j.id} is cancelled and nobody cancelled it", op)

    def _check_chains(self):
        for lineage, chain in self.chains.items():
            jobs = {}
            for number in sorted(chain):
                (commit, parent, job), op = chain[number]
                want = NOTHING if number == 1 else chain.get(number - 1, ((None,),))[0][0]
                if want is not None and parent != want:
                    self.say(f"commit {number} of lineage {lineage} is not on top of commit {number - 1}", op)
                if job in jobs:
                    self.say(f"job {job} committed twice in lineage {lineage}", jobs[job], op)
                jobs[job] = op
            in_order = [chain[n][0][2] for n in sorted(chain) if chain[n][0][2] not in self.retries]
            for a, b in zip(in_order, in_order[1:]):
                if a > b:
                    self.say(f"job {a} of lineage {lineage} was asked for after job {b} and committed before it", jobs[a], jobs[b])

    def _check_leases(self):
        newest = {}
        for epoch in sorted(self.leases):
            lease = self.leases[epoch]
            newest[lease.job, lease.stage] = lease
        for (job, stage) in [at for at in self.accepted if at[0] in self.retries and at[1] == "score"]:
            del self.accepted[job, stage]   # masks are made anew when the head has moved
        for op in self.results_heard:
            there = self.accepted.get((op.job, op.stage), op)
            if there.epoch != op.epoch:
                self.say(f"two results of stage {op.stage} of job {op.job} count, of epochs {there.epoch} and {op.epoch}", there, op)
        for at, op in self.accepted.items():
            lease = newest.get(at)
            if lease and lease.epoch > op.epoch:
                self.say(f"a result of stage {at[1]} of job {at[0]} counts under epoch {op.epoch}, and the stage was given "
                         f"out under epoch {lease.epoch}", op, lease.by)

        for op in self.held:
            lease = self.leases.get(op.epoch)
            if not self.strangers and (lease is None or (lease.job, lease.stage) != (op.job, op.stage)):
                self.say(f"epoch {op.epoch} of stage {op.stage} of job {op.job} is heard and was never given out", op)

    # ---- what is left to the order

    def order(self):
        o = Order()

        def point(what, call=-1):
            what.point = o.point(what, call)
            return what

        self.heads, self.numbers = {}, {}
        self.beyond = {}                # lineage -> the first commit that was seen and is in no log
        self._points_of_jobs(o, point)
        self._points_of_chains(o, point)
        self._points_of_leases(o, point)
        for op in self.operations:
            see = None if op.silent else SEE.get(op.ask)
            if see:
                see(self, o, op, o.point(op, op.call, op.back))
        return o

    def _points_of_jobs(self, o, point):
        last = None
        self.ids = sorted(self.jobs)
        self.of_user = defaultdict(list)
        for id in self.ids:
            j = self.jobs[id]
            self.of_user[j.user].append(id)
            # It was born in the request that asked first, of those that may have.
            call = min((op.call for op in self.asked.get(j.key, ())), default=-1)
            j.born = point(Happening("born", job=id, key=j.key, lineage=j.lineage, word=j.kind), call)
            if last:
                o.before(last.point, j.born.point)
            last = j.born
            if j.ends and id not in self.retries:
                word = j.ends[0][0] if id not in self.again else None
                calls = [op.call for op in self.cancels[id]]
                by_us = word == "cancelled" and calls and not self.strangers
                j.finished = point(Happening("ended", job=id, word=word), min(calls) if by_us else -1)
                o.before(j.born.point, j.finished.point)

    def _points_of_chains(self, o, point):
        for lineage, made in self.lineages.items():
            if made["seen"]:
                made["born"] = point(Happening("made", lineage=lineage, key=made["key"]), made["call"])
        for lineage, chain in self.chains.items():
            last = None
            for number in sorted(chain):
                commit, _, job = chain[number][0]
                c = self.commit_point(o, point, self.jobs[job], number, commit)
                if last:
                    o.before(last.point, c.point)
                last = c
            self.heads[lineage] = {n: self.jobs[chain[n][0][2]].committed for n in chain}
            self.numbers[lineage] = sorted(chain)
        # In a lineage jobs commit in the order in which they were asked for, those that were retried excepted.
        last = {}
        for id in self.ids:
            j = self.jobs[id]
            is_done = j.ends and j.ends[0][0] == "done" and id not in self.retries
            if j.kind != "learn" or not (j.commit or is_done):
                continue
            c = self.commit_point(o, point, j, j.number, j.commit or "unseen")
            if id in self.retries:
                continue
            if j.lineage in last:
                o.before(last[j.lineage].point, c.point)
            last[j.lineage] = c
            if j.number is None and j.lineage not in self.beyond:
                self.beyond[j.lineage] = c

    def commit_point(self, o, point, j, number, commit):
        if j.committed is None:
            j.committed = point(Happening("committed", job=j.id, lineage=j.lineage, number=number, commit=commit))
            o.before(j.born.point, j.committed.point)
            if j.finished:
                o.before(j.committed.point, j.finished.point)
        return j.committed

    def _points_of_leases(self, o, point):
        last = None
        for epoch in sorted(self.leases):
            lease = self.leases[epoch]
            lease.granted = point(Happening("granted", job=lease.job, word=f"{lease.stage} under epoch {epoch}"),
                                  lease.call)
            j = self.jobs[lease.job]
            o.before(j.born.point, lease.granted.point)
            # What has committed or ended is not given out again.
            self._saw(o, lease.granted.point, j.finished, False)
            if lease.stage == "train":
                self._saw(o, lease.granted.point, j.committed, False)
            if last:
                o.before(last.point, lease.granted.point)
            last = lease.granted
        self.counted = {}
        for (job, stage), op in self.accepted.items():
            j = self.jobs[job]
            if stage == "train" and j.committed:
                counted = j.committed
            else:
                counted = point(Happening("counted", job=job, word=stage))
                o.before(j.born.point, counted.point)
                self._saw(o, counted.point, j.finished, False)
            self.counted[job, stage] = counted
            o.not_before(counted.point, self.results[job, stage, op.epoch])
            if op.epoch in self.leases:
                o.before(self.leases[op.epoch].granted.point, counted.point)
        self.of_stage = defaultdict(list)
        for epoch in sorted(self.leases):
            self.of_stage[self.leases[epoch].job, self.leases[epoch].stage].append(epoch)

    # ---- which points an operation saw

    @staticmethod
    def _saw(o, p, happening, seen):
        if happening is None:
            return
        if seen:
            o.before(happening.point, p)
        else:
            o.before(p, happening.point)

    def _saw_status(self, o, p, id, state, commit, has_commit):
        j = self.jobs[id]
        self._saw(o, p, j.born, True)
        if has_commit:
            self._saw(o, p, j.committed, bool(commit))
        self._saw(o, p, j.finished, state in ENDED)

    def see_submit(self, o, op, p):
        if op.answer == "accepted":
            made = self.lineages.get(op.lineage)
            self._saw(o, p, self.jobs[op.job].born, True)
            self._saw(o, p, made and made["seen"] and made["born"] or None, True)
        elif op.key in self.keys and self.keys[op.key][1] == op.body:
            self._saw(o, p, self.jobs[self.keys[op.key][0]].born, False)

    def see_create(self, o, op, p):
        made = self.lineages.get(op.lineage)
        if made and made["seen"] and (op.answer == "done" or made["key"] == op.key):
            self._saw(o, p, made["born"], op.answer == "done")

    def see_cancel(self, o, op, p):
        j = self.jobs.get(op.job)
        if j and (op.answer == "done" or op.code == "stale"):
            self._saw(o, p, j.born, True)
            self._saw(o, p, j.finished, op.ask == "cancel" or op.refused)
        elif j and op.code == "not-found" and op.user == j.user:
            self._saw(o, p, j.born, False)

    def see_job(self, o, op, p):
        j = self.jobs.get(op.job)
        if op.answer == "job_info":
            self._saw_status(o, p, op.job, op.state, op.commit, True)
        elif op.answer == "events":
            self._saw_status(o, p, op.job, op.state, None, False)
        elif j and op.code == "not-found" and op.user == j.user:
            self._saw(o, p, j.born, False)

    def see_queue(self, o, op, p):
        if op.answer != "jobs":
            return
        for row in op.rows:
            self._saw_status(o, p, row["job"], row["state"], row.get("commit"), "commit" in row)
        if not op.complete:
            return
        # Ids rise: whoever sees the newest job sees all that are older.
        rows = {row["job"] for row in op.rows if self.jobs[row["job"]].user == op.user}
        ids = self.of_user[op.user]
        up_to = bisect_right(ids, max(rows, default=-1))
        if len(rows) < up_to:
            lost = next(id for id in ids[:up_to] if id not in rows)
            self.say(f"job {lost} is missing in a list that has younger ones", self.jobs[lost].seen, op)
        if up_to < len(ids):
            self._saw(o, p, self.jobs[ids[up_to]].born, False)

    def see_log(self, o, op, p):
        made = self.lineages.get(op.lineage)
        if op.answer == "commits":
            self._saw_chain(o, p, op.lineage, op.total)
            if len(op.rows) == op.total:
                self._saw(o, p, self.beyond.get(op.lineage), False)
        elif op.code == "not-found" and made and made["seen"] and op.user == made["user"]:
            self._saw(o, p, made["born"], False)

    def _saw_chain(self, o, p, lineage, total):
        made = self.lineages.get(lineage)
        if made and made["seen"]:
            self._saw(o, p, made["born"], True)
        heads, numbers = self.heads.get(lineage, {}), self.numbers.get(lineage, ())
        at = bisect_right(numbers, total)
        if at:
            self._saw(o, p, heads[numbers[at - 1]], True)
        if at < len(numbers):
            self._saw(o, p, heads[numbers[at]], False)

    def see_lineages(self, o, op, p):
        if op.answer != "lineages":
            return
        for row in op.rows:
            self._saw_chain(o, p, row["lineage"], row["commits"])
            link = self.chains[row["lineage"]].get(row["commits"])
            if link and link[0][0] != row["head"]:
                self.say(f"the head of lineage {row['lineage']} is not its commit {row['commits']}", link[1], op)

    def _holds_lease(self, o, op, p):
        """It is the newest of its stage, and neither the stage nor the job is over."""
        j = self.jobs[op.job]
        epochs = self.of_stage.get((op.job, op.stage), ())
        at = bisect_right(epochs, op.epoch)
        if at < len(epochs):
            self._saw(o, p, self.leases[epochs[at]].granted, False)
        if op.epoch in self.leases:
            self._saw(o, p, self.leases[op.epoch].granted, True)
        self._saw(o, p, j.finished, False)
        self._saw(o, p, self.counted.get((op.job, op.stage)) or (op.stage == "train" and j.committed) or None, False)

    def see_ready(self, o, op, p):
        if op.answer == "stage":
            self._holds_lease(o, op, p)

    def see_heartbeat(self, o, op, p):
        if op.answer == "go_on":
            self._holds_lease(o, op, p)

    def see_result(self, o, op, p):
        there = self.accepted.get((op.job, op.stage))
        if there and there.epoch == op.epoch:
            self._saw(o, p, self.counted[op.job, op.stage], op.answer == "done")


LEARN = {"learn": Facts.learn_submit, "sample": Facts.learn_submit, "evaluate": Facts.learn_submit,
         "lineage_create": Facts.learn_create, "cancel": Facts.learn_cancel, "retry": Facts.learn_retry,
         "job": Facts.learn_job, "watch": Facts.learn_watch, "queue": Facts.learn_queue, "log": Facts.learn_log,
         "ready": Facts.learn_ready, "heartbeat": Facts.learn_heartbeat, "result": Facts.learn_result}
SEE = {"learn": Facts.see_submit, "sample": Facts.see_submit, "evaluate": Facts.see_submit,
       "lineage_create": Facts.see_create, "cancel": Facts.see_cancel, "retry": Facts.see_cancel, "job": Facts.see_job,
       "watch": Facts.see_job, "queue": Facts.see_queue, "log": Facts.see_log, "lineage_list": Facts.see_lineages,
       "ready": Facts.see_ready, "heartbeat": Facts.see_heartbeat, "result": Facts.see_result}
