"""The chat example, driven from outside by a client that shares no code with it.

Usage: chat_test.py PATH_OF_CHAT [unittest options]; needs Python's websockets, 10 to 15, and
redis-server.
"""

import asyncio
import http.client
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest
from urllib.parse import quote

from websockets.exceptions import ConnectionClosed, InvalidStatusCode
from websockets.frames import Opcode
from websockets.legacy import client as legacy  # the one that all of its versions have

CHAT = None  # the path of the program
TIMEOUT = 30  # seconds; what should happen happens at once, a sanitizer is slow
ONE_MIB = 1 << 20  # what this client accepts by default, as browsers' and other libraries do
LONGEST = 160 * 1024  # what the chat accepts: six times that, as JSON may need, is still less
FLAGS = ["--address", "--allow-origin", "--cert", "--channel", "--heartbeat", "--help", "--key",
         "--lease", "--linger", "--port", "--redis"]


def soon(awaitable):
    return asyncio.wait_for(awaitable, TIMEOUT)


class Chat:
    """A running chat server."""

    @classmethod
    async def start(cls, *options):
        self = cls()
        self.process = await asyncio.create_subprocess_exec(
            CHAT, "--port", "0", "--address", "127.0.0.1", "--linger", "0", *options,
            stdout=asyncio.subprocess.PIPE)
        line = (await soon(self.process.stdout.readline())).decode()
        match = re.fullmatch(r"roost chat: https?://127\.0\.0\.1:(\d+)/\n", line)
        if not match:
            self.process.kill()
            raise AssertionError(f"the chat said {line!r}")
        self.port = int(match[1])
        self.rest_of_output = asyncio.create_task(self.process.stdout.read())
        return self

    async def stop(self, how=signal.SIGTERM):
        """Ends the server, unless it has ended, and returns its exit status."""
        if self.process.returncode is None:
            self.process.send_signal(how)
        try:
            status = await soon(self.process.wait())
        except asyncio.TimeoutError:
            self.process.kill()
            raise AssertionError(f"still running {TIMEOUT} s after {how.name}") from None
        await self.rest_of_output
        return status

    async def connect(self, path, **options):
        scheme = "wss" if "ssl" in options else "ws"
        url = f"{scheme}://127.0.0.1:{self.port}{path}"
        ws = await soon(legacy.connect(url, **options))
        ws.present = Present()
        ws.unread = []
        return ws

    async def join(self, name, room="lobby", user=None, **options):
        """Returns the connection and its welcome."""
        query = f"name={name}" if user is None else f"name={name}&user={user}"
        ws = await self.connect(f"/ws/{room}?{query}", **options)
        message = await event(ws)
        while message["event"] == "replicas":  # news that everybody got, just before
            message = await event(ws)
        return ws, message

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        connection.request("GET", path)
        response = connection.getresponse()
        response.text = response.read().decode()
        connection.close()
        return response


class Present:
    """Who is in the room, as a client keeps it. News that do not fit the list are an error."""

    def __init__(self):
        self.people = None  # id -> name; None: not known yet
        self.count = None
        self.left = []  # the names of those who have left
        self.messages = 0  # about this

    def names(self):
        return None if self.people is None else sorted(self.people.values())

    def note(self, message):
        """Returns whether the message is only about who is there."""
        kind = message["event"]
        if "members" in message:
            self.people = {one["id"]: one["name"] for one in message["members"]}
            self.count = message["count"]
        if kind == "changes" and self.people is not None:  # else the welcome has them too
            self.left += [self.people.pop(id) for id in message["left"]]
            for one in message["joined"]:
                if one["id"] in self.people:
                    raise AssertionError(f"{one} is there already, in {self.people}")
                self.people[one["id"]] = one["name"]
            self.count = message["count"]
            if self.count != len(self.people):
                raise AssertionError(f"{message} makes {self.people}")
        self.messages += kind in ("members", "changes")
        return kind in ("members", "changes")


async def receive(ws):
    """The next message, and whether it is only about who is there, which is noted."""
    message = await soon(ws.recv())
    if isinstance(message, bytes):
        return message, False
    message = json.loads(message)
    return message, ws.present.note(message)


async def event(ws):
    """The next event, or bytes, but those about who is there."""
    if ws.unread:
        return ws.unread.pop(0)
    is_noted = True
    while is_noted:
        message, is_noted = await receive(ws)
    return message


async def told_that(ws, predicate):
    """Reads until what the client was told about who is there fulfills that."""
    while not predicate(ws.present):
        message, is_noted = await receive(ws)
        if not is_noted:
            ws.unread.append(message)


