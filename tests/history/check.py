#!/usr/bin/env python3
"""Is there one order of everything that explains what all clients saw? README.md says what is meant and what is not.

    check.py [--strangers] [--settled] [--order] FILE...

  --strangers   others submit and cancel as well, and keep no history
  --settled     in the end every job that was accepted has been seen ended
  --order       prints the order that was found

Exit status: 0 there is one; 1 there is none, and why; 2 no history.
"""

import gc
import sys

import history
import replay
import retry
from rules import Facts


def unsettled(facts):
    for key, (id, _, op) in facts.keys.items():
        if not facts.jobs[id].ends:
            yield f"job {id} was accepted and nobody saw it end", (op,)


def decide(operations, strangers=False, settled=False):
    """(order, None) or (None, [(sentence, things)])."""
    facts = Facts(operations, strangers)
    order = facts.order()
    wrong = list(facts.wrong)
    if settled:
        wrong += unsettled(facts)
    views = retry.all_views(facts.again, operations) if facts.again else {}
    for id, mine in sorted(views.items()):
        op = id in facts.jobs and retry.check(facts.jobs[id], mine)
        if op:
            wrong.append((f"the states of job {id}, which may have ended more than once, fit no order", (op,)))
    if wrong:
        return None, wrong
    found, trouble = order.solve()
    if trouble:
        return None, [("each of these comes before the next, and the last was over before the first began" if
                       trouble[0] is not trouble[-1] else "each of these comes before the next", trouble)]
    things = [order.what[v] for v in found]
    odd = replay.replay(things, facts)
    if odd:
        raise AssertionError(f"the order that was found does not explain {odd}")
    return things, None


def main(arguments):
    options = {a for a in arguments if a.startswith("--")}
    files = [a for a in arguments if not a.startswith("--")]
    if not files or options - {"--strangers", "--settled", "--order"}:
        print(__doc__, file=sys.stderr)
        return 2
    gc.disable()    # a million small objects that all stay
    try:
        operations, _ = history.read(files)
    except (OSError, UnicodeDecodeError, history.Bad) as e:
        print(f"check: {e}", file=sys.stderr)
        return 2
    order, wrong = decide(operations, "--strangers" in options, "--settled" in options)
    if wrong:
        for sentence, things in wrong[:20]:
            print(f"no order: {sentence}")
            for thing in things:
                print(f"    {thing}")
        return 1
    if "--order" in options:
        for thing in order:
            print(thing)
    silent = sum(op.answer is None for op in operations)
    print(f"one order explains {len(operations)} operations, {silent} of them without an answer, "
          f"and {len(order) - sum(not op.silent for op in operations)} happenings")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
