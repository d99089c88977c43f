"""What a measurement says of its machine: who it is, what it can do, who else works on it."""
import json
import os
import platform
import subprocess
import time


def describe():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    total = int(open("/proc/meminfo").readline().split()[1]) * 1024
    return {"cpu": model, "cores": os.cpu_count(), "memory": total, "kernel": platform.release()}


def version(root):
    seen = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True)
    return seen.stdout.strip() or "unknown"


def ceilings(program, threads, cpus):
    """Measured three times in a row, the best of each figure."""
    runs = [json.loads(subprocess.run([program, str(threads)], check=True, capture_output=True, text=True,
                                      preexec_fn=lambda: os.sched_setaffinity(0, cpus)).stdout) for _ in range(2)]
    return {name: max(run[name] for run in runs) for name in runs[0]}


def busy(cpus, seconds):
    """Share of the processors that somebody used in the next `seconds`, while we sleep."""
    def ticks():
        used = total = 0
        for line in open("/proc/stat"):
            name, *values = line.split()
            if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in cpus:
                values = [int(v) for v in values[:8]]
                total += sum(values)
                used += sum(values) - values[3] - values[4]
        return used, total

    before = ticks()
    time.sleep(seconds)
    after = ticks()
    return (after[0] - before[0]) / max(1, after[1] - before[1])


def wait_for_idle(cpus, limit=0.05, tries=5):
    """The share that others use, after waiting for a moment at which it is below limit."""
    share = busy(cpus, 0.2)
    while share > limit and tries > 0:
        share = busy(cpus, 0.6)
        tries -= 1
    return round(share, 3)