async def sees(ws, *names):
    """Reads until these people are in the room, and no others."""
    try:
        await told_that(ws, lambda present: present.names() == sorted(names))
    except asyncio.TimeoutError:
        raise AssertionError(f"sees {ws.present.names()}, not {sorted(names)}") from None


async def text(ws):
    """The text of the next message that another member has sent."""
    message = await event(ws)
    if message["event"] != "message":
        raise AssertionError(f"not a message: {message}")
    return message["text"]


class ChatTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.chat = await Chat.start()
        self.addAsyncCleanup(self.stop, self.chat)

    async def stop(self, chat):
        # With a sanitizer the status also says that nothing leaked.
        self.assertEqual(await chat.stop(), 0)

    async def two_members(self):
        alice, welcome = await self.chat.join("Alice")
        self.alice_id = welcome["id"]
        bob, _ = await self.chat.join("Bob")
        for ws in (alice, bob):
            await sees(ws, "Alice", "Bob")
        return alice, bob


class Pages(ChatTest):
    async def test_the_page_is_served_at_the_root(self):
        response = self.chat.get("/")
        self.assertEqual(response.status, 200)
        self.assertTrue(response.headers["Content-Type"].startswith("text/html"))
        self.assertIn("roost chat", response.text)
        script = re.search(r'<script [^>]*src="([^"]*)"', response.text)[1]
        for path in ("/" + script, "/resume.js"):  # which the script imports
            response = self.chat.get(path)
            self.assertEqual(response.status, 200)
            self.assertTrue(response.headers["Content-Type"].startswith("text/javascript"))

    async def test_a_query_makes_no_other_path(self):
        for path in ("/", "/page.js", "/resume.js", "/healthz", "/readyz", "/metrics"):
            for query in ("?", "?x", "?utm_source=mail&utm_medium=/nothing"):
                with self.subTest(path + query):
                    self.assertEqual(self.chat.get(path + query).status, 200)
        self.assertEqual(self.chat.get("/ws/lobby?name=Alice").status, 426)

    async def test_an_unknown_path_is_not_found(self):
        self.assertEqual(self.chat.get("/nothing/here").status, 404)

    async def test_a_room_asked_for_without_an_upgrade_asks_for_one(self):
        response = self.chat.get("/ws/lobby")
        self.assertEqual(response.status, 426)
        self.assertEqual(response.headers["Upgrade"], "websocket")  # RFC 9110, 15.5.22


class Operations(ChatTest):
    async def test_its_counters_are_there_for_prometheus(self):
        await self.two_members()
        response = self.chat.get("/metrics")
        self.assertEqual(response.headers["Content-Type"],
                         "text/plain; version=0.0.4; charset=utf-8")
        lines = response.text.splitlines()
        for line in ("roost_connections 2", "roost_heartbeat_connections 2", "roost_rooms 1",
                     'roost_connections_ended_total{reason="peer_closed"} 0'):
            self.assertIn(line, lines)

    async def test_it_is_alive_and_ready_when_it_has_started(self):
        for path, text in (("/healthz", "ok\n"), ("/readyz", "ready\n")):
            response = self.chat.get(path)
            self.assertEqual((response.status, response.text), (200, text))


