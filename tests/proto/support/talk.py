"""A user and a worker group that know only proto/PROTOCOL.md, with a coordinator that has just been started.

    python3 talk.py PROTOCOL.md HOME USER
"""

import hashlib
import os
import sys

import tap
from page import Page
from zmtp import Link

page, home, user = Page(sys.argv[1]), sys.argv[2], sys.argv[3]
state, code = page.numbers["job_state"], page.numbers["code"]
ids = iter(range(1, 1 << 30))
WAIT = 30.0


class Peer:
    def __init__(self, socket, identity=b""):
        self.link = Link(f"{home}/run/{socket}", identity)

    def ask(self, kind, /, version=None, **fields):
        """(name, fields) of the answer; its id and version must be those of the question."""
        id = next(ids)
        self.link.send(page.encode(kind, fields, id, version))
        return self.answer(id, version or page.newest)

    def answer(self, id, version):
        data = self.link.receive(WAIT)
        if data is None:
            return "nothing", {}
        name, fields, got_id, got_version = page.decode(data)
        if (got_id, got_version) != (id, version):
            return f"{name} of id {got_id}, version {got_version}", fields
        return name, fields


def key():
    return os.urandom(32)


def refused(answer, word, sentence):
    tap.ok(answer[0] == "refused" and answer[1]["code"] == code[word] and answer[1]["line"], sentence, answer)


ann = Peer("engram.sock")

# ---- who is there
name, pong = ann.ask("ping", client="page")
tap.ok(name == "pong" and pong["home"] == home and pong["now_ms"] > 1e12, "a ping is answered", name, pong)
tap.same((pong["user"], pong["role"]), (user, page.numbers["role"]["admin"]), "and says who we are: the home's owner")
name, old = ann.ask("ping", version=1, client="page")
tap.ok(name == "pong" and "user" not in old, "who asks in version 1 is answered in version 1", name, old)

# ---- a lineage
pets = {"key": key(), "name": "pets", "base_path": "/models/base", "base_hash": hashlib.sha256(b"base").digest(),
        "on_failure": page.numbers["on_failure"]["wait"], "shared_with": ["bob", "@lab"]}
tap.same(ann.ask("lineage_create", **pets)[0], "done", "a lineage is made")
tap.same(ann.ask("lineage_create", **pets)[0], "done", "once more with the same key: the same answer")
refused(ann.ask("lineage_create", **{**pets, "base_path": "/models/other"}), "exists",
        "the same key with other contents is refused")
refused(ann.ask("lineage_create", **{**pets, "key": key()}), "exists", "so is the same name with another key")
refused(ann.ask("lineage_create", **{**pets, "key": key(), "name": "no/such"}), "input", "and a name that is none")
name, answer = ann.ask("lineage_list")
rows = answer.get("rows", [])
tap.ok(name == "lineages" and len(rows) == 1, "the list has it", name, rows)
same = {f: rows[0][f] for f in ("name", "base_path", "base_hash", "on_failure", "shared_with")}
tap.same(same, {f: pets[f] for f in same}, "with what was said of it")
tap.same((rows[0]["owner"], rows[0]["head"], rows[0]["n_commits"]), (user, bytes(32), 0), "and nothing learned")
name, answer = ann.ask("lineage_list", version=1)
tap.ok(name == "lineages" and "held" not in answer["rows"][0], "version 1 sees it without what came later", answer)

# ---- a sample
sample = {"key": key(), "lineage": "pets", "prompts": ["a dog", "ein Hündchen"], "per_prompt": 2, "seed": 2**64 - 1,
          "settings": '{"sample.steps": 5}'}
name, accepted = ann.ask("sample", **sample)
tap.ok(name == "accepted" and accepted["job"] > 0, "a sample is accepted", name, accepted)
job = accepted["job"]
tap.same(ann.ask("sample", **sample), ("accepted", accepted), "once more with the same key: the same job")
refused(ann.ask("sample", **{**sample, "seed": 1}), "exists", "with other contents it is refused")
refused(ann.ask("sample", **{**sample, "key": key(), "lineage": "pest"}), "not-found",
        "a lineage that is not there is refused")
refused(ann.ask("sample", **{**sample, "key": key(), "prompts": []}), "input", "and a sample without a prompt")
name, answer = ann.ask("queue")
tap.same([(r["job"], r["state"], r["lineage"], r["owner"]) for r in answer.get("rows", [])],
         [(job, state["queued"], "pets", user)], "the queue has one job")
name, info = ann.ask("job", job=job)
tap.ok(name == "job_info" and [s["stage"] for s in info["stages"]] == [page.numbers["stage_kind"]["sample"]],
       "it has one stage", name, info)
tap.same(page.decode(info["request"])[:2], page.decode(page.encode("sample", sample, 0))[:2],
         "and the request is what was sent")
name, answer = ann.ask("watch", job=job)
tap.ok(name == "events" and answer["state"] == state["queued"] and answer["rows"], "its events begin", name, answer)

# ---- a worker group
nonce = key()
group = Peer("worker.sock", b"W" + nonce)
name, _ = group.ask("ready")
tap.same(name, "who", "a group that nobody knows is asked who it is")
hello = {"name": "group-page", "nonce": nonce, "ranks": 1, "pid": os.getpid(), "host": "here", "device": "paper"}
tap.same(group.ask("worker_hello", **hello)[0], "go_on", "and is let in")
name, stage = group.ask("ready")
tap.ok(name == "stage" and stage["job"] == job and stage["chain"] == [] and stage["commit"] == bytes(32),
       "it gets the stage, on the bare base", name, stage)
