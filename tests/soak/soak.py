# SPDX-License-Identifier: MIT
"""A hostile world in small: see --help. cmake/soak.sh builds the server and runs this."""

import argparse
import http.client
import json
import os
import random
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from audit import Auditor
from client import TEXT, Client, Loop, frame
from failovers import Deaths, Failovers
from sentinels import Process, Sentinels
from trail import Trail, Visit

ROOMS = 40


class Replica:
    def __init__(self, program, url):
        self.server = Process([program, url])
        self.port = int(self.server.line_with(""))
        self.pid = self.server.process.pid

    def stats(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", "/stats")
        stats = json.loads(connection.getresponse().read())
        connection.close()
        return stats

    def memory(self):
        with open(f"/proc/{self.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Member(Client):
    """Behaves: reads all, sends a number now and then, and answers what it is asked."""

    def __init__(self, world, replica, room):
        self.world = world
        self.replica = replica
        self.name = world.next_name()
        self.number = 0
        self.is_leaving = False
        self.audit = world.auditor.member(self.name, replica)
        super().__init__(world.loop, world.replicas[replica].port, room)

    def chat(self):
        self.number += 1
        self.say(b"%d %d" % (self.name, self.number))

    def on_text(self, payload):
        self.audit.note(payload)

    def go(self, politely):
        self.is_leaving = True
        self.leave() if politely else self.reset()

    def on_end(self):
        if not self.is_leaving:
            self.world.dropped.append((self.name, self.is_open, self.closed_with))
        self.world.members.discard(self)


class Flooder(Client):
    """Sends as fast as it is let, in a room of its kind."""

    def on_open(self):
        self.push()

    def push(self):
        if self.is_open and len(self._unsent) < 65536:
            self.send(frame(TEXT, b"flood" * 20) * 500)  # over the burst


class World:
    def __init__(self, options, replicas, sentinels, start_replica):
        self.options = options
        self.random = random.Random(options.seed)
        self.replicas = replicas
        self.failovers = Failovers(self, sentinels)
        self.deaths = Deaths(self, start_replica)
        self.loop = Loop()
        self.auditor = Auditor(len(replicas))
        self.members = set()
        self.dropped = []
        self.names = 0
        self.trails = [Trail(self, name) for name in range(options.trails)]
        self.ledger = {}  # of the trails: room and position -> text
        self.places_of_texts = {}
        self.cuts = 0
        self.unavailable = 0

    @property
    def places(self):
        """Where a trail may come: the last one is killed now and then."""
        return [*self.replicas, self.deaths.replica]

    def next_name(self):
        self.names += 1
        return self.names

    # --- who comes and goes ---

    def add_member(self):
        replica = self.random.randrange(len(self.replicas))
        self.members.add(Member(self, replica, f"room{self.random.randrange(ROOMS)}"))

    def add_trouble(self):
        port = self.random.choice(self.replicas).port
        room = f"room{self.random.randrange(ROOMS)}"
        kind = self.random.randrange(6)
        flood = f"flood{self.random.randrange(12)}"
        if kind == 0:  # never reads, where little comes or much
            Client(self.loop, port, self.random.choice((room, flood)), reads=False)
        elif kind == 1:
            Flooder(self.loop, port, flood)
        elif kind == 2:  # does not finish its request
            Client(self.loop, port, room, request="GET /ws/slow HTTP/1.1\r\nHost: ")
        elif kind == 3:  # breaks the rules
            Client(self.loop, port, room).send(self.random.randbytes(50))
        elif kind == 4:  # half a frame, and vanishes later
            Client(self.loop, port, room).send(b"\x81\xfe\x01\x00\0\0\0\0half")
        else:  # vanishes at once
            client = Client(self.loop, port, room)
            self.loop.turn(0)
            client.reset()

    def play(self, seconds):
        """Members chat, some go and others come; a few make trouble; servers die now and then."""
        end = time.monotonic() + seconds
        self.failovers.begin()
        self.deaths.begin()
        last = time.monotonic()
        while time.monotonic() < end:
            self.loop.turn(0.01)
            now = time.monotonic()
            elapsed, last = min(now - last, 0.25), now
            for _ in range(min(50, self.options.members - len(self.members))):
                self.add_member()
                self.loop.turn(0)
            everybody = list(self.members)
            for member in self.sample(everybody, elapsed * self.options.messages):
                if member.is_open and not member.is_leaving:
                    member.chat()
            for member in self.sample(everybody, elapsed * self.options.leave):
                if member.is_open and not member.is_leaving:
                    member.go(self.random.random() < 0.5)
            self.walk(elapsed)
            for _ in range(self.count(elapsed * self.options.trouble)):
                self.add_trouble()
            others = [c for c in self.loop.clients() if not isinstance(c, (Member, Visit))]
            for client in self.sample(others, elapsed * self.options.trouble):
                if self.random.random() < 0.5:
                    client.reset()
                elif isinstance(client, Flooder):
                    client.push()
            self.failovers.step()
            self.deaths.step()
        self.failovers.finish()

    def walk(self, elapsed):
        for trail in self.trails:
            if not trail.visit and self.random.random() < 2 * elapsed:
                trail.come()
        there = [trail.visit for trail in self.trails if trail.visit and trail.visit.is_open]
        for visit in self.sample(there, elapsed * self.options.messages / 10):
            visit.speak()
        for visit in self.sample(there, elapsed * self.options.leave):
            kind = self.random.randrange(3)
            if kind == 0:
                visit.leave()
            elif kind == 1:
                visit.reset()
            else:
                visit.vanish()
                self.cuts += 1

    def trails_agree(self):
        """All trails are connected, and those of a room have the same to the last message."""
        ends = {}
        for trail in self.trails:
            if not trail.visit:
                trail.come()
            is_in = trail.visit and trail.visit.is_open and trail.at
            ends.setdefault(trail.room, set()).add(trail.token if is_in else None)
        return all(len(tokens) == 1 and None not in tokens for tokens in ends.values())

    def count(self, expected):
        return int(expected) + (self.random.random() < expected % 1)

    def sample(self, some, expected):
        return self.random.sample(some, min(len(some), self.count(expected)))

    def everybody_leaves(self):
        self.run_until(lambda: all(m.is_open for m in self.members), "everybody is in")
        self.run_until(self.all_heard, "all of a replica have heard each other to the end")
        try:
            self.run_until(self.trails_agree, "the trails of each room are at the same place")
        except SystemExit:
            for trail in sorted(self.trails, key=lambda trail: trail.room):
                print(trail)
            raise
        for trail in self.trails:
            if trail.is_owed:
                trail.object("is not told that a failover took messages away")
        for member in list(self.members):
            member.go(politely=True)
        for client in self.loop.clients():
            if not isinstance(client, Member):
                client.reset()
        self.run_until(lambda: not self.loop.clients(), "everybody has left")

    def all_heard(self):
        """Nobody lacks the last message of a member of its own replica."""
        return all(author.number == member.audit.last(author.name)
                   for author in self.members
                   for member in self.members
                   if (author.replica, author.room) == (member.replica, member.room)
                   and (author is member or member.audit.last(author.name)))

    def run_until(self, predicate, what, seconds=40):
        end = time.monotonic() + seconds
        while not predicate():
            if time.monotonic() > end:
                raise SystemExit(f"soak: waited in vain until {what}")
            self.loop.turn(0.05)

    def run_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.loop.turn(0.05)

    def all_quiet(self):
        """The replicas have nobody, hear each other, and owe nobody anything."""
        def is_quiet(stats):
            gauges = ("connections", "rooms", "queued_bytes", "outbox_memory", "blocked", "spooled", "in_flight")
            return stats["redis"] == "subscribed" and not any(stats[g] for g in gauges)

        try:
            self.run_until(lambda: all(is_quiet(r.stats()) for r in self.replicas), "all is quiet")
        except SystemExit:
            for replica in self.replicas:
                print(replica.stats())
            raise
        self.run_for(3)  # the last losses are announced, sockets linger


def judge(world, before, problems):
    for i, replica in enumerate(world.replicas):
        files, memory = replica.files(), replica.memory()  # before a request opens one more
        stats = replica.stats()
        was = before[i]
        print(f"replica {i}: {stats['accepted']} accepted, {stats['deliveries']} deliveries, "
              f"{stats['lost']} lost with Redis, {stats['rate_limited']} held back, memory {was['memory'] >> 10} -> {memory >> 10} KiB, "
              f"files {was['files']} -> {files}")
        print("  ended: " + ", ".join(f"{k} {v}" for k, v in stats["by_reason"].items() if v))
        if stats["accepted"] != stats["ended"]:
            problems.append(f"replica {i}: {stats['accepted']} came, {stats['ended']} went")
        if files != was["files"]:
            problems.append(f"replica {i} has {files} open files, not {was['files']}")
        if stats["running"] != was["running"]:
            problems.append(f"replica {i} runs {stats['running']} operations, not {was['running']}")
        bound = was["memory"] * 5 // 4 + (8 << 20)
        if memory > bound:
            problems.append(f"replica {i} has {memory >> 10} KiB, over {bound >> 10}")
        if world.auditor.missed(i) > stats["lost"]:
            problems.append(f"replica {i}: {world.auditor.missed(i)} messages of the other were "
                            f"missed, {stats['lost']} of them known")
    problems += world.auditor.problems
    if world.dropped:
        problems.append(f"{len(world.dropped)} members that behave were dropped: {world.dropped[:5]}")


def tell(world):
    print(f"{world.names} clients, {world.auditor.received} messages audited")
    print(f"{world.failovers.kills} times Redis was killed and {world.failovers.promotions} times "
          f"another promoted, {world.failovers.lags} times one that lagged behind, "
          f"{world.deaths.kills} times a replica was killed, {world.cuts} clients vanished")
    print(f"{sum(t.received for t in world.trails)} messages of histories, {len(world.ledger)} "
          f"different; {sum(r.stats()['recovered'] for r in world.places)} clients recovered, "
          f"{sum(t.lost for t in world.trails)} were told of a loss, {world.failovers.owed} had to be, "
          f"{world.unavailable} came while Redis was away")


def main():
    parser = argparse.ArgumentParser(description="Replicas behind a Redis that is killed and fails "
                                     "over again and again, among clients of every kind.")
    parser.add_argument("--server", required=True)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    parser.add_argument("--members", type=int, default=1000, help="who behave, at once")
    parser.add_argument("--messages", type=float, default=300, help="a second, of all members")
    parser.add_argument("--leave", type=float, default=20, help="members a second that are replaced")
    parser.add_argument("--trails", type=int, default=100, help="who come back to a history")
    parser.add_argument("--trouble", type=float, default=20, help="others a second")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)

    problems = []
    with tempfile.TemporaryDirectory(prefix="roost-soak-") as folder:
        # The soak leaves no core idle: a live primary must not look dead for that.
        sentinels = Sentinels(folder, down_after_ms=3000)
        replicas = []
        world = None
        try:
            def start_replica():
                return Replica(options.server, sentinels.url)

            replicas = [start_replica() for _ in range(2)]
            world = World(options, replicas, sentinels, start_replica)
            # A while of the same first: memory that the allocator keeps is not a leak.
            world.play(min(30, options.minutes * 15))
            world.everybody_leaves()
            world.all_quiet()
            before = [{"memory": r.memory(), "files": r.files(), "running": r.stats()["running"]}
                      for r in replicas]
            world.play(options.minutes * 45)
            world.everybody_leaves()
            world.all_quiet()
            judge(world, before, problems)
            tell(world)
            for i, replica in enumerate(world.places):
                if replica.server.end() != 0:
                    problems.append(f"replica {i} did not end well")
        finally:
            sentinels.kill()
            for replica in world.places if world else replicas:
                replica.server.kill()
    for problem in problems:
        print("PROBLEM:", problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
