# SPDX-License-Identifier: MIT
"""Kills the primary of Redis, and a replica of the chat, again and again."""

import time

from sentinels import ask

CHANNEL = "soak"  # of the server


class Failovers:
    """The primary is killed. It is started again soon and goes on, or only when the Sentinels have
    promoted the other server, which sometimes lags behind: then its last messages are lost."""

    # Seconds until every replica has read the histories of the new primary, once the old one is its
    # replica. Until then the old one may have taken messages that are lost.
    SETTLED = 10

    def __init__(self, world, sentinels):
        self.world = world
        self.sentinels = sentinels
        self.kills = 0
        self.promotions = 0
        self.lags = 0
        self.owed = 0  # trails that had lost messages
        self._lagging = None  # the server that is cut off from its primary
        self._owe_at = None
        self._primary = sentinels.primary()
        self._killed = None  # the server
        self._back_at = None  # None: when another is promoted
        self._explained = 0  # losses of what was heard before this time are
        self._next = None
        self._looked = 0

    def begin(self):
        self._next = time.monotonic() + self.world.random.uniform(3, 6)

    def explain(self, since):
        """Whether messages may have been lost by a failover after @p since."""
        self._look()
        return since < self._explained

    def step(self):
        now = time.monotonic()
        if now - self._looked < 0.25:
            return
        self._look()
        if self._killed:
            if self._owe_at and now >= self._owe_at:
                self._note_lost()
            self._restart(now)
        elif self._lagging and now >= self._next:
            self._kill_behind(now)
        elif self._lagging:
            pass
        elif now >= self._next and self._primary:
            self._kill(now)

    def _look(self):
        self._looked = time.monotonic()
        try:
            if self._primary and self.sentinels.has_promoted(self._primary):
                self._primary = self.sentinels.primary()
                self.promotions += 1
                self._explained = float("inf")
            if self._lagging and self._primary is self._lagging:
                ask(self._lagging.port, "CONFIG", "SET", "masterauth", '""')
                self._lagging = None
        except OSError:
            pass  # a server is busy or gone; it is asked again
        if self._explained == float("inf") and self._can_fail_over():
            self._explained = self._looked + self.SETTLED

    def _kill(self, now):
        is_short = self.promotions > 0 and self.world.random.random() < 0.3
        if not self._can_fail_over():  # a server that has not caught up would bring old data back
            return
        if not is_short and self.world.random.random() < 0.5:
            return self._cut_off(now)
        self._end_primary()
        self._back_at = now + self.world.random.uniform(0.1, 3) if is_short else None

    def _end_primary(self):
        self._killed = self._primary
        self._killed.kill()
        self.kills += 1

    def _cut_off(self, now):
        """The other server gets nothing from its primary any more."""
        self._lagging = next(r for r in self.sentinels.redises if r is not self._primary)
        ask(self._lagging.port, "CONFIG", "SET", "masterauth", "wrong")
        ask(self._lagging.port, "CLIENT", "KILL", "TYPE", "master")
        self._next = now + self.world.random.uniform(0.5, 1.5)

    def _kill_behind(self, now):
        self._end_primary()
        self._back_at = None
        self._owe_at = now + 1  # what the old primary has sent has arrived, and none is promoted yet

    def _note_lost(self):
        """Finds the trails that have got messages which the other server does not have."""
        self._owe_at = None
        if self._primary is not self._killed:
            return
        self.lags += 1
        for trail in self.world.trails:
            meta = f"{CHANNEL}:meta:{trail.room}"
            epoch, number = ask(self._lagging.port, "HMGET", meta, "e", "n")
            if trail.at and trail.at[0] == epoch and trail.at[1] > int(number):
                trail.is_owed = True
                self.owed += 1

    def _restart(self, now):
        if self._killed is not self._primary or (self._back_at and now > self._back_at):
            self._killed.start()
            self._killed = self._owe_at = None
            self._next = now + self.world.random.uniform(4, 10)

    def finish(self):
        """Returns when there is a primary with a replica again."""
        while self._killed or self._lagging:
            self.step()
            self.world.loop.turn(0.1)
        self.world.run_until(self._can_fail_over, "the Sentinels see a primary with a replica", 60)
        self._look()

    def _can_fail_over(self):
        try:
            return self.sentinels.can_fail_over()
        except OSError:
            return False


class Deaths:
    """One replica of the chat, which only trails visit, is killed and started again."""

    def __init__(self, world, start):
        self.world = world
        self.start = start
        self.replica = start()
        self.kills = 0
        self._next = None

    def begin(self):
        self._next = time.monotonic() + self.world.random.uniform(2, 5)

    def step(self):
        if time.monotonic() < self._next:
            return
        self.replica.server.kill()
        self.kills += 1
        self.replica = self.start()
        self._next = time.monotonic() + self.world.random.uniform(3, 8)
