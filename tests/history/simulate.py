#!/usr/bin/env python3
"""Writes a history that is right by making: clients and worker groups of a coordinator that does one thing at a time. Each
request has its effect at one moment between its call and its answer; some answers are lost, and the request is made again.

    simulate.py SEED OPERATIONS [CLIENTS [GROUPS]] >history.jsonl
"""

import heapq
import json
import random
import sys

NOTHING = "0" * 64


class World:
    def __init__(self, seed, clients, groups, lineages=4, page=5, retries=0.0):
        self.dice, self.page, self.retries = random.Random(seed), page, retries
        self.keys, self.jobs, self.chains = {}, {}, {f"line{i}": [] for i in range(lineages)}
        self.clients = [f"client{i}" for i in range(clients)]
        self.groups = [f"group{i}" for i in range(groups)]
        self.lease, self.given, self.epoch = {}, {}, 0     # what a group knows, what it was given
        self.live = []      # ids of jobs that have not ended, oldest first
        self.retry = {}     # client -> a request whose answer was lost
        self.counts = dict.fromkeys(self.clients + self.groups, 0)

    # ---- what is asked next

    def ask(self, who):
        if who in self.groups:
            return self.ask_group(who)
        if who in self.retry:
            return self.retry.pop(who)
        d = self.dice.random()
        lineage = self.dice.choice(sorted(self.chains))
        if d < 0.15 or not self.jobs:
            kind = self.dice.choice(("learn", "learn", "sample"))
            op = {"ask": kind, "key": f"{self.dice.getrandbits(64):016x}", "lineage": lineage}
            if kind == "learn":
                op["token"] = f"<{op['key'][:6]}>"
            return op
        id = self.dice.randint(max(1, len(self.jobs) - 30), len(self.jobs) + (d > 0.99))
        if self.dice.random() < self.retries:
            return {"ask": "retry", "job": id}
        if d < 0.65:
            return {"ask": "job", "job": id}
        if d < 0.72:
            return {"ask": "watch", "job": id}
        if d < 0.77:
            return {"ask": "cancel", "job": id}
        if d < 0.80:
            return {"ask": "queue"}
        if d < 0.84:
            return {"ask": "lineage_list"}
        return {"ask": "log", "lineage": lineage, "after": max(0, len(self.chains[lineage]) - self.dice.randint(self.page > 5 and 9, self.page - 1))}

    def ask_group(self, who):
        lease = self.lease.get(who)
        if lease is None:
            return {"ask": "ready", "group": who}
        at = {"group": who, **lease}
        if self.dice.random() < 0.6:
            return {"ask": "heartbeat", **at}
        op = {"ask": "result", **at}
        if lease["stage"] == "train":
            op["commit"] = f"{lease['epoch']:064x}"
        return op

    def hear(self, op, got):
        """What a group makes of an answer."""
        if got["answer"] == "stage":
            self.lease[op["group"]] = {name: got[name] for name in ("job", "stage", "epoch")}
        elif op["ask"] == "result" or got["answer"] == "give_up":
            self.lease.pop(op["group"], None)

    # ---- what it does, at one moment

    def do(self, op):
        return getattr(self, "do_" + op["ask"])(op)

    def submit(self, op):
        if op["key"] not in self.keys:
            id = len(self.jobs) + 1
            self.keys[op["key"]] = id
            self.jobs[id] = {"kind": op["ask"], "lineage": op["lineage"], "state": "queued", "commit": None, "epoch": 0, "counted": None}
            self.live.append(id)
        return {"answer": "accepted", "job": self.keys[op["key"]]}

    do_learn = do_sample = submit

    def do_job(self, op):
        j = self.jobs.get(op["job"])
        if j is None:
            return {"answer": "refused", "code": "not-found"}
        return {"answer": "job_info", "state": j["state"], "commit": j["commit"]}

    def do_watch(self, op):
        j = self.jobs.get(op["job"])
        return {"answer": "events", "state": j["state"]} if j else {"answer": "refused", "code": "not-found"}

    def end(self, id, state):
        self.jobs[id]["state"] = state
        self.live.remove(id)

    def do_cancel(self, op):
        j = self.jobs.get(op["job"])
        if j is None:
            return {"answer": "refused", "code": "not-found"}
        if j["state"] in ("done", "failed"):
            return {"answer": "refused", "code": "stale"}
        if j["state"] != "cancelled":
            self.end(op["job"], "cancelled")
        return {"answer": "done"}

    def do_retry(self, op):
        j = self.jobs.get(op["job"])
        if j is None:
            return {"answer": "refused", "code": "not-found"}
        if j["state"] == "done":
            return {"answer": "refused", "code": "stale"}
        if j["state"] in ("failed", "cancelled"):
            j.update(state="queued", epoch=0)
            self.live = sorted(self.live + [op["job"]])
        return {"answer": "done"}

    def do_queue(self, op):
        ids = self.live[-5:]
        return {"answer": "jobs", "rows": [{"job": id, "state": self.jobs[id]["state"], "commit": self.jobs[id]["commit"]} for id in ids]}

    def do_lineage_list(self, op):
        return {"answer": "lineages", "rows": [{"lineage": name, "commits": len(c), "head": c[-1]["commit"] if c else NOTHING}
                                               for name, c in self.chains.items()]}

    def do_log(self, op):
        chain = self.chains[op["lineage"]]
        return {"answer": "commits", "rows": chain[op["after"]:op["after"] + self.page], "total": len(chain)}

    def turn(self, lineage):
        return next((id for id in self.live if self.jobs[id]["kind"] == "learn" and self.jobs[id]["lineage"] == lineage), None)

    def do_ready(self, op):
        given = self.given.get(op["group"])
        if given and self.holds(given):
            return {"answer": "stage", **given}
        for id in self.live[:50]:
            j = self.jobs[id]
            if j["state"] == "queued" and not j["counted"] and (j["kind"] == "sample" or id == self.turn(j["lineage"])):
                self.epoch += self.dice.randint(1, 3)
                stage = "train" if j["kind"] == "learn" else "sample"
                j.update(state="running", epoch=self.epoch)
                self.given[op["group"]] = {"job": id, "stage": stage, "epoch": self.epoch}
                return {"answer": "stage", **self.given[op["group"]]}
        return {"answer": "idle"}

    def holds(self, op):
        j = self.jobs[op["job"]]
        return j["state"] == "running" and j["epoch"] == op["epoch"]

    def do_heartbeat(self, op):
        if self.holds(op):
            return {"answer": "go_on"}
        return {"answer": "give_up"}

    def do_result(self, op):
        j = self.jobs[op["job"]]
        if j["counted"] == op["epoch"]:
            return {"answer": "done"}
        if not self.holds(op):
            return {"answer": "give_up"}
        j["counted"] = op["epoch"]
        if j["kind"] == "learn":
            chain = self.chains[j["lineage"]]
            j["commit"] = op["commit"]
            chain.append({"number": len(chain) + 1, "commit": op["commit"], "parent": chain[-1]["commit"] if chain else NOTHING,
                          "job": op["job"]})
        self.end(op["job"], "done")
        return {"answer": "done"}

    def by_itself(self):
        """A lease runs out, a stage fails."""
        running = [id for id in self.live if self.jobs[id]["state"] == "running"]
        if running:
            id = self.dice.choice(running)
            if self.dice.random() < 0.2:
                self.end(id, "failed")
            else:
                self.jobs[id].update(state="queued", epoch=0)


