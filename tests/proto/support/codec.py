"""The reader that knows only the page, over messages that our codec wrote: every one is read and written as the same bytes.

    python3 codec.py PROTOCOL.md version_1.txt CORPUS_FOLDER
"""

import os
import sys

import tap
from page import Page

page = Page(sys.argv[1])


def back(data):
    name, fields, id, version = page.decode(data)
    return page.encode(name, fields, id, version) == data and (name, version)


seen, wrong = set(), []
with open(sys.argv[2]) as kept:
    lines = [line.split() for line in kept if not line.startswith("#")]
for name, text in lines:
    got = back(bytes.fromhex(text))
    seen.add(got)
    if got != (name, 1):
        wrong.append(name)
tap.ok(not wrong, f"the page's reader knows {len(lines)} messages that a program of version 1 wrote", wrong)
for file in sorted(os.listdir(sys.argv[3])):
    name, _, version = file.rpartition("-")
    if version.isdigit():
        with open(os.path.join(sys.argv[3], file), "rb") as f:
            got = back(f.read())
        seen.add(got)
        if got != (name, int(version)):
            wrong.append(file)
tap.ok(not wrong, "and those of both versions that the fuzzer begins with", wrong)
want = {(name, v) for name, (since, _) in page.messages.items() for v in range(since, page.newest + 1)}
tap.ok(want <= seen, f"that is every message in every version: {len(want)}", want - seen)
refused = 0
for bad in (b"\xdd\x10\0\0\0", b"\x91" * 100, page.examples[0] + b"\0", page.examples[0][:-1],
            page.examples[0].replace(b"\x07", b"\xcc\x07"), page.examples[0].replace(b"client", b"cliend")):
    try:
        page.decode(bad)
    except (ValueError, KeyError, TypeError):
        refused += 1
tap.same(refused, 6, "what is not as on the page is not read")
tap.same([page.decode(x) for x in page.examples],
         [("ping", {"client": "me"}, 7, 2), ("ping", {"client": "me"}, 7, 1)], "the page's examples are what it says")
tap.done_testing()
