"""Servers as processes: their standard streams, descriptors, children, signals and neighbours.

Usage: processes_test.py OPERATORS_SERVER FOLDER_OF_EXAMPLES [unittest options]; needs Python's
websockets, 10 to 15.
"""

import asyncio
import contextlib
import fcntl
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

from websockets.legacy import client as legacy  # the one that all of its versions have

SERVER = None
EXAMPLES = None
TIMEOUT = 60  # seconds; what should happen happens at once, a sanitizer is slow
UPGRADE = (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"


def soon(awaitable):
    return asyncio.wait_for(awaitable, TIMEOUT)


def open_files(count):
    """For a process that is being started, and for this one."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def full_pipe():
    """One that nobody reads. Returns both ends."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    return reader, writer


def is_free(port):
    """Whether nobody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


class ProcessTest(unittest.TestCase):
    def start(self, *arguments, **options):
        """Starts a program that prints where it listens."""
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **options)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        watchdog = threading.Timer(2 * TIMEOUT, process.kill)  # whoever waits for what it says goes on
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        line = process.stdout.readline().decode()
        process.port = int(re.search(r"(\d+)/?$", line.strip())[1])
        return process

    def server(self, port=0, *arguments, **options):
        options.setdefault("stderr", subprocess.DEVNULL)
        return self.start(SERVER, str(port), *arguments, **options)

    def connect(self, process):
        return socket.create_connection(("127.0.0.1", process.port), TIMEOUT)

    def upgraded(self, process):
        client = self.connect(process)
        client.sendall(UPGRADE)
        self.assertTrue(client.recv(12).startswith(b"HTTP/1.1 101"))
        while not client.recv(4096).endswith(b"\r\n\r\n"):
            pass
        return client

    def keep(self, client):
        self.addCleanup(client.close)
        return client

    def visit(self, process, count):
        """So many clients that come and go, a log line each way."""
        for _ in range(count):
            with self.upgraded(process) as client:
                client.sendall(CLOSE)
                while client.recv(4096):
                    pass

    def end(self, process, *signals):
        for number in signals or (signal.SIGTERM,):
            process.send_signal(number)
        return process.wait(TIMEOUT)


class Streams(ProcessTest):
    def test_a_stderr_that_nobody_reads_does_not_stop_the_server(self):
        reader, writer = os.pipe()
        server = self.server(stderr=writer)
        os.close(writer)
        self.addCleanup(os.close, reader)
        self.visit(server, 3000)
        # A reader that reads again learns how much is missing.
        os.set_blocking(reader, False)
        text = ""
        deadline = time.monotonic() + TIMEOUT
        while "log_lines_lost" not in text and time.monotonic() < deadline:
            self.visit(server, 20)
            try:
                text += os.read(reader, 1 << 20).decode()
            except BlockingIOError:
                pass
            if len(text) < 100_000:
                self.visit(server, 2000)
        self.assertRegex(text, r'level=warning event=log_lines_lost count="\d+"\n')
        self.assertEqual(self.end(server), 0)

    def test_a_stderr_that_is_full_before_delays_neither_serving_nor_the_end(self):
        reader, writer = full_pipe()
        server = self.server(stderr=writer)
        self.visit(server, 10)
        started = time.monotonic()
        self.assertEqual(self.end(server), 0)
        self.assertLess(time.monotonic() - started, 20)
        os.close(reader)
        os.close(writer)

    def test_a_stderr_that_was_closed_does_not_end_the_server(self):
        reader, writer = os.pipe()
        server = self.server(stderr=writer, restore_signals=True)  # SIGPIPE as it is by default
        os.close(writer)
        os.close(reader)
        self.visit(server, 50)
        self.assertIsNone(server.poll())
        self.assertEqual(self.end(server), 0)

    def test_a_stderr_on_a_full_device_does_not_end_the_server(self):
        with open("/dev/full", "w") as full:
            server = self.server(stderr=full)
        self.visit(server, 50)
        self.assertEqual(self.end(server), 0)

    def test_the_last_lines_are_written_before_the_end(self):
        server = self.server(stderr=subprocess.PIPE)
        self.addCleanup(server.stderr.close)
        self.visit(server, 5)
        server.send_signal(signal.SIGTERM)
        text = server.stderr.read().decode()
        self.assertEqual(server.wait(TIMEOUT), 0)
        self.assertEqual(text.count("event=connect "), 5)
        self.assertIn("event=drained", text)

    def test_the_pipe_keeps_its_flags(self):
        reader, writer = os.pipe()
        server = self.server(stderr=writer)
        self.visit(server, 5)
        self.assertFalse(fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK)
        self.end(server)
        os.close(reader)
        os.close(writer)

    def test_examples_say_hello_to_nobody(self):
        reader, writer = full_pipe()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = subprocess.Popen([f"{EXAMPLES}/echo", str(port)], stdout=writer, stdin=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        process.port = port
        deadline = time.monotonic() + TIMEOUT
        while is_free(port) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.visit(process, 3)
        self.assertEqual(self.end(process), 0)
        os.close(reader)
        os.close(writer)


class Descriptors(ProcessTest):
    def test_a_child_keeps_neither_the_port_nor_the_connections(self):
        server = self.server()
        mute = self.keep(self.upgraded(server))

        async def start_child():
            async with legacy.connect(f"ws://127.0.0.1:{server.port}/") as ws:
                await ws.send("child")
                return int(await soon(ws.recv()))
        child = asyncio.run(start_child())
        self.addCleanup(os.kill, child, signal.SIGKILL)
        # The child may still be opening and closing its libraries.
        inherited = []
        for fd in os.listdir(f"/proc/{child}/fd"):
            with contextlib.suppress(FileNotFoundError):
                inherited.append(os.readlink(f"/proc/{child}/fd/{fd}"))
        self.assertEqual([name for name in inherited if not name.startswith(("/", "pipe:"))], [])
        server.kill()
        self.assertIn(mute.recv(100), (b"",))
        server.wait()  # its sockets are closed one after the other
        self.assertTrue(is_free(server.port))
        self.visit(self.server(server.port), 1)

    def test_an_accept_loop_goes_on_when_there_are_descriptors_again(self):
        server = self.start(f"{EXAMPLES}/existing_server", "0", stderr=subprocess.PIPE,
                            preexec_fn=lambda: open_files(40))
        self.addCleanup(server.stderr.close)
        crowd = [self.connect(server) for _ in range(60)]
        self.assertIn(b"accept", server.stderr.readline())
        used = self.processor_seconds(server)
        time.sleep(1)  # how much it works in a second in which it can do nothing
        self.assertLess(self.processor_seconds(server) - used, 0.5)
        for client in crowd:
            client.close()
        with self.connect(server) as client:
            client.sendall(b"GET /page HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 200"))
        self.assertEqual(self.end(server), 0)

    @staticmethod
    def processor_seconds(process):
        with open(f"/proc/{process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class TheEnd(ProcessTest):
    def test_one_client_that_does_not_answer_costs_its_close_timeout_only(self):
        server = self.server()
        silent = self.keep(self.upgraded(server))
        started = time.monotonic()
        self.assertEqual(self.end(server), 0)
        self.assertLess(time.monotonic() - started, 10)  # where Docker would have killed it
        self.assertEqual(silent.recv(4)[0], 0x88)

    def test_all_are_told_however_often_the_server_is_asked_to_end(self):
        count = 500
        open_files(2000)
        server = self.server(preexec_fn=lambda: open_files(2000))

        async def play():
            clients = [await legacy.connect(f"ws://127.0.0.1:{server.port}/", ping_interval=None)
                       for _ in range(count)]
            for _ in range(20):
                server.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.01)
            await soon(asyncio.gather(*(ws.wait_closed() for ws in clients)))
            return [ws.close_code for ws in clients]
        self.assertEqual(asyncio.run(play()), [1012] * count)
        self.assertEqual(server.wait(TIMEOUT), 0)

    def test_interrupted_twice_it_ends_at_once(self):
        server = self.server()
        silent = self.keep(self.upgraded(server))
        server.send_signal(signal.SIGINT)
        self.assertEqual(silent.recv(4)[0], 0x88)  # it has begun
        self.assertEqual(self.end(server, signal.SIGINT), -signal.SIGINT)

    def test_newcomers_go_to_the_process_that_stays(self):
        old = self.server(0, "shared")
        silent = self.keep(self.upgraded(old))
        new = self.server(old.port, "shared")
        old.send_signal(signal.SIGTERM)
        self.assertEqual(silent.recv(4)[0], 0x88)
        while self.listeners(old.port) > 1:
            pass
        self.assertIsNone(old.poll())
        statuses = []
        for _ in range(200):
            with self.connect(new) as client:
                client.sendall(UPGRADE)
                statuses.append(client.recv(12)[9:])
        self.assertEqual(statuses, [b"101"] * 200)

    @staticmethod
    def listeners(port):
        with open("/proc/net/tcp") as table:
            return sum(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in table)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    SERVER, EXAMPLES = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main()