def history(seed, n, clients=8, groups=3, lost=0.03, lineages=4, page=5, retries=0.01):
    """Yields n operations, in the order of their answers."""
    world = World(seed, clients, groups, lineages, page, retries)
    dice = world.dice
    events, serial, done = [], 0, 0

    def at(time, *what):
        nonlocal serial
        serial += 1
        heapq.heappush(events, (time, serial, *what))

    for who in world.clients + world.groups:
        at(dice.randint(0, 1000), "call", who, None)
    while done < n:
        time, _, what, who, op = heapq.heappop(events)
        if dice.random() < 0.002:
            world.by_itself()
        if what == "call":
            op = world.ask(who)
            world.counts[who] += 1
            op = {"client": who, "n": world.counts[who], "call": time, **op}
            at(time + dice.randint(1, 500), "do", who, op)
        elif what == "do":
            got = world.do(op)
            if dice.random() < lost:
                if "key" in op:
                    world.retry[who] = {k: op[k] for k in ("ask", "key", "lineage", "token") if k in op}
                yield {**op, "back": None}
                done += 1
                at(time + 1000, "call", who, None)
            else:
                at(time + dice.randint(1, 500), "back", who, {**op, **got})
        else:
            world.hear(op, op)
            yield {**op, "back": time}
            done += 1
            at(time + dice.randint(1, 300), "call", who, None)


def main():
    numbers = [int(a) for a in sys.argv[1:]]
    for op in history(*numbers[:2], *numbers[2:]):
        print(json.dumps(op))


if __name__ == "__main__":
    main()
