# SPDX-License-Identifier: MIT
"""A Redis primary with a replica and three Sentinels, all of which end with the program that uses them.

Calls block for a few milliseconds, and for longer only where they say so.
"""

import ctypes
import os
import signal
import socket
import subprocess
import threading
import time

PRIMARY = "main"  # its name at the Sentinels
PATIENCE = 60  # seconds to wait for what happens within a few on an idle machine


def end_with_parent():
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Process:
    """A program that ends with this one."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=end_with_parent)
        self._dropping = None

    def line_with(self, text):
        """Waits for a line of output that contains @p text. Later output is dropped, so that the
        program never waits for a reader."""
        for line in self.process.stdout:
            if text in line:
                self._dropping = threading.Thread(target=self._drop_output, daemon=True)
                self._dropping.start()
                return line
        raise SystemExit(f"{self.process.args[0]} ended")

    def _drop_output(self):
        for _ in self.process.stdout:
            pass

    def kill(self):
        self.process.kill()
        self.process.wait()
        if self._dropping:
            self._dropping.join()
        self.process.stdout.close()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def _reply(stream):
    line = stream.readline()
    if not line:
        raise OSError("Redis closed the connection")
    kind, rest = line[:1], line[1:-2].decode()
    if kind == b"*":
        return [_reply(stream) for _ in range(int(rest))]
    if kind == b"$":
        return None if rest == "-1" else stream.read(int(rest) + 2)[:-2].decode()
    if kind == b"-":
        raise OSError(rest)
    return int(rest) if kind == b":" else rest


def ask(port, *words):
    """What a Redis or Sentinel answers to a command; raises OSError if it does not."""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(" ".join(words).encode() + b"\r\n")
        return _reply(connection.makefile("rb"))


def until(predicate, what):
    """Polls until @p predicate holds; an OSError counts as no."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if predicate():
                return
        except OSError:
            pass
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain until {what}")
        time.sleep(0.02)


class Redis:
    """A redis-server on a port of its own, which writes each command to its disk."""

    def __init__(self, folder, *options):
        self.port = free_port()
        self.folder = os.path.join(folder, str(self.port))
        os.mkdir(self.folder)
        self.start(*options)

    def start(self, *options):
        """Returns when the server takes connections."""
        self.server = Process(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
                               "--save", "", "--appendonly", "yes", "--appendfsync", "always",
                               "--repl-diskless-sync-delay", "0", "--dir", self.folder, *options])
        self.server.line_with("eady to accept connections")

    def kill(self):
        self.server.kill()


class Sentinels:
    """A primary, its replica, and three Sentinels."""

    def __init__(self, folder, down_after_ms=500):
        """@p down_after_ms: how long the primary may be silent before another is promoted."""
        self.down_after_ms = down_after_ms
        self.redises = [Redis(folder)]
        self.processes = []
        self.ports = []
        try:
            first = str(self.redises[0].port)
            self.redises.append(Redis(folder, "--replicaof", "127.0.0.1", first))
            # Sentinels that start later know the replica in a second, and not after ten.
            until(lambda: ask(self.redises[1].port, "ROLE")[3] == "connected", "the replica is")
            for _ in range(3):
                self._add_sentinel(folder, first)
            until(self.can_fail_over, "the Sentinels know each other and the replica")
        except BaseException:
            self.kill()
            raise

    def _add_sentinel(self, folder, primary):
        port = free_port()
        file = os.path.join(folder, f"sentinel{port}.conf")
        with open(file, "w", encoding="ascii") as config:
            config.write(f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
                         f"sentinel monitor {PRIMARY} 127.0.0.1 {primary} 2\n"
                         f"sentinel down-after-milliseconds {PRIMARY} {self.down_after_ms}\n"
                         f"sentinel failover-timeout {PRIMARY} 3000\n")
        process = Process(["redis-server", file, "--sentinel"])
        self.processes.append(process)
        process.line_with("+monitor")
        self.ports.append(port)

    @property
    def url(self):
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"redis+sentinel://{hosts}/{PRIMARY}"

    def primary(self):
        """The server that most Sentinels call the primary; None while they do not agree."""
        told = [int(ask(port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY)[1])
                for port in self.ports]
        port = max(told, key=told.count)
        agree = told.count(port) >= 2
        return next((r for r in self.redises if agree and r.port == port), None)

    def can_fail_over(self):
        """Whether the primary has a replica with all of its data, and each Sentinel knows that
        replica and the other Sentinels."""
        primary = self.primary()
        if not primary or ask(primary.port, "ROLE")[0] != "master":
            return False
        replica = next(r for r in self.redises if r is not primary)
        role = ask(replica.port, "ROLE")
        if role[0] != "slave" or role[2] != primary.port or role[3] != "connected":
            return False
        for port in self.ports:
            others = ask(port, "SENTINEL", "SENTINELS", PRIMARY)
            replicas = ask(port, "SENTINEL", "REPLICAS", PRIMARY)
            states = [dict(zip(r[::2], r[1::2])) for r in replicas]
            if len(others) != 2 or not any(int(s["port"]) == replica.port and
                                           s["flags"] == "slave" and
                                           s["master-link-status"] == "ok" for s in states):
                return False
        return True

    def has_promoted(self, other_than):
        """Whether a server other than @p other_than is the primary, and the Sentinels say so."""
        primary = self.primary()
        return (primary is not None and primary is not other_than and
                ask(primary.port, "ROLE")[0] == "master")

    def kill(self):
        for process in self.processes:
            process.kill()
        for redis in self.redises:
            redis.kill()
