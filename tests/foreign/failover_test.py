"""Two processes of the chat behind a Redis with Sentinels, while each part of it is killed.

Usage: failover_test.py PATH_OF_CHAT [unittest options]; needs Python's websockets, 10 to 15, and
redis-server. SEED=n in the environment repeats a run's order of events.
"""

import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
import unittest
from urllib.parse import quote

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from websockets.exceptions import ConnectionClosed, InvalidHandshake

import chat_test
import sentinels
from chat_test import Chat

CLIENTS = 6
WINDOW = 40  # messages that the slowest client may be behind; the chat keeps 100
BETWEEN = 60  # messages from one event to the next
PATIENCE = 60  # seconds; all of it takes some 15


class Member:
    """A client that stays in the room, comes back to any process, and talks all the time."""

    def __init__(self, world, number):
        self.world = world
        self.name = f"member{number}"
        self.ws = None
        self.position = ""  # what `resume` says
        self.at = None  # epoch and number; None: not known
        self.heard = 0  # when the position was told
        self.got = {}  # position -> the text, or None for the member's own
        self.losses = 0
        self.recoveries = 0
        self.said = 0
        self.sent_at = {}  # text -> when, of those that the server has not confirmed
        self.confirmed = {}  # text -> from when to when it was under way
        self.is_idle = asyncio.Event()  # none of its messages is under way
        self.is_idle.set()
        self.is_reachable = asyncio.Event()

    def __str__(self):
        return f"{self.name} at {self.position}, {'' if self.ws else 'dis'}connected, {len(self.got)} got"

    async def live(self):
        while True:
            chat = self.world.random.choice(self.world.chats)
            try:
                path = f"/ws/lobby?name={self.name}&resume={quote(self.position, safe='')}"
                self.ws = await chat.connect(path, subprotocols=["roost-chat"])
                talking = asyncio.create_task(self.talk())
                try:
                    while True:
                        self.hear(await self.ws.recv())
                finally:
                    talking.cancel()
                    self.ws = None
                    self.is_idle.set()
            except (ConnectionClosed, InvalidHandshake, OSError, asyncio.TimeoutError):
                await asyncio.sleep(0.05)  # as a client does before it comes again

    async def talk(self):
        try:
            while True:
                await self.is_reachable.wait()
                await self.world.until(self.world.may_talk)
                self.said += 1
                await self.say(f"{self.name} {self.said}")
        except (ConnectionClosed, AttributeError):
            pass  # `live` comes again

    async def say(self, text):
        """Returns when the server has confirmed it."""
        self.sent_at = {text: time.monotonic()}
        self.is_idle.clear()
        await self.ws.send(f"{text}\n{text}")
        await self.is_idle.wait()

    def hear(self, message):
        line, *payload = message.split("\n", 1)
        place, *words = line.split(" ")
        room, _, position = place.partition(":")
        event = json.loads(payload[0]) if payload else {}
        if not room:
            self.hear_for_me(event)
        elif position or words:
            self.move(place, position, words)
            if position and not words:
                self.keep(position, event.get("text"))
        elif event["event"] == "replicas":
            self.set_reachable(event["reachable"])
        self.world.notify()

    def hear_for_me(self, event):
        if event["event"] == "arrived":
            text = event["key"]
            self.confirmed[text] = (self.sent_at[text], time.monotonic())
            self.is_idle.set()
        elif "reachable" in event:  # the welcome, or news for everybody
            self.set_reachable(event["reachable"])

    def set_reachable(self, is_reachable):
        self.is_reachable.set() if is_reachable else self.is_reachable.clear()

    def move(self, place, position, words):
        why = next((word[5:] for word in words if word.startswith("lost=")), None)
        if why:
            self.losses += 1
            if not self.world.was_failing_over(self.heard):
                self.object(f"is told {words} without a failover")
        if not position:
            self.at = None
            return
        epoch, number, _ = position.split(".")
        now = (epoch, int(number))
        if "recovered" in words:
            self.recoveries += 1
            if place != self.position:
                self.object(f"is recovered at {place}")
        elif "joined" in words and not why and self.position:
            self.object("is not told whether it is recovered")
        elif not words and (not self.at or now != (self.at[0], self.at[1] + 1)):
            self.object(f"got {place}")
        self.at, self.position, self.heard = now, place, time.monotonic()

    def keep(self, position, text):
        if position in self.got:
            self.object(f"got {position} again")
        self.got[position] = text
        if text and self.world.texts.setdefault(position, text) != text:
            self.object(f"{position} is {text}, and {self.world.texts[position]}")

    def object(self, problem):
        self.world.problems.append(f"{self.name} at {self.position}: {problem}")


