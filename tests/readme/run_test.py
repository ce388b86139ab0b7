"""Starts a server of the README or of the guide, and checks that a text of one client reaches another.

Usage: run_test.py PATH_OF_SERVER; needs Python's websockets, 10 to 15.
"""

import asyncio
import re
import signal
import subprocess
import sys
import threading
import time

from websockets.legacy import client as legacy  # the one that all of its versions have

TIMEOUT = 30  # seconds


def first_url(output):
    """Reads what the server prints until the line that says where it listens."""
    printed = ""
    for line in output:
        printed += line
        if match := re.search(r"ws://127\.0\.0\.1:\d+/ws/lobby\b", line):
            return match[0]
    sys.exit(f"the server ended; it had printed {printed!r}")


async def talk(url):
    async with legacy.connect(url) as alice, legacy.connect(url) as bob:
        deadline = time.monotonic() + TIMEOUT
        while True:  # repeated, because Bob may be connected a moment before he is a member
            await alice.send("hello")
            try:
                if await asyncio.wait_for(bob.recv(), 0.5) == "hello":
                    return
            except asyncio.TimeoutError:
                if time.monotonic() > deadline:
                    raise


def run(server, visit, statuses=(0,)):
    """Starts the server, awaits `visit(url)`, and checks with which status SIGTERM ends the server."""
    process = subprocess.Popen([server, "0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               text=True)
    # A server that says nothing (has it flushed its output?) would be waited for without end.
    watchdog = threading.Timer(2 * TIMEOUT, process.kill)
    watchdog.start()
    try:
        asyncio.run(visit(first_url(process.stdout)))
        process.send_signal(signal.SIGTERM)
        status = process.wait(TIMEOUT)
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
    if status not in statuses:
        sys.exit(f"the server ended with status {status}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    run(sys.argv[1], talk, (0, -signal.SIGTERM))
