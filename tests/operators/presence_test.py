"""Presence over processes: users come and go while replicas are killed, suspended and restarted.

Usage: presence_test.py PRESENCE_SERVER [unittest options]; needs Python's websockets, 10 to 15, and
redis-server. SEED=n in the environment repeats a run's choices.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from urllib.parse import quote

from websockets.exceptions import ConnectionClosed
from websockets.legacy import client as legacy  # the one that all of its versions have

SERVER = None
PATIENCE = 90  # seconds; a lease of 5 s is the longest that anything takes
USERS = [f"user{i}" for i in range(8)]
LABELS = ["a", "b", "c"]


class Client:
    """A connection of a user, and what it has been told."""

    def __init__(self, replica, user):
        self.replica = replica
        self.user = user
        self.is_open = True
        self.told = None  # not known yet
        self.answers = asyncio.Queue()

    def __str__(self):
        return f"{self.user} at {self.replica.label}, told {self.told and sorted(self.told)}"

    async def open(self):
        url = f"ws://127.0.0.1:{self.replica.port}/?user={quote(self.user)}"
        self.ws = await legacy.connect(url, ping_interval=None, close_timeout=PATIENCE)
        self.reading = asyncio.create_task(self.read())
        await self.ws.send("told")

    async def read(self):
        try:
            while True:
                message = json.loads(await self.ws.recv())
                if "told" in message:
                    self.told = set(message["told"])
                elif "came" not in message:
                    self.answers.put_nowait(message)
                elif self.told is not None:
                    if message["all"]:
                        self.told.clear()
                    self.told = (self.told - set(message["went"])) | set(message["came"])
        except ConnectionClosed:
            self.is_open = False

    async def ask(self, word):
        await self.ws.send(word)
        return await asyncio.wait_for(self.answers.get(), PATIENCE)

    async def leave(self, in_order):
        self.is_open = False
        if in_order:
            await self.ws.close()
        else:
            self.ws.transport.abort()
        await self.reading


class Replica:
    def __init__(self, world, label):
        self.world = world
        self.label = label
        self.process = None

    async def start(self):
        self.process = subprocess.Popen([SERVER, self.world.redis_url, self.label],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.port = int(await asyncio.to_thread(self.process.stdout.readline))
        self.is_up = True

    async def end(self, number):
        self.is_up = False
        self.process.send_signal(number)
        code = await asyncio.wait_for(asyncio.to_thread(self.process.wait), PATIENCE)
        self.process.stdout.close()
        return code

    def suspend(self):
        self.is_up = False
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)
        self.is_up = True

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process:
            self.process.stdout.close()


class World:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.folder = tempfile.TemporaryDirectory(prefix="roost-presence-")
        path = os.path.join(self.folder.name, "redis")
        self.redis_url = f"unix://{path}"
        self.redis = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "",
                                       "--dir", self.folder.name], stdout=subprocess.DEVNULL)
        self.socket = path
        self.replicas = [Replica(self, label) for label in LABELS]
        self.clients = []  # they come and go
        self.watchers = []  # they stay, and ask

    def end(self):
        for replica in self.replicas:
            replica.kill()
        self.redis.kill()
        self.redis.wait()
        self.folder.cleanup()

    async def until(self, what, predicate):
        """Waits until the predicate, or the coroutine that it is, is true."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self.clients = [client for client in self.clients if client.is_open]
            result = predicate()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"not reached: {what}\n" + "\n".join(map(str, self.connected())))
            await asyncio.sleep(0.05)  # from one look to the next

    async def come(self):
        replica = self.random.choice([one for one in self.replicas if one.is_up])
        client = Client(replica, self.random.choice(USERS))
        await asyncio.wait_for(client.open(), PATIENCE)
        self.clients.append(client)

    async def watch(self, replica):
        watcher = Client(replica, f"watcher {replica.label}")
        await asyncio.wait_for(watcher.open(), PATIENCE)
        self.watchers.append(watcher)
        return watcher

    async def churn(self, count):
        """Connections come and go. Those to a suspended replica break."""
        for _ in range(count):
            self.clients = [client for client in self.clients if client.is_open]
            if len(self.clients) < 4 or (len(self.clients) < 16 and self.random.random() < 0.5):
                await self.come()
            else:
                client = self.clients.pop(self.random.randrange(len(self.clients)))
                await client.leave(client.replica.is_up and self.random.random() < 0.7)

    def truth(self):
        """The users who are connected to replicas that are up."""
        return sorted({client.user for client in self.connected()})

    def connected(self):
        return [one for one in self.clients + self.watchers if one.is_open and one.replica.is_up]

    async def is_right(self, watchers):
        """Whether the replicas of these watchers know who is there, and their clients do."""
        for watcher in watchers:
            if (await watcher.ask("present"))["present"] != self.truth():
                return False
        return all(client.told is not None and sorted(client.told) == self.truth()
                   for client in self.connected())

    async def names(self, watcher):
        return {label: name for name, label in (await watcher.ask("replicas"))["replicas"].items()}

    async def know(self, watchers, labels):
        """Whether the replicas of these watchers know those with these labels, and no others."""
        for watcher in watchers:
            if sorted((await watcher.ask("replicas"))["replicas"].values()) != sorted(labels):
                return False
        return True


class PresenceTest(unittest.TestCase):
    def test_lists_are_right_whatever_happens_to_replicas(self):
        seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
        world = World(seed)
        self.addCleanup(world.end)
        try:
            asyncio.run(self.play(world))
        except BaseException:
            print(f"SEED={seed}", file=sys.stderr)
            raise

    async def play(self, world):
        await world.until("Redis listens", lambda: os.path.exists(world.socket))
        for replica in world.replicas:
            await replica.start()
        stays, killed, paused = world.random.sample(world.replicas, 3)
        witness = await world.watch(stays)
        everybody = [witness, await world.watch(killed), await world.watch(paused)]
        await world.until("all know each other", lambda: world.know(everybody, LABELS))
        await world.churn(60)
        await world.until("a quiet beginning", lambda: world.is_right(everybody))

        names = await world.names(witness)
        paused.suspend()
        self.assertEqual(await killed.end(signal.SIGKILL), -signal.SIGKILL)
        survey = await witness.ask("ask")
        self.assertEqual(survey["answers"], [names[stays.label]])
        self.assertEqual(survey["missing"], sorted([names[killed.label], names[paused.label]]))
        await world.churn(30)
        await world.until("two are buried", lambda: world.know([witness], [stays.label]))
        await world.until("only who is here counts", lambda: world.is_right([witness]))

        paused.resume()
        await killed.start()
        await world.churn(30)
        everybody = [witness, await world.watch(killed), await world.watch(paused)]
        await world.until("all are back", lambda: world.know(everybody, LABELS))
        await world.until("nothing is left of the dead", lambda: world.is_right(everybody))

        witness = everybody[1]
        stays.is_up = False  # before anybody is sent there
        stopping = asyncio.create_task(stays.end(signal.SIGTERM))
        await world.churn(30)
        self.assertEqual(await stopping, 0)
        await stays.start()
        await world.churn(30)
        everybody = [witness, everybody[2], await world.watch(stays)]
        await world.until("all are back after a stop", lambda: world.know(everybody, LABELS))
        await world.until("all lists are right in the end", lambda: world.is_right(everybody))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    SERVER = sys.argv.pop(1)
    unittest.main()
