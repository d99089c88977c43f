"""Is there one order? Points in time, each with a window, and pairs "this one before that one".

    o = Order()
    a = o.point("a", call=10, back=20)      # somewhere from 10 to 20
    m = o.point("m")                        # at some time
    o.before(a, m)
    order, trouble = o.solve()              # trouble: points that cannot be so, first to last

Every request is a point between its call and its answer; so is everything that happened unseen (a job is born, commits, ends). An
answer says which of those it saw: they come before it, the others after. All of that can be so if and only if there is no
circle, and no point is pushed past the end of its window by the latest call among those before it. That is one walk in
topological order: linear in points and pairs.
"""

from array import array

from history import NEVER


class Order:
    def __init__(self):
        self.what, self.call, self.back = [], [], []
        self.first, self.then = array("q"), array("q")

    def point(self, what, call=-1, back=NEVER):
        self.what.append(what)
        self.call.append(call)
        self.back.append(back)
        return len(self.what) - 1

    def not_before(self, point, call):
        self.call[point] = max(self.call[point], call)

    def before(self, a, b):
        self.first.append(a)
        self.then.append(b)

    def _followers(self):
        """start[a] .. start[a + 1]: where the followers of a stand in the list."""
        n = len(self.what)
        start, out = array("q", bytes(8 * (n + 2))), array("q", bytes(8 * len(self.first)))
        for a in self.first:
            start[a + 2] += 1
        for i in range(2, n + 2):
            start[i] += start[i - 1]
        for a, b in zip(self.first, self.then):
            out[start[a + 1]] = b
            start[a + 1] += 1
        return start, out

    def solve(self):
        """(order, None): all points, in an order that fits. (None, trouble): a chain of points of which the last cannot come
        after the first, or a circle."""
        n = len(self.what)
        start, followers = self._followers()
        waits = array("q", bytes(8 * n))
        for b in self.then:
            waits[b] += 1
        least, pushed_by = self.call[:], array("q", [-1]) * n
        ready = [v for v in range(n) if not waits[v]]
        rank = array("q", bytes(8 * n))
        done = 0
        while ready:
            v = ready.pop()
            rank[v] = done
            done += 1
            if least[v] > self.back[v]:
                return None, self._chain(v, pushed_by)
            for i in range(start[v], start[v + 1]):
                w = followers[i]
                if least[v] > least[w]:
                    least[w] = least[v]
                    pushed_by[w] = v
                waits[w] -= 1
                if not waits[w]:
                    ready.append(w)
        if done < n:
            return None, self._circle(waits)
        return sorted(range(n), key=lambda v: (least[v], rank[v])), None

    def _chain(self, v, pushed_by):
        chain = [v]
        while pushed_by[v] >= 0:
            v = pushed_by[v]
            chain.append(v)
        return [self.what[v] for v in reversed(chain)]

    def _circle(self, waits):
        """Among the points that never became ready, each has one before it that did not either."""
        before = {}
        for a, b in zip(self.first, self.then):
            if waits[a] and waits[b]:
                before[b] = a
        v, seen = next(iter(before)), {}
        while v not in seen:
            seen[v] = len(seen)
            v = before[v]
        circle = [w for w, i in seen.items() if i >= seen[v]]
        return [self.what[w] for w in reversed(circle)] + [self.what[circle[-1]]]
