"""Learning rates that follow the clock: a run of so many minutes ends annealed however fast the machine was."""
import math
import time


class Clock:
    """`timer` is the wall's clock, or time.process_time for runs that share the machine with dearer ones."""

    def __init__(self, minutes, spent=0.0, timer=time.monotonic):
        self.total = minutes * 60.0
        self.spent = spent
        self.timer = timer
        self.last = timer()

    def tick(self):
        """The share of the time that is gone, 0 to 1. Time between runs does not count."""
        now = self.timer()
        self.spent += now - self.last
        self.last = now
        return min(self.spent / self.total, 1.0)


def rate(peak, share, step, warm_up=150, floor=0.02):
    return peak * min((step + 1) / warm_up, 1.0) * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * share)))
