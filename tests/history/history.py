"""Reading histories: lines of JSON as README.md describes them, from any number of files, into a list of operations."""

import json
import sys

NEVER = 1 << 63     # an answer that did not come, in nanoseconds
NOT_NOW = frozenset(("full", "io", "environment", "no-memory", "again", "internal", "protocol"))


class Bad(Exception):
    """A file that is no history. The line says where and what."""


class Operation:
    """One request of one client and what came back; fields that an operation does not have are None."""

    __slots__ = ("client", "user", "n", "call", "back", "ask", "answer", "code", "job", "key", "body", "kind", "lineage", "token",
                 "state", "commit", "rows", "total", "after", "complete", "stage", "epoch", "group", "place")

    def __init__(self, place, line):
        self.place = place
        get = line.get
        for name in ("client", "ask"):
            if not isinstance(get(name), str):
                raise Bad(f"{place}: `{name}` is missing")
        for name in ("n", "call"):
            if not isinstance(get(name), int):
                raise Bad(f"{place}: `{name}` is no whole number")
        unknown = line.keys() - FIELDS
        if unknown:
            raise Bad(f"{place}: no such field: {', '.join(sorted(unknown))}")
        intern = sys.intern
        for name in WORDS:
            value = get(name)
            setattr(self, name, intern(value) if isinstance(value, str) else None)
        for name in VALUES:
            setattr(self, name, get(name))
        if self.back is None or self.answer is None:
            self.back, self.answer = NEVER, None
        elif self.back < self.call:
            raise Bad(f"{place}: answered before it was asked")

    @property
    def refused(self):
        return self.answer == "refused"

    @property
    def silent(self):
        """Nothing follows from it: no answer, or one that says that nothing was done and may be tried again."""
        return self.answer is None or (self.answer == "refused" and self.code in NOT_NOW)

    def __str__(self):
        asked = [self.ask] + [f"{f}={getattr(self, f)}" for f in
                              ("job", "key", "kind", "lineage", "token", "stage", "epoch", "group")
                              if getattr(self, f) is not None]
        got = [str(self.answer or "no answer")] + [f"{f}={getattr(self, f)}" for f in ("code", "state", "commit", "total")
                                                   if getattr(self, f) is not None]
        back = "never" if self.back == NEVER else self.back
        return f"{self.place}: {self.client} at {self.call}..{back}: {' '.join(asked)} -> {' '.join(got)}"


WORDS = ("client", "user", "ask", "answer", "code", "kind", "lineage", "token", "state", "stage", "group")
VALUES = ("n", "call", "back", "job", "key", "body", "commit", "rows", "total", "after", "complete", "epoch")
FIELDS = frozenset(WORDS + VALUES)


def read(paths):
    """(operations in the order of their calls, what the `about` lines say). A later line of the same client and n
    replaces an earlier one: it was written before the answer came."""
    operations, about = {}, {}
    for path in paths:
        with open(path, encoding="utf-8") as f:
            for number, text in enumerate(f, 1):
                place = f"{path}:{number}"
                if not text.endswith("\n"):
                    continue    # whoever wrote it was killed in the middle; the call has a line of its own
                try:
                    line = json.loads(text)
                except ValueError as e:
                    raise Bad(f"{place}: no JSON: {e}") from None
                if not isinstance(line, dict):
                    raise Bad(f"{place}: no object")
                if "about" in line:
                    about.update(line["about"])
                    continue
                op = Operation(place, line)
                operations[op.client, op.n] = op
    return sorted(operations.values(), key=lambda op: op.call), about