class World:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.chats = []
        self.members = [Member(self, n) for n in range(CLIENTS)]
        self.texts = {}  # position -> text
        self.problems = []
        self.outages = []  # of Redis: [from, to]
        self.is_over = False
        self._changed = []

    def tip(self):
        return max(len(member.got) for member in self.members)

    def may_talk(self):
        if not all(member.position for member in self.members):
            return False  # all are in before anybody talks, so that all get the same messages
        return not self.is_over and self.tip() - min(len(m.got) for m in self.members) < WINDOW

    def was_failing_over(self, since, until=None):
        return any(since < end and (until is None or start < until) for start, end in self.outages)

    def notify(self):
        waiting, self._changed = self._changed, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, predicate):
        """Waits until what the members hear makes @p predicate true."""
        while not predicate():
            self._changed.append(asyncio.get_running_loop().create_future())
            await self._changed[-1]

    async def until_all_hear(self, count):
        """Until each member has got so many messages more."""
        goals = [len(member.got) + count for member in self.members]
        await self.until(lambda: all(len(m.got) >= g for m, g in zip(self.members, goals)))

    def is_quiet(self):
        return all(m.ws and m.at and m.is_idle.is_set() for m in self.members)

    def all_have(self, text):
        """Whether all members are at the message @p text."""
        positions = {member.position.partition(":")[2] for member in self.members}
        return len(positions) == 1 and self.texts.get(positions.pop()) == text


class FailoverTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.seed = int(os.environ.get("SEED", random.randrange(2**31)))
        self.world = World(self.seed)
        self.folder = tempfile.TemporaryDirectory(prefix="roost-failover-")
        self.addCleanup(self.folder.cleanup)
        self.redis = await asyncio.to_thread(sentinels.Sentinels, self.folder.name)
        self.addCleanup(self.redis.kill)
        for _ in range(2):
            await self.start_chat()

    async def start_chat(self):
        chat = await Chat.start("--redis", self.redis.url)
        self.addAsyncCleanup(chat.stop, signal.SIGKILL)
        self.world.chats.append(chat)

    async def kill_a_chat(self):
        chat = self.world.chats.pop(self.world.random.randrange(2))
        await chat.stop(signal.SIGKILL)
        await self.world.until_all_hear(BETWEEN)  # from the other one
        await self.start_chat()

    async def kill_the_primary(self):
        primary = self.redis.primary()
        self.world.outages.append([time.monotonic(), float("inf")])
        primary.kill()
        # One comes back in the middle of it: it waits for the new primary, or is told of a loss.
        unlucky = self.world.random.choice(self.world.members)
        if unlucky.ws:
            unlucky.ws.transport.abort()
        await asyncio.to_thread(sentinels.until, lambda: self.redis.has_promoted(primary),
                                "the other server is the primary")
        await self.world.until_all_hear(BETWEEN)
        self.world.outages[-1][1] = time.monotonic()

    async def cut_a_client(self):
        member = self.world.random.choice(self.world.members)
        await self.world.until(lambda: member.ws and member.at)
        before = member.recoveries + member.losses
        member.ws.transport.abort()
        await self.world.until(lambda: member.recoveries + member.losses > before)

    async def test_every_client_has_every_message_once_and_in_order(self):
        events = [self.kill_a_chat] * 2 + [self.kill_the_primary] + [self.cut_a_client] * 5
        self.world.random.shuffle(events)
        print(f"SEED={self.seed}:", ", ".join(event.__name__ for event in events), flush=True)
        lives = [asyncio.create_task(member.live()) for member in self.world.members]
        try:
            await asyncio.wait_for(self.run_events(events), PATIENCE)
        except asyncio.TimeoutError:
            self.fail(f"stands still: {[str(m) for m in self.world.members]}, {self.world.problems}")
        finally:
            for life in lives:
                life.cancel()
            ended = await asyncio.gather(*lives, return_exceptions=True)
        self.assertEqual([e for e in ended if not isinstance(e, asyncio.CancelledError)], [])
        self.judge()

    async def run_events(self, events):
        world = self.world
        await world.until_all_hear(BETWEEN)
        for event in events:
            await event()
            await world.until_all_hear(BETWEEN)
        world.is_over = True
        await world.until(world.is_quiet)
        await world.members[0].say("end")  # it is recorded after everything else
        await world.until(lambda: world.all_have("end"))

    def judge(self):
        world = self.world
        self.assertEqual(world.problems, [])
        print(f"{world.tip()} messages, {sum(m.recoveries for m in world.members)} recovered, "
              f"{sum(m.losses for m in world.members)} losses told")
        # All have the same positions in the same order, except a member that was told of a loss.
        complete = [list(m.got) for m in world.members if not m.losses]
        for positions in complete:
            self.assertEqual(positions, complete[0])
        if complete:
            self.assertLessEqual(set(world.texts), set(complete[0]))
        # A confirmed text is recorded, unless Redis was away while it was under way.
        recorded = list(world.texts.values())
        self.assertEqual(len(recorded), len(set(recorded)))
        for member in world.members:
            for text, (start, end) in member.confirmed.items():
                if not world.was_failing_over(start, end):
                    self.assertIn(text, world.texts.values())


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    chat_test.CHAT = sys.argv.pop(1)
    unittest.main()