tap.same(page.decode(stage["request"])[1]["prompts"], sample["prompts"], "with the prompts that were asked for")
again = group.ask("ready")
tap.same((again[0], again[1].get("epoch")), ("stage", stage["epoch"]), "ready once more: the same lease")
held = {"job": job, "stage": stage["stage"], "epoch": stage["epoch"]}
tap.same(group.ask("heartbeat", **held, step=1, of=5, text="drawing")[0], "go_on", "a heartbeat is heard")
tap.same(ann.ask("job", job=job)[1]["rows"][0]["line"], "drawing", "and seen by who waits")

# ---- cancelled
tap.same(ann.ask("cancel", job=job)[0], "done", "the job is cancelled")
tap.same(ann.ask("cancel", job=job)[0], "done", "once more: the same answer")
tap.same(ann.ask("watch", job=job)[1]["state"], state["cancelled"], "who watches it sees that")
name, answer = group.ask("heartbeat", **held, step=2, of=5)
tap.same((name, answer.get("code")), ("give_up", code["cancelled"]), "its group is told at its next heartbeat")
tap.same(group.ask("result", **held, outputs=[key()])[0], "give_up", "and its result is not heard")

# ---- done
name, answer = ann.ask("sample", **{**sample, "key": key()})
second = answer.get("job")
name, stage = group.ask("ready")
tap.ok(name == "stage" and stage["job"] == second, "the next sample is the group's next stage", name, stage)
picture = b"not really a picture"
digest = hashlib.sha256(picture)
folder = f"{home}/objects/{digest.hexdigest()[:2]}"
os.makedirs(folder, exist_ok=True)
with open(f"{folder}/{digest.hexdigest()[2:]}", "wb") as f:
    f.write(picture)
result = {"job": second, "stage": stage["stage"], "epoch": stage["epoch"], "outputs": [digest.digest()], "seconds": 0.5}
refusal = group.ask("result", **{**result, "epoch": result["epoch"] + 1})[0]
tap.same(refusal, "give_up", "a result of another epoch is not heard")
tap.same(group.ask("result", **result)[0], "done", "that of the lease is")
tap.same(group.ask("result", **result)[0], "done", "once more: the same answer")
name, info = ann.ask("job", job=second)
tap.same((info["rows"][0]["state"], info["rows"][0]["results"]), (state["done"], [digest.digest()]),
         "its user finds the result")
refused(ann.ask("cancel", job=second), "input", "a job that is done cannot be cancelled")

# ---- many at once, pages, again
third, fourth = {**sample, "key": key(), "priority": page.numbers["priority"]["low"]}, {**sample, "key": key()}
requests = [page.encode("sample", third, 0), page.encode("sample", {**fourth, "prompts": []}, 0),
            page.encode("sample", fourth, 0, version=1)]
name, answer = ann.ask("submit_many", rows=[{"request": r} for r in requests])
rows = answer.get("rows", [])
tap.ok(name == "accepted_many" and [bool(r["job"]) for r in rows] == [True, False, True] and
       rows[1]["code"] == code["input"] and rows[1]["line"], "of three requests at once the bad one is refused", name, rows)
ids_of = [r["job"] for r in rows]
name, answer = ann.ask("queue", limit=2)
tap.same([r["job"] for r in answer["rows"]], [ids_of[2], ids_of[0]], "the queue's first page has the newest two")
tap.same(answer["total"], 4, "and says how many there are")
name, answer = ann.ask("queue", limit=2, below=ids_of[0])
tap.same([r["job"] for r in answer["rows"]], [second, job], "the next page the two before them")
tap.same(ann.ask("pause", job=ids_of[0], on=1)[0], "done", "a job is held")
row = ann.ask("job", job=ids_of[0])[1]["rows"][0]
tap.same((row["held"], row["priority"]), (1, page.numbers["priority"]["low"]), "its row says so, and its priority")
tap.same(ann.ask("retry", job=job)[0], "done", "the cancelled job is asked for again")
tap.same(ann.ask("job", job=job)[1]["rows"][0]["state"], state["queued"], "and waits")
name, answer = ann.ask("user_list")
tap.same([(r["name"], r["role"]) for r in answer.get("rows", [])], [(user, page.numbers["role"]["admin"])],
         "the list of users has who owns the home")
name, answer = ann.ask("group_list")
tap.same([(r["name"], r["nonce"], r["ranks"]) for r in answer.get("rows", [])], [("group-page", bytes(32), 1)],
         "and that of groups the one that said hello, without the word that would pass for it")

# ---- what is not as on the page
ann.link.send(page.examples[0] + b"\0")
refused(ann.answer(0, page.newest), "protocol", "a byte too many is refused")
ann.link.send(page.examples[0].replace(b"\x94\x02", b"\x94\x09"))
name, answer = ann.answer(0, page.newest)
tap.ok(name == "refused" and "version 9" in answer["line"], "so is a version to come, by its number", name, answer)
ann.link.send(page.examples[0].replace(b"client", b"cliend"))
name, answer = ann.answer(7, page.newest)
tap.ok(name == "refused" and "ping.client" in answer["line"], "a field that is not there is named", name, answer)
refused(ann.ask("ready"), "denied", "a worker's message does not belong on the users' socket")
tap.same(ann.ask("ping", client="page")[0], "pong", "after all that a ping is answered")
tap.done_testing()