class Rooms(ChatTest):
    async def test_a_new_member_is_welcomed_and_all_see_who_is_there(self):
        alice, welcome = await self.chat.join("Alice")
        self.assertEqual((welcome["event"], welcome["name"]), ("welcome", "Alice"))
        await sees(alice, "Alice")
        self.assertEqual(alice.present.people, {welcome["id"]: "Alice"})

        bob, second = await self.chat.join("Bob")
        for ws in (alice, bob):
            await sees(ws, "Alice", "Bob")
            self.assertEqual(ws.present.people, {welcome["id"]: "Alice", second["id"]: "Bob"})
            self.assertEqual(ws.present.count, 2)
            self.assertEqual(ws.present.left, [])

    async def test_the_welcome_names_those_who_are_there(self):
        alice, _ = await self.two_members()
        _, welcome = await self.chat.join("Carol")
        names = [one["name"] for one in welcome["members"]]
        self.assertLessEqual({"Alice", "Bob"}, set(names))

    async def test_of_those_who_come_within_a_moment_everybody_is_told_once(self):
        names = [f"member{i}" for i in range(8)]
        members = [(await self.chat.join(name))[0] for name in names]
        for ws in members:
            await sees(ws, *names)
            self.assertEqual(ws.present.left, [])

    async def test_a_room_that_was_empty_names_nobody_who_was_there_before(self):
        for ws in await self.two_members():
            await soon(ws.close())
        while "roost_rooms 0" not in self.chat.get("/metrics").text.splitlines():
            await asyncio.sleep(0.01)  # from one look to the next
        carol, welcome = await self.chat.join("Carol")
        self.assertNotIn("Bob", [one["name"] for one in welcome.get("members", [])])
        await sees(carol, "Carol")

    async def test_a_member_that_closes_is_answered_and_the_others_see_who_left(self):
        alice, bob = await self.two_members()
        await soon(alice.close(1000))
        self.assertEqual(alice.close_code, 1000)
        await sees(bob, "Bob")
        self.assertEqual(bob.present.left, ["Alice"])

    async def test_a_member_whose_connection_breaks_is_seen_to_leave(self):
        alice, bob = await self.two_members()
        alice.transport.abort()
        await sees(bob, "Bob")

    async def test_the_tabs_of_a_person_count_once(self):
        alice, _ = await self.chat.join("Alice")
        tabs = [(await self.chat.join("Bob", user="b"))[0] for _ in range(3)]
        await sees(alice, "Alice", "Bob")
        for n, tab in enumerate(tabs):
            await soon(tab.close())
            await self.chat.join(f"later{n}")
            there = ["Alice"] + [f"later{i}" for i in range(n + 1)]
            await sees(alice, *there, *(["Bob"] if n < 2 else []))
        self.assertEqual(alice.present.left, ["Bob"])  # once, after the last tab

    async def test_messages_tell_the_person_and_reach_the_other_tabs(self):
        tabs = [(await self.chat.join("Bob", user="b"))[0] for _ in range(2)]
        await tabs[0].send("from one to the other")
        self.assertEqual(await event(tabs[1]), {
            "event": "message", "id": "b", "name": "Bob", "text": "from one to the other"})

    async def test_a_person_that_is_back_soon_was_never_away(self):
        chat = await Chat.start("--linger", "600")
        self.addAsyncCleanup(self.stop, chat)
        alice, _ = await chat.join("Alice")
        bob, _ = await chat.join("Bob", user="b")
        await sees(alice, "Alice", "Bob")
        await soon(bob.close())
        await chat.join("Carol")
        await sees(alice, "Alice", "Bob", "Carol")
        bob, _ = await chat.join("Bob", user="b")
        await sees(bob, "Alice", "Bob", "Carol")
        await chat.join("Dave")
        await sees(alice, "Alice", "Bob", "Carol", "Dave")
        self.assertEqual(alice.present.left, [])

    async def test_a_person_leaves_after_the_linger_time(self):
        chat = await Chat.start("--linger", "1")
        self.addAsyncCleanup(self.stop, chat)
        alice, _ = await chat.join("Alice")
        bob, _ = await chat.join("Bob")
        await sees(alice, "Alice", "Bob")
        await soon(bob.close())
        await sees(alice, "Alice")

    async def test_a_user_that_is_not_valid_is_refused(self):
        for user in ("", "x" * 256, "a%01b"):
            with self.subTest(user):
                ws = await self.chat.connect(f"/ws/lobby?name=Alice&user={user}")
                await soon(ws.wait_closed())
                self.assertEqual(ws.close_code, 1008)

    async def test_rooms_do_not_hear_each_other(self):
        alice, bob = await self.two_members()
        eve, welcome = await self.chat.join("Eve", room="elsewhere")
        await sees(eve, "Eve")
        await eve.send("from elsewhere")
        await soon(await eve.ping())  # the server has read what came before
        await bob.send("from the lobby")
        self.assertEqual(await text(alice), "from the lobby")

    async def test_names_are_percent_decoded(self):
        alice, welcome = await self.chat.join("J%C3%BCrgen%20%26%20Co", room="caf%C3%A9%20bar")
        self.assertEqual(welcome["name"], "Jürgen & Co")
        bob, _ = await self.chat.join("Bob", room="caf%c3%a9%20b%61r")  # the same, spelled otherwise
        await sees(alice, "Jürgen & Co", "Bob")


