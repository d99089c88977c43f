"""tap.h for Python: sentences that hold or do not."""

import sys

points = failed = 0


def ok(held, sentence, *remarks):
    global points, failed
    points += 1
    failed += not held
    print(f"{'' if held else 'not '}ok {points} - {sentence}")
    if not held:
        for remark in remarks:
            print(f"#   {remark}")
    sys.stdout.flush()
    return held


def same(got, want, sentence):
    return ok(got == want, sentence, f"got  {got!r}", f"want {want!r}")


def done_testing():
    print(f"1..{points}")
    sys.exit(failed > 0 or points == 0)
