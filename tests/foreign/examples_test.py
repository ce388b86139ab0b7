"""The examples, each driven by a client that shares no code with it.

Usage: examples_test.py FOLDER_OF_PROGRAMS [unittest options]; needs Python's websockets, 10 to 15,
redis-server and openssl.
"""

import asyncio
import http.client
import json
import pathlib
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import unittest

from websockets.exceptions import InvalidStatusCode
from websockets.legacy import client as legacy  # the one that all of its versions have

FOLDER = None  # of the programs
PROJECT = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT = 30  # seconds; what should happen happens at once, a sanitizer is slow


def soon(awaitable):
    return asyncio.wait_for(awaitable, TIMEOUT)


class Program:
    """A running example, which has said where it listens."""

    @classmethod
    async def start(cls, name, before=(), after=()):
        self = cls()
        self.process = await asyncio.create_subprocess_exec(
            f"{FOLDER}/{name}", *before, "0", *after, stdout=asyncio.subprocess.PIPE)
        match = await self.printed(rf"{name}: \w+://127\.0\.0\.1:(\d+)/")
        self.port = int(match[1])
        return self

    async def printed(self, pattern):
        """Waits for a line that matches."""
        while line := (await soon(self.process.stdout.readline())).decode():
            if match := re.fullmatch(pattern, line.rstrip("\n")):
                return match
        raise AssertionError(f"the program ended without a line like {pattern}")

    async def stop(self):
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return await soon(self.process.wait())
        except asyncio.TimeoutError:
            self.process.kill()
            raise AssertionError(f"still running {TIMEOUT} s after SIGTERM") from None

    def connect(self, path="/", **options):
        scheme = "wss" if "ssl" in options else "ws"
        return soon(legacy.connect(f"{scheme}://127.0.0.1:{self.port}{path}", **options))

    def get(self, path, headers={}):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        response.text = response.read().decode()
        connection.close()
        return response


class ExampleTest(unittest.IsolatedAsyncioTestCase):
    async def start(self, name, before=(), after=()):
        program = await Program.start(name, before, after)
        self.addAsyncCleanup(self.stop, program)
        return program

    async def stop(self, program):
        # With a sanitizer the status also says that nothing leaked.
        self.assertEqual(await program.stop(), 0)

    async def assert_refused(self, status, connecting):
        with self.assertRaises(InvalidStatusCode) as refusal:
            await connecting
        self.assertEqual(refusal.exception.status_code, status)

    async def reach(self, receiver, sender, message):
        """Sends until something arrives: who is connected may be no member yet."""
        async def send_on():
            while True:
                await sender.send(message)
                try:
                    return await asyncio.wait_for(receiver.recv(), 0.5)
                except asyncio.TimeoutError:
                    pass
        return await soon(send_on())


class Echo(ExampleTest):
    async def test_a_message_comes_back(self):
        echo = await self.start("echo")
        ws = await echo.connect()
        for message in ("héllo", b"\x00\xff", ""):
            await ws.send(message)
            self.assertEqual(await soon(ws.recv()), message)
        self.assertEqual(await echo.stop(), 0)
        await soon(ws.wait_closed())
        self.assertEqual(ws.close_code, 1012)
        self.assertRegex(ws.close_reason, r"^retry-ms=\d+$")


    async def test_a_port_that_is_none_is_named(self):
        for port in ("banana", "65536", "-1", ""):
            with self.subTest(port):
                run = subprocess.run([f"{FOLDER}/echo", port], capture_output=True, text=True,
                                     timeout=TIMEOUT)
                self.assertEqual(run.returncode, 2)
                self.assertIn(f"not {port}", run.stderr)


class Tls(ExampleTest):
    async def test_a_message_comes_back_over_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                            "-subj", "/CN=roost", "-addext", "subjectAltName=IP:127.0.0.1",
                            "-keyout", key, "-out", cert], check=True, capture_output=True)
            tls = await self.start("tls", before=(cert, key))
            trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            trusting.load_verify_locations(cert)  # this one only
        ws = await tls.connect(ssl=trusting)
        for message in ("x" * 100_000, b"\x00\xff" * 50_000):
            await ws.send(message)
            self.assertEqual(await soon(ws.recv()), message)


