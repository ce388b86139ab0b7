"""The configurations of nginx and HAProxy in the guide, run as they are but for ports and times.

Usage: proxies_test.py SERVER OPERATIONS_MD [unittest options]; needs nginx, HAProxy and Python's
websockets, 10 to 15.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

from websockets.exceptions import ConnectionClosed, InvalidStatusCode
from websockets.legacy import client as legacy  # the one that all of its versions have

SERVER = None
PAGE = None
TIMEOUT = 60  # seconds; what should happen happens at once, a sanitizer is slow
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"  # where Debian has both proxies
OFTEN, NEVER = 100, 3_600_000  # milliseconds between two pings
IDLE, LONG = "2s", "90s"  # after which a proxy ends a connection; the second is that of the page
UPGRADE = (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    {temporary}
    {snippet}
}}
"""


def soon(awaitable):
    return asyncio.wait_for(awaitable, TIMEOUT)


def snippet(language, changes):
    """The block of that language in the page, with each text of @p changes replaced."""
    with open(PAGE) as page:
        text = re.search(rf"^```{language}\n(.*?)^```", page.read(), re.M | re.S)[1]
    for before, after in changes.items():
        if before not in text:
            raise AssertionError(f"the configuration of {language} has no {before!r}")
        text = text.replace(before, after)
    return text


def temporary_paths(folder):
    """Directives for the modules that this nginx has: by default it writes where only root may."""
    built = subprocess.run(["nginx", "-V"], stderr=subprocess.PIPE, text=True, check=True,
                           env=dict(os.environ, PATH=PATH)).stderr
    paths = [f"client_body_temp_path {folder}/body;"]
    paths += [f"{module}_temp_path {folder}/{module};" for module in ("proxy", "fastcgi", "uwsgi", "scgi")
              if f"--without-http_{module}_module" not in built]
    return "\n    ".join(paths)


