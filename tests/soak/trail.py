# SPDX-License-Identifier: MIT
"""Clients of rooms with a history that come back, to any replica, and the ledger of what they got."""

import time

from client import Client

KEPT_ROOMS = 10


class Visit(Client):
    """One connection of a trail."""

    def __init__(self, trail, port):
        self.trail = trail
        self.said = 0
        self.name = trail.world.next_name()
        super().__init__(trail.world.loop, port, f"{trail.room}?resume={trail.token}")

    def speak(self):
        self.said += 1
        self.say(b"%d %d" % (self.name, self.said))

    def on_text(self, payload):
        if self.trail.visit is self:
            self.trail.note(payload)

    def on_end(self):
        if self.trail.visit is self:
            self.trail.visit = None

    def vanish(self):
        """The network is cut: nothing is read or answered any more, and nobody is told."""
        self.stop_reading()
        self.trail.visit = None


class Trail:
    """It gets every message once and in order, or is told that it has lost some, which only a
    failover of Redis explains: each Redis writes to its disk, so that it comes back with all."""

    def __init__(self, world, name):
        self.world = world
        self.name = name
        self.room = f"kept{name % KEPT_ROOMS}"
        self.token = ""
        self.at = None  # epoch and number; None: not known
        self.heard = time.monotonic()  # when `token` was told
        self.said = {}  # visit -> the last of its messages that was got
        self.received = 0
        self.lost = 0
        self.is_owed = False  # it got messages that a failover took away, and was not told yet
        self.line = ""  # the last one
        self.visit = None

    def __str__(self):
        state = "away" if not self.visit else "connected" if self.visit.is_open else "connecting"
        return f"trail {self.name} at {self.token or self.room} {self.at}, {state}, {self.line}"

    def come(self):
        self.visit = Visit(self, self.world.random.choice(self.world.places).port)

    def object(self, problem):
        self.world.auditor.object(f"trail {self.name} at {self.token}: {problem}")

    def note(self, payload):
        line, _, text = payload.decode().partition("\n")
        self.line = line
        head, *words = line.split(" ")
        _, _, position = head.partition(":")
        why = next((w[5:] for w in words if w.startswith("lost=")), None)
        if why:
            self.is_owed = False
        if why == "unavailable":
            self.world.unavailable += 1
        if not position:
            if words:  # the history cannot be read while Redis is away
                self.at = None
            else:
                self.object(f"got {text!r} that is not recorded")
            return
        epoch, number, mark = position.split(".")
        self.check((epoch, int(number)), head, words, why)
        self.at, self.token, self.heard = (epoch, int(number)), head, time.monotonic()
        if text:
            self.keep(position, text)

    def check(self, now, head, words, why):
        if why:
            if why == "unavailable":
                return
            self.lost += 1
            self.said.clear()  # what follows may be what it had before
            if not self.world.failovers.explain(self.heard):
                self.object(f"is told {words} without a failover")
        elif "recovered" in words:
            if head != self.token:
                self.object(f"is recovered at {head}")
        elif "joined" in words:
            if self.token:
                self.object("is not told whether it is recovered")
        elif self.at is None:
            self.object(f"got {head} before it was told where it is")
        elif now != (self.at[0], self.at[1] + 1):
            self.object(f"got {head}")

    def keep(self, position, text):
        self.received += 1
        # A position stands for one text, and a text for one position, on all replicas and through
        # all failovers.
        if self.world.ledger.setdefault((self.room, position), text) != text:
            self.object(f"{position} is {text}, and {self.world.ledger[self.room, position]}")
        if self.world.places_of_texts.setdefault(text, position) != position:
            self.object(f"{text} is at {position}, and at {self.world.places_of_texts[text]}")
        visit, number = map(int, text.split())
        if number <= self.said.get(visit, 0):
            self.object(f"got {number} of {visit} after {self.said[visit]}")
        self.said[visit] = number