class Authentication(ExampleTest):
    alice = {"Authorization": "Bearer alices-secret"}
    bob = {"Authorization": "Bearer bobs-secret"}

    async def asyncSetUp(self):
        self.server = await self.start("authentication")

    async def assert_is(self, ws, name):
        await ws.send("hello")
        self.assertEqual(json.loads(await soon(ws.recv())), {"from": name, "text": "hello"})
        await ws.close()

    async def test_a_token_in_a_header_is_enough(self):
        await self.assert_is(await self.server.connect("/ws/lobby", extra_headers=self.alice), "Alice")

    async def test_a_token_as_a_subprotocol_is_enough_and_does_not_come_back(self):
        ws = await self.server.connect("/ws/lobby", subprotocols=["chat", "bearer.bobs-secret"])
        self.assertEqual(ws.subprotocol, "chat")
        await self.assert_is(ws, "Bob")

    async def test_a_ticket_is_good_once(self):
        ticket = self.server.get("/ticket", self.bob).text
        self.assertRegex(ticket, r"^[0-9a-f]{32}$")
        path = f"/ws/lobby?ticket={ticket}"
        await self.assert_is(await self.server.connect(path), "Bob")
        await self.assert_refused(401, self.server.connect(path))

    async def test_the_scheme_is_written_in_any_case_with_any_spaces(self):
        for value in ("bearer alices-secret", "BEARER alices-secret", "Bearer  alices-secret",
                      "bEARER \t alices-secret "):
            with self.subTest(value):
                headers = {"Authorization": value}
                await self.assert_is(
                    await self.server.connect("/ws/lobby", extra_headers=headers), "Alice")
                self.assertRegex(self.server.get("/ticket", headers).text, r"^[0-9a-f]{32}$")

    async def test_a_query_makes_no_other_path(self):
        for query in ("?", "?x", "?utm_source=/mail"):
            self.assertRegex(self.server.get("/ticket" + query, self.bob).text, r"^[0-9a-f]{32}$")
        self.assertEqual(self.server.get("/tickets", self.bob).status, 404)

    async def test_a_relayed_message_fits_clients_with_their_default_limits(self):
        longest = "\x01" * (160 * 1024)  # each is six characters of JSON
        alice = await self.server.connect("/ws/lobby", extra_headers=self.alice)
        bob = await self.server.connect("/ws/lobby", extra_headers=self.bob)
        said = {"from": "Alice", "text": longest}
        self.assertEqual(json.loads(await self.reach(bob, alice, longest)), said)
        self.assertEqual(json.loads(await soon(alice.recv())), said)
        await alice.send(longest + "x")
        await soon(alice.wait_closed())
        self.assertEqual(alice.close_code, 1009)
        await soon(await bob.ping())

    async def test_without_a_token_that_is_known_nobody_comes_in(self):
        for options in ({}, {"extra_headers": {"Authorization": "Bearer guessed"}},
                        {"extra_headers": {"Authorization": "Basic alices-secret"}},
                        {"subprotocols": ["chat"]}, {"subprotocols": ["chat", "bearer.guessed"]},
                        {"subprotocols": ["chat", "not-bearer.bobs-secret"]}):
            with self.subTest(options):
                await self.assert_refused(401, self.server.connect("/ws/lobby", **options))
        await self.assert_refused(401, self.server.connect("/ws/lobby?ticket=guessed"))
        self.assertEqual(self.server.get("/ticket").status, 401)

    async def test_a_room_is_for_those_who_may(self):
        await self.assert_refused(403, self.server.connect("/ws/staff", extra_headers=self.bob))
        await self.assert_is(await self.server.connect("/ws/staff", extra_headers=self.alice), "Alice")


class ExistingServer(ExampleTest):
    async def test_pages_and_rooms_are_on_one_port(self):
        server = await self.start("existing_server")
        self.assertEqual(server.get("/page").text, "You asked for /page\n")
        alice, bob = [await server.connect("/ws/lobby") for _ in range(2)]
        eve = await server.connect("/ws/elsewhere")
        await eve.send("from elsewhere")
        self.assertEqual(await self.reach(alice, bob, "hello"), "hello")
        await self.assert_refused(403, server.connect("/ws/lobby", origin="https://evil.example"))
        await self.assert_refused(404, server.connect("/elsewhere"))
        self.assertEqual(await server.stop(), 0)
        for ws in (alice, bob, eve):
            await soon(ws.wait_closed())
            self.assertEqual(ws.close_code, 1012)