class ProxyTest:
    """What both proxies do. The proxy inherits a socket that listens already: no port is taken twice,
    and who connects before the proxy is ready waits in its queue."""

    def run_program(self, arguments, at_the_end=signal.SIGKILL, **options):
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.send_signal, at_the_end)
        return process

    def server(self, ping=OFTEN):
        process = self.run_program([SERVER, str(ping)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        watchdog = threading.Timer(TIMEOUT, process.kill)  # whoever waits for its port goes on
        watchdog.start()
        process.port = int(process.stdout.readline())
        watchdog.cancel()
        return process

    def proxy(self, first, second, idle=LONG):
        """Returns the port of a proxy in front of both."""
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        replicas = {"127.0.0.1:8080": f"127.0.0.1:{first.port}", "127.0.0.1:8081": f"127.0.0.1:{second.port}"}
        folder = tempfile.TemporaryDirectory(prefix="roost-proxy-")
        self.addCleanup(folder.cleanup)
        with listener:
            self.start_proxy(listener, port, {LONG: idle, **replicas}, folder.name)
        return port

    def start(self, ping=OFTEN, idle=LONG):
        """Returns the port of a proxy in front of two servers, and these."""
        servers = self.server(ping), self.server(ping)
        return self.proxy(*servers, idle), servers

    async def connect(self, port, address="127.0.0.1", **options):
        """Returns a WebSocket, and what address the server believes it to have."""
        ws = await soon(legacy.connect(f"ws://127.0.0.1:{port}/", ping_interval=None,
                                       local_addr=(address, 0), **options))
        self.addAsyncCleanup(ws.close)
        return ws, await soon(ws.recv())

    async def assert_echo(self, ws, text):
        await ws.send(text)
        self.assertEqual(await soon(ws.recv()), text)

    async def assert_refused(self, status, connecting):
        with self.assertRaises(InvalidStatusCode) as caught:
            await connecting
        self.assertEqual(caught.exception.status_code, status)

    async def test_clients_talk_through_it(self):
        port, _ = self.start()
        ws, _ = await self.connect(port)
        await self.assert_echo(ws, "hello")
        await self.assert_echo(ws, "x" * 100_000)

    async def test_the_origin_check_compares_with_the_host_that_the_page_asked(self):
        port, _ = self.start()
        await self.connect(port, origin=f"http://127.0.0.1:{port}")
        await self.assert_refused(403, self.connect(port, origin="http://elsewhere.example"))
        await self.assert_refused(403, self.connect(port, origin=f"http://127.0.0.1:{port ^ 1}"))

    async def test_the_limit_of_an_address_is_that_of_the_client_not_of_the_proxy(self):
        server = self.server()
        port = self.proxy(server, server)
        for _ in range(2):
            self.assertEqual((await self.connect(port, "127.0.0.2"))[1], "127.0.0.2")
        forged = {"X-Forwarded-For": "192.0.2.1"}
        await self.assert_refused(429, self.connect(port, "127.0.0.2", extra_headers=forged))
        self.assertEqual((await self.connect(port, "127.0.0.3", extra_headers=forged))[1], "127.0.0.3")

    async def test_the_heartbeat_keeps_an_idle_client_for_longer_than_the_timeout(self):
        kept, _ = await self.connect(self.start(OFTEN, IDLE)[0])
        silent, _ = await self.connect(self.start(NEVER, IDLE)[0])
        with self.assertRaises(ConnectionClosed):
            await soon(silent.recv())  # the proxy ends it; the other one has been idle for longer
        await self.assert_echo(kept, "still here")

    async def test_clients_are_told_that_the_server_ends_and_when_to_come_back(self):
        port, servers = self.start()
        ws, _ = await self.connect(port)
        for server in servers:
            server.send_signal(signal.SIGTERM)
        with self.assertRaises(ConnectionClosed):
            await soon(ws.recv())
        self.assertEqual(ws.close_code, 1012)
        self.assertRegex(ws.close_reason, r"^retry-ms=\d+$")
        self.assertEqual([server.wait(TIMEOUT) for server in servers], [0, 0])

    async def test_newcomers_go_to_the_replica_that_does_not_drain(self):
        port, (first, second) = self.start()
        with socket.create_connection(("127.0.0.1", first.port), TIMEOUT) as mute:
            mute.sendall(UPGRADE)
            seen = b""
            while not seen.endswith(b"nobody's"):  # the greeting: no proxy has told an address
                seen += mute.recv(4096)
            first.send_signal(signal.SIGTERM)
            self.assertEqual(mute.recv(1), b"\x88")  # a close frame, which is not answered: it drains
            for number in range(6):
                ws, _ = await self.connect(port, f"127.0.0.{10 + number}")
                await self.assert_echo(ws, "hello")
        self.assertEqual(first.wait(TIMEOUT), 0)
        ws, _ = await self.connect(port, "127.0.0.20")
        await self.assert_echo(ws, "hello")


class Nginx(ProxyTest, unittest.IsolatedAsyncioTestCase):
    def start_proxy(self, listener, port, changes, folder):
        text = snippet("nginx", {"listen 80;": f"listen 127.0.0.1:{port};", **changes})
        with open(f"{folder}/nginx.conf", "w") as file:
            file.write(NGINX.format(folder=folder, temporary=temporary_paths(folder), snippet=text))
        self.run_program(["nginx", "-p", folder, "-e", "stderr", "-c", f"{folder}/nginx.conf"],
                         signal.SIGTERM,  # which ends its worker as well
                         pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL,
                         env=dict(os.environ, PATH=PATH, NGINX=f"{listener.fileno()};"))


class HAProxy(ProxyTest, unittest.IsolatedAsyncioTestCase):
    def start_proxy(self, listener, port, changes, folder):
        text = snippet("haproxy", {"bind :80": f"bind fd@{listener.fileno()}", "inter 2s": "inter 50ms",
                                   **changes})
        with open(f"{folder}/haproxy.cfg", "w") as file:
            file.write(text)
        self.run_program(["haproxy", "-db", "-q", "-f", f"{folder}/haproxy.cfg"],
                         pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL,
                         env=dict(os.environ, PATH=PATH))

    async def test_a_replica_that_passes_its_health_checks_gets_clients(self):
        server = self.server()
        port = self.proxy(server, server)
        ws, _ = await self.connect(port)
        await soon(self.some_checks(ws))
        await self.connect(port)

    @staticmethod
    async def some_checks(ws):
        """Waits for so many that, had they failed, both would have been taken out."""
        checks = 0
        while checks < 10:
            await ws.send("checks")
            checks = int(await ws.recv())


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    SERVER, PAGE = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main()
