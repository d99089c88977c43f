"""One half of a row as a process that is stopped (SIGSTOP) whenever it is not asked: nobody spins beside the other."""
import ctypes
import os
import select
import signal
import subprocess
import time


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def begin_child(cpus):
    """In the child: on these processors, and dead when we are, or a stopped process would hold its gigabytes for ever."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.sched_setaffinity(0, cpus)


class Side:
    def __init__(self, name, command, cpus, environment, log, deadline):
        self.name, self.deadline = name, deadline  # of time.monotonic: no answer is waited for longer
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                                        env=os.environ | environment, preexec_fn=lambda: begin_child(cpus))

    def wait_until_ready(self):
        word, _, facts = self.line().partition(" ")
        if word != "ready":
            raise RuntimeError(f"{self.name} said {word!r}")
        self.stop()
        return facts

    def line(self):
        """The next one. Each is asked for alone, so none can be waiting in Python's buffer."""
        left = max(0, self.deadline - time.monotonic())
        if not select.select([self.process.stdout], [], [], left)[0]:
            self.process.kill()
            raise RuntimeError(f"{self.name} was still working when the row's time was over")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended")
        return line.strip()

    def ask(self, text):
        """Wakes the process for one line and its answer."""
        os.kill(self.process.pid, signal.SIGCONT)
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        answer = self.line()
        self.stop()
        return answer

    def stop(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def memory(self):
        """Bytes by name: VmRSS now, VmHWM the highest of it since reset, RssAnon the part that is no mapped file."""
        with open(f"/proc/{self.process.pid}/status") as f:
            found = dict(line.split(":", 1) for line in f)
        return {key: int(found[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM", "RssAnon")}

    def reset_highest(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as f:
            f.write("5")

    def end(self):
        """The process and its pipes are gone afterwards, whatever state it was in."""
        try:
            os.kill(self.process.pid, signal.SIGCONT)
            self.process.stdin.close()
            self.process.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