class Replicas(ExampleTest):
    def record(self, redis, folder, text):
        """Records a text as a backend in another language does, with the script of the guide."""
        page = (PROJECT / "cmake/docs/redis.md").read_text(encoding="utf-8")
        script = f"{folder}/record.lua"
        with open(script, "w", encoding="utf-8") as file:
            file.write(re.search(r"^```lua\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[1])
        return subprocess.run(
            [sys.executable, PROJECT / "examples/record.py", redis, "roost-replicas", "lobby", text,
             script], check=True, timeout=TIMEOUT, stdout=subprocess.PIPE, text=True).stdout.strip()

    async def come_back(self, here, there, carol, redis, folder):
        dave = await here.connect("/?resume=")
        self.assertTrue((await soon(dave.recv())).endswith(" joined"))
        live = self.record(redis, folder, "live")
        line = ""
        while not line.startswith(f"lobby:{live}\n"):  # after what Carol has repeated
            line = await soon(dave.recv())
        self.assertEqual(line, f"lobby:{live}\nlive")
        await soon(dave.close())
        await carol.send("missed")
        erin = await there.connect("/?resume=")
        await soon(erin.recv())
        recorded = self.record(redis, folder, "recorded")
        while (await soon(erin.recv())) != f"lobby:{recorded}\nrecorded":
            pass
        dave = await there.connect(f"/?resume=lobby:{live}")
        self.assertEqual(await soon(dave.recv()), f"lobby:{live} joined recovered")
        got = []
        while not got or got[-1] != f"lobby:{recorded}\nrecorded":
            got.append(await soon(dave.recv()))
        texts = [message.partition("\n")[2] for message in got]
        self.assertEqual([text for text in texts if text != "hello"], ["missed", "recorded"])

    async def test_two_processes_are_one_room(self):
        with tempfile.TemporaryDirectory(prefix="roost-examples-") as folder:
            url = f"unix://{folder}/redis.sock"
            redis = await asyncio.create_subprocess_exec(
                "redis-server", "--port", "0", "--unixsocket", f"{folder}/redis.sock", "--save", "",
                "--dir", folder, stdout=asyncio.subprocess.PIPE)
            try:
                while b"eady to accept connections" not in (line := await redis.stdout.readline()):
                    self.assertTrue(line, "redis-server does not start")
                here, there = [await self.start("replicas", after=(url,)) for _ in range(2)]
                for program in (here, there):
                    await program.printed("redis: subscribed")
                alice, bob, carol = [await program.connect() for program in (here, here, there)]
                for ws in (alice, bob):
                    self.assertEqual(await self.reach(ws, carol, "hello"), "hello")
                await self.come_back(here, there, carol, f"{folder}/redis.sock", folder)
            finally:
                redis.kill()
                await redis.wait()


class Shards(ExampleTest):
    async def test_a_room_reaches_over_all_threads(self):
        server = await self.start("shards", after=("2",))
        members = {}  # shard -> connection
        while len(members) < 2:  # the kernel chooses
            ws = await server.connect()
            members.setdefault(await soon(ws.recv()), ws)
        self.assertEqual(set(members), {"you are on shard 0", "you are on shard 1"})
        first, second = members.values()
        await first.send("from thread to thread")
        self.assertEqual(await soon(second.recv()), "from thread to thread")
        self.assertEqual(await server.stop(), 0)
        for ws in (first, second):
            await soon(ws.wait_closed())
            self.assertEqual(ws.close_code, 1012)


class Cursors(ExampleTest):
    async def asyncSetUp(self):
        self.server = await self.start("cursors")

    async def test_the_others_see_where_a_pointer_is_and_when_it_is_gone(self):
        alice, bob = [await self.server.connect("/boards/plan") for _ in range(2)]
        position = {"x": 1, "y": 2.5}
        at = json.loads(await self.reach(bob, alice, json.dumps(position)))
        self.assertEqual(at, {"id": at["id"], **position})
        await alice.close()
        gone = at
        while gone == at:  # it may have been said more than once
            gone = json.loads(await soon(bob.recv()))
        self.assertEqual(gone, {"id": at["id"]})

    async def test_legal_json_that_a_parser_may_refuse_ends_nothing(self):
        for n, message in enumerate(('{"t":"\\ud83d"}', '{"x":1,"y":2,"t":"\\udc00\\ud83d"}', '{"x":1e999,"y":2}',
                                     ' {"t":"\\ud83d"}\n', '["\\ud83d"]', '"\\ud83d"', "\t-1e999 ")):
            with self.subTest(message):
                alice, bob = [await self.server.connect(f"/boards/{n}") for _ in range(2)]
                await alice.send(message)
                at = json.loads(await self.reach(bob, alice, '{"x": 1, "y": 2}'))
                self.assertEqual((at["x"], at["y"]), (1, 2))
                await alice.close()
                await bob.close()

    async def test_a_message_that_is_not_a_position_ends_the_session(self):
        for message, code in (('{"x": 1}', 1008), ("[1, 2]", 1008), ("nonsense", 1007),
                              ('{"x": 1, "y": 2, "z": "%s"}' % ("z" * 300), 1009)):
            with self.subTest(message[:20]):
                ws = await self.server.connect("/boards/plan")
                await ws.send(message)
                await soon(ws.wait_closed())
                self.assertEqual(ws.close_code, code)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    FOLDER = sys.argv.pop(1)
    unittest.main()