class Messages(ChatTest):
    async def test_text_goes_to_the_others_and_not_back(self):
        alice, bob = await self.two_members()
        await alice.send("héllo")
        self.assertEqual(await event(bob), {
            "event": "message", "id": self.alice_id, "name": "Alice", "text": "héllo"})
        await bob.send("an answer")
        self.assertEqual(await text(alice), "an answer")  # and not her own text before it

    async def test_a_member_cannot_forge_events(self):
        alice, bob = await self.two_members()
        forged = '{"event": "left", "id": "somebody", "name": "Somebody"}'
        await alice.send(forged)
        self.assertEqual(await text(bob), forged)

    async def test_binary_stays_binary(self):
        alice, bob = await self.two_members()
        await alice.send(b"\x00\xff\x80")
        self.assertEqual(await event(bob), b"\x00\xff\x80")

    async def test_a_ping_is_answered(self):
        alice, _ = await self.chat.join("Alice")
        await soon(await alice.ping(b"are you there"))

    async def test_a_message_in_fragments_arrives_whole(self):
        alice, bob = await self.two_members()
        await alice.send(["in ", "three ", "parts"])
        self.assertEqual(await text(bob), "in three parts")

    async def test_many_messages_arrive_in_order(self):
        alice, bob = await self.two_members()
        for i in range(1000):
            await alice.send(str(i))
        self.assertEqual([await text(bob) for _ in range(1000)],
                         [str(i) for i in range(1000)])

    async def test_the_longest_message_reaches_clients_with_their_default_limits(self):
        alice, bob = await self.two_members()
        for character in ("x", "\n", "\x01", '"', "\N{GRINNING FACE}"):
            with self.subTest(repr(character)):
                longest = character * (LONGEST // len(character.encode()))
                await alice.send(longest)
                self.assertEqual(await text(bob), longest)
        await alice.send(b"\xff" * LONGEST)
        self.assertEqual(len(await event(bob)), LONGEST)

    async def test_a_longer_message_is_refused_and_ends_only_its_sender(self):
        alice, bob = await self.two_members()
        for message in ("x" * (LONGEST + 1), "x" * ONE_MIB, "\x01" * (ONE_MIB + 1), b"\0" * ONE_MIB):
            with self.subTest(message[:1]):
                sender, _ = await self.chat.join("Sender")
                await sees(bob, "Alice", "Bob", "Sender")
                try:
                    await sender.send(message)
                except ConnectionClosed:
                    pass  # refused as soon as its length was known
                await soon(sender.wait_closed())
                self.assertEqual(sender.close_code, 1009)
                await sees(bob, "Alice", "Bob")
        await soon(await bob.ping())

    async def test_text_that_is_not_utf8_is_refused(self):
        alice, bob = await self.two_members()
        await alice.write_frame(True, Opcode.TEXT, b"\xc3\x28")
        await soon(alice.wait_closed())
        self.assertEqual(alice.close_code, 1007)
        await sees(bob, "Bob")


class Keyed(ChatTest):
    """What the page speaks, which must know what has arrived."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.alice, _ = await self.chat.join("Alice", subprotocols=["roost-chat"])
        self.assertEqual(self.alice.subprotocol, "roost-chat")

    async def test_an_arrived_message_is_told_by_its_key_and_others_get_the_key(self):
        bob, _ = await self.chat.join("Bob")
        await self.alice.send("k1\ntwo\nlines")
        self.assertEqual(await event(self.alice), {"event": "arrived", "key": "k1"})
        message = await event(bob)
        self.assertEqual((message["text"], message["key"]), ("two\nlines", "k1"))
        await bob.send("k2\nis text to those who do not speak it")
        message = await event(self.alice)
        self.assertEqual(message["text"], "k2\nis text to those who do not speak it")
        self.assertNotIn("key", message)

    async def test_an_empty_text_is_answered_and_goes_to_nobody(self):
        bob, _ = await self.chat.join("Bob")
        await self.alice.send("\n")
        self.assertEqual(await event(self.alice), {"event": "arrived", "key": ""})
        await self.alice.send("\nno key is one, too")
        self.assertEqual(await text(bob), "no key is one, too")

    async def test_a_message_without_a_key_is_refused(self):
        for message in ("no line", "k" * 65 + "\ntext", ""):
            with self.subTest(message):
                ws = await self.chat.connect("/ws/elsewhere", subprotocols=["roost-chat"])
                await ws.send(message)
                await soon(ws.wait_closed())
                self.assertEqual(ws.close_code, 1008)


async def told(ws):
    """The next message that has a position: (room and position, words, payload or None)."""
    while True:
        message = await soon(ws.recv())
        end = b"\n" if isinstance(message, bytes) else "\n"
        line, *payload = message.split(end, 1)
        place, *words = (line.decode() if isinstance(message, bytes) else line).split(" ")
        if ":" in place:
            return place, words, payload[0] if payload else None


class Positions(ChatTest):
    """Clients that send `resume` get a line before each payload, and what they missed."""

    async def come(self, resume):
        ws = await self.chat.connect(f"/ws/a%2Cb?name=Alice&resume={quote(resume, safe='')}")
        return ws, await told(ws)

    async def test_a_client_that_comes_back_gets_what_it_missed(self):
        bob, _ = await self.chat.join("Bob", room="a%2Cb")
        alice, (place, words, payload) = await self.come("")
        self.assertRegex(place, r"^a%2Cb:.")
        self.assertEqual((words, payload), (["joined"], None))
        await bob.send("one")
        place, words, payload = await told(alice)
        self.assertEqual((words, json.loads(payload)["text"]), ([], "one"))
        await soon(alice.close())
        await bob.send("two\nlines")
        await bob.send(b"\x00\n\xff")
        alice, came_back = await self.come(place)
        self.assertEqual(came_back, (place, ["joined", "recovered"], None))
        self.assertEqual(json.loads((await told(alice))[2])["text"], "two\nlines")
        self.assertEqual((await told(alice))[2], b"\x00\n\xff")

    async def test_a_client_is_told_that_the_server_does_not_know_its_position(self):
        _, (_, words, _) = await self.come("a%2Cb:AAAAAAAA.1.AAAAAA")
        self.assertEqual(words, ["joined", "lost=epoch"])

    async def test_the_longest_message_is_recorded(self):
        bob, _ = await self.chat.join("Bob", room="a%2Cb")
        alice, (place, _, _) = await self.come("")
        await soon(alice.close())
        await bob.send("\x01" * LONGEST)
        alice, _ = await self.come(place)
        self.assertEqual(json.loads((await told(alice))[2])["text"], "\x01" * LONGEST)


class Crowds(ChatTest):
    """A crowd that comes and goes at the same time costs each member little, and is still told."""

    async def come(self, count):
        members = []
        for first in range(0, count, 50):  # the client's own queue of handshakes is short
            members += await asyncio.gather(*(
                self.chat.connect(f"/ws/lobby?name=member{first + i}")
                for i in range(min(50, count - first))))
        return members

    async def test_a_crowd_that_comes_and_goes_is_told_in_few_messages(self):
        alice, _ = await self.chat.join("Alice")
        members = await self.come(300)
        await told_that(alice, lambda present: present.count == 301)
        self.assertLess(alice.present.messages, 150)  # 301, one by one
        self.assertEqual(alice.present.people, {})  # so many are only counted
        late, welcome = await self.chat.join("Late")
        self.assertIn(welcome["count"], (301, 302))
        self.assertEqual(welcome["members"], [])
        for ws in members:
            ws.transport.abort()
        # Those that stay have names again.
        for ws in (alice, late):
            await sees(ws, "Alice", "Late")
            self.assertEqual(ws.present.count, 2)
        await late.send("the two of us")
        self.assertEqual(await text(alice), "the two of us")

    async def test_a_few_are_told_one_by_one(self):
        alice, _ = await self.chat.join("Alice")
        there = ["Alice"]
        for name in ("Bob", "Carol", "Dave"):
            await self.chat.join(name)
            there.append(name)
            await sees(alice, *there)

    async def test_a_name_that_would_be_a_burden_is_refused(self):
        await self.chat.join("x" * 160)
        with self.assertRaises(InvalidStatusCode) as refusal:
            await self.chat.connect("/ws/lobby?name=" + "x" * 161)
        self.assertEqual(refusal.exception.status_code, 400)


class Origins(ChatTest):
    async def assert_refused(self, chat, origin, status=403):
        with self.assertRaises(InvalidStatusCode) as refusal:
            await chat.connect("/ws/lobby", origin=origin)
        self.assertEqual(refusal.exception.status_code, status)

    async def test_a_foreign_page_is_refused(self):
        await self.assert_refused(self.chat, "https://evil.example")
        await self.assert_refused(self.chat, "null")

    async def test_a_page_of_the_same_host_is_accepted(self):
        ws = await self.chat.connect("/ws/lobby", origin=f"http://127.0.0.1:{self.chat.port}")
        self.assertEqual((await event(ws))["event"], "welcome")

    async def test_exactly_the_allowed_origin_is_accepted(self):
        chat = await Chat.start("--allow-origin", "https://app.example.com")
        self.addAsyncCleanup(self.stop, chat)
        ws = await chat.connect("/ws/lobby", origin="https://app.example.com")
        self.assertEqual((await event(ws))["event"], "welcome")
        for origin in ("http://app.example.com", "https://app.example.com:8443",
                       "https://app.example.com.evil.example", "https://evil.example"):
            with self.subTest(origin):
                await self.assert_refused(chat, origin)


class Tls(unittest.IsolatedAsyncioTestCase):
    async def test_members_chat_over_tls_and_are_told_goodbye(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, key = folder + "/cert.pem", folder + "/key.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                            "-subj", "/CN=roost", "-addext", "subjectAltName=IP:127.0.0.1",
                            "-keyout", key, "-out", cert], check=True, capture_output=True)
            chat = await Chat.start("--cert", cert, "--key", key)
        try:
            # Verified: the client accepts this certificate only.
            trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            trusting.load_verify_locations(cadata=ssl.get_server_certificate(
                ("127.0.0.1", chat.port)))
            alice = await chat.connect("/ws/lobby?name=Alice", ssl=trusting)
            bob = await chat.connect("/ws/lobby?name=Bob", ssl=trusting)
            await event(bob)
            await alice.send("x" * 100_000)
            self.assertEqual(await text(bob), "x" * 100_000)
        finally:
            self.assertEqual(await chat.stop(), 0)
        for ws in (alice, bob):
            await soon(ws.wait_closed())
            self.assertEqual(ws.close_code, 1001)


class Ending(ChatTest):
    async def check(self, how):
        members = await self.two_members()
        self.assertEqual(await self.chat.stop(how), 0)
        for ws in members:
            await soon(ws.wait_closed())
            self.assertEqual(ws.close_code, 1001)

    async def test_sigterm_says_goodbye_to_every_member(self):
        await self.check(signal.SIGTERM)

    async def test_sigint_says_goodbye_to_every_member(self):
        await self.check(signal.SIGINT)


    async def test_members_in_the_middle_of_traffic_are_told_goodbye(self):
        members = [(await self.chat.join(f"member{i}"))[0] for i in range(20)]
        heard = asyncio.Event()

        async def chatter(ws):
            try:
                while True:
                    await ws.send("x")
                    await soon(await ws.ping())  # as fast as the server is
            except ConnectionClosed:
                pass

        async def listen(ws):
            async for message in ws:
                if json.loads(message)["event"] == "message":
                    heard.set()

        tasks = [asyncio.create_task(f(ws)) for ws in members for f in (chatter, listen)]
        await soon(heard.wait())
        self.assertEqual(await self.chat.stop(), 0)
        await soon(asyncio.gather(*tasks))
        for ws in members:
            self.assertEqual(ws.close_code, 1001)
            self.assertRegex(ws.close_reason, r"^retry-ms=\d+$")

    async def test_while_it_goes_away_newcomers_are_asked_to_come_back(self):
        alice, _ = await self.chat.join("Alice")
        # One that does not answer the close frame: while it is there, the server goes on.
        reader, writer = await asyncio.open_connection("127.0.0.1", self.chat.port)
        writer.write(b"GET /ws/lobby HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                     b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        self.assertIn(b" 101 ", await soon(reader.readuntil(b"\r\n\r\n")))
        await sees(alice, "Alice", "somebody")
        self.chat.process.send_signal(signal.SIGTERM)
        await soon(alice.wait_closed())
        with self.assertRaises(InvalidStatusCode) as refusal:
            await self.chat.connect("/ws/lobby")
        self.assertEqual(refusal.exception.status_code, 503)
        self.assertRegex(refusal.exception.headers["Retry-After"], r"^\d+$")
        self.assertEqual(self.chat.get("/readyz").status, 503)  # no more clients, please
        self.assertEqual(self.chat.get("/healthz").status, 200)  # but do not kill it
        writer.close()
        self.assertEqual(await soon(self.chat.process.wait()), 0)

    async def test_a_second_sigint_ends_it_at_once(self):
        chat = await Chat.start()
        alice, _ = await chat.join("Alice")
        alice.transport.pause_reading()  # does not answer
        while chat.process.returncode is None:  # the first may still be under way
            chat.process.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(chat.process.wait(), 0.1)
            except asyncio.TimeoutError:
                pass
        self.assertEqual(await chat.stop(), -signal.SIGINT)


class Redis:
    """A redis-server that can be killed and started again, on a socket of its own."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="roost-chat-")
        self.url = f"unix://{self.folder.name}/redis.sock"
        self.process = None

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(
            "redis-server", "--port", "0", "--unixsocket", f"{self.folder.name}/redis.sock",
            "--save", "", "--dir", self.folder.name, stdout=asyncio.subprocess.PIPE)
        while b"eady to accept connections" not in (line := await self.process.stdout.readline()):
            if not line:
                raise AssertionError("redis-server does not start")

    async def kill(self):
        if self.process and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


class Replicas(ChatTest):
    async def asyncSetUp(self):
        self.redis = Redis()
        self.addCleanup(self.redis.folder.cleanup)
        self.addAsyncCleanup(self.redis.kill)

    async def start(self, *options):
        chat = await Chat.start("--redis", self.redis.url, *options)
        self.addAsyncCleanup(self.stop, chat)
        return chat

    async def join(self, chat, name, **options):
        """Returns the connection, once its replica hears the others."""
        ws, welcome = await chat.join(name, **options)
        if not welcome["reachable"]:
            await self.assert_reachable(ws, True)
        return ws

    async def assert_reachable(self, ws, reachable):
        self.assertEqual(await event(ws), {"event": "replicas", "reachable": reachable})

    async def test_three_processes_are_one_chat(self):
        await self.redis.start()
        names = ["Alice", "Bob", "Carol"]
        members = [await self.join(await self.start(), name) for name in names]
        for ws in members:
            await sees(ws, *names)
        for n, sender in enumerate(members):
            await sender.send(f"text {n}")
            await sender.send(bytes([n, 255]))
            for ws in members:
                if ws is not sender:
                    self.assertEqual(await text(ws), f"text {n}")
                    self.assertEqual(await event(ws), bytes([n, 255]))
        await members[0].close()
        for ws in members[1:]:
            await sees(ws, "Bob", "Carol")
            self.assertEqual(ws.present.left, ["Alice"])

    async def test_the_tabs_of_a_person_count_once_on_all_servers(self):
        await self.redis.start()
        here, there = await self.start(), await self.start()
        alice = await self.join(here, "Alice")
        tabs = [await self.join(chat, "Bob", user="b") for chat in (here, there)]
        for ws in (alice, *tabs):
            await sees(ws, "Alice", "Bob")
        await soon(tabs[0].close())
        await self.join(here, "Carol")
        for ws in (alice, tabs[1]):
            await sees(ws, "Alice", "Bob", "Carol")
        await soon(tabs[1].close())
        await sees(alice, "Alice", "Carol")
        self.assertEqual(alice.present.left, ["Bob"])

    async def test_without_redis_each_process_goes_on_and_says_so(self):
        await self.redis.start()
        here, there = await self.start(), await self.start()
        alice = await self.join(here, "Alice")
        bob = await self.join(here, "Bob")
        carol = await self.join(there, "Carol")
        dave, _, _ = await self.come(here, "")  # with positions: he is told where messages are missing
        for ws in (alice, bob, carol):
            await sees(ws, "Alice", "Bob", "Carol", "Alice")
        await self.redis.kill()
        for ws in (alice, bob, carol):
            await self.assert_reachable(ws, False)
        # All replicas are without Redis, and the members of each have each other: none must go.
        self.assertEqual(here.get("/healthz").status, 200)
        ready = here.get("/readyz")
        self.assertEqual(ready.status, 200)
        self.assertIn("Redis cannot be reached", ready.text)
        self.assertIn("roost_redis_subscribed 0", here.get("/metrics").text.splitlines())
        await alice.send("still here?")
        self.assertEqual(await text(bob), "still here?")
        await self.redis.start()
        for ws in (alice, bob, carol):
            await self.assert_reachable(ws, True)
        self.assertEqual(here.get("/readyz").text, "ready\n")
        # The new Redis remembers nothing. This replica may miss messages that were said before it has
        # looked, and tells Dave so; from then on it misses none.
        words = []
        while not any(word.startswith("lost=") for word in words):
            _, words, _ = await told(dave)
        await carol.send("hello again")
        self.assertEqual(await text(bob), "hello again")

    async def test_another_channel_is_another_chat(self):
        await self.redis.start()
        alice = await self.join(await self.start("--channel", "one"), "Alice")
        bob = await self.join(await self.start("--channel", "one"), "Bob")
        eve = await self.join(await self.start("--channel", "another"), "Eve")
        await sees(alice, "Alice", "Bob")
        await sees(eve, "Eve")
        await eve.send("from another chat")
        await soon(await eve.ping())  # the server has read it
        await bob.send("from this one")
        self.assertEqual(await text(alice), "from this one")
        await alice.send("an answer")
        self.assertEqual(await text(bob), "an answer")

    async def test_the_longest_message_reaches_the_other_replicas(self):
        await self.redis.start()
        alice = await self.join(await self.start(), "Alice")
        bob = await self.join(await self.start(), "Bob")
        for longest in ("x" * LONGEST, "\x01" * LONGEST):
            await alice.send(longest)
            self.assertEqual(await text(bob), longest)
        await alice.send(b"\xff" * LONGEST)
        self.assertEqual(len(await event(bob)), LONGEST)

    async def test_it_ends_while_there_is_news_of_a_crowd(self):
        await self.redis.start()
        chat = await self.start()
        members = [await self.join(chat, "Alice")]
        members += [(await chat.join(f"member{i}"))[0] for i in range(20)]
        self.assertEqual(await chat.stop(), 0)

    async def come(self, chat, resume):
        """Returns the connection, and what its `joined` line says: (position, words)."""
        ws = await chat.connect(f"/ws/lobby?name=Alice&resume={quote(resume, safe='')}")
        place, words, _ = await told(ws)
        return ws, place, words

    async def listen(self, ws, got, last):
        """Adds the texts of the others until @p last; returns the position after it."""
        while not got or got[-1] != last:
            place, _, payload = await told(ws)
            got.append(json.loads(payload)["text"])
        return place

    async def test_a_member_whose_replica_ends_gets_each_message_once_from_another(self):
        await self.redis.start()
        survivor = await self.start()
        bob = await self.join(survivor, "Bob")
        for how, status in ((signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
            with self.subTest(how.name):
                gone = await Chat.start("--redis", self.redis.url)
                self.addAsyncCleanup(gone.stop, signal.SIGKILL)
                await (await self.join(gone, "Carol")).close()
                alice, place, words = await self.come(gone, "")
                self.assertEqual(words[0], "joined")
                said = [f"{how.name} {i}" for i in range(9)]
                for line in said[:3]:
                    await bob.send(line)
                got = []
                place = await self.listen(alice, got, said[2])
                # She gets the rest or does not: her replica ends in the middle of it.
                for line in said[3:6]:
                    await bob.send(line)
                self.assertEqual(await gone.stop(how), status)
                try:
                    while True:
                        place, _, payload = await told(alice)
                        got.append(json.loads(payload)["text"])
                except ConnectionClosed:
                    pass
                for line in said[6:]:
                    await bob.send(line)
                alice, came_back, words = await self.come(survivor, place)
                self.assertEqual((came_back, words), (place, ["joined", "recovered"]))
                await self.listen(alice, got, said[-1])
                self.assertEqual([line for line in got if line in said], said)
                await alice.close()

    async def test_without_redis_a_text_reaches_those_who_are_here_and_is_not_recorded(self):
        await self.redis.start()
        chat = await self.start()
        bob = await self.join(chat, "Bob")
        alice, _, _ = await self.come(chat, "")
        await self.redis.kill()
        message = await soon(alice.recv())
        while '"reachable":false' not in message:
            message = await soon(alice.recv())
        await bob.send("to those who are here")
        while '"event":"message"' not in (message := await soon(alice.recv())):
            pass
        line, _, payload = message.partition("\n")
        self.assertEqual((line, json.loads(payload)["text"]), ("lobby", "to those who are here"))

    async def test_it_starts_without_redis(self):
        chat = await self.start()
        alice, welcome = await chat.join("Alice")
        self.assertFalse(welcome["reachable"])
        await self.redis.start()
        await self.assert_reachable(alice, True)


class CommandLine(unittest.IsolatedAsyncioTestCase):
    async def run_chat(self, *options):
        process = await asyncio.create_subprocess_exec(
            CHAT, *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        try:
            out, err = await soon(process.communicate())
        except asyncio.TimeoutError:
            process.kill()
            raise AssertionError(f"still running with {options}") from None
        return process.returncode, out.decode(), err.decode()

    async def test_a_busy_port_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = str(other.getsockname()[1])
            status, _, err = await self.run_chat("--address", "127.0.0.1", "--port", port)
        self.assertNotEqual(status, 0)
        self.assertIn(port, err)

    async def test_an_unknown_flag_is_named(self):
        status, _, err = await self.run_chat("--frobnicate")
        self.assertNotEqual(status, 0)
        self.assertIn("--frobnicate", err)

    async def test_the_flag_of_a_bad_or_missing_value_is_named(self):
        for options in (["--port", "banana"], ["--port", "65536"], ["--port"],
                        ["--address", "not-an-address"], ["--cert", "only.pem"], ["--channel", ""], ["--heartbeat", "0"],
                        ["--lease", "4"], ["--lease", "301"], ["--linger", "-1"], ["--linger", "3601"]):
            with self.subTest(options):
                status, _, err = await self.run_chat(*options)
                self.assertNotEqual(status, 0)
                self.assertIn(options[0], err)

    async def test_a_bad_redis_url_is_named_but_not_its_password(self):
        status, _, err = await self.run_chat("--redis", "redis://:secret@host:port")
        self.assertEqual(status, 1)
        self.assertIn("port", err)
        self.assertNotIn("secret", err)

    async def test_sentinels_may_be_named_instead_of_redis(self):
        url = "redis+sentinel://127.0.0.1:1/mymaster"
        chat = await Chat.start("--redis", url)
        self.assertEqual(await chat.stop(), 0)
        status, _, err = await self.run_chat("--redis", "redis+sentinel://127.0.0.1:1")
        self.assertEqual(status, 1)
        self.assertNotEqual(err, "")

    async def test_help_tells_every_flag(self):
        status, out, _ = await self.run_chat("--help")
        self.assertEqual(status, 0)
        for flag in FLAGS:
            self.assertIn(flag, out)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    CHAT = sys.argv.pop(1)
    unittest.main()
