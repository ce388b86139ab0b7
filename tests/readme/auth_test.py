"""Starts the guide's server that asks who somebody is, and checks whom it takes.

Usage: auth_test.py PATH_OF_SERVER; needs Python's websockets, 10 to 15.
"""

import asyncio
import subprocess
import sys
import threading
import urllib.error
import urllib.request

from websockets.exceptions import InvalidStatusCode
from websockets.legacy import client as legacy  # the one that all of its versions have

from run_test import TIMEOUT, first_url

TOKEN = "alices-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def status(url, **options):
    """What the server answers; where that is 101, it must be somebody it knows."""
    try:
        async with legacy.connect(url, **options) as ws:
            assert await ws.recv() == "hello, alice"
            assert ws.subprotocol == ("chat" if "subprotocols" in options else None)
            return 101
    except InvalidStatusCode as refused:
        return refused.status_code


def ticket(url, headers, path="/ticket"):
    """What the server gives for a token, or the status of its refusal."""
    where = url.replace("ws://", "http://").replace("/ws/lobby", path)
    request = urllib.request.Request(where, method="POST", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return response.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code


async def close_code(url):
    async with legacy.connect(url, extra_headers=BEARER) as ws:
        await ws.wait_closed()
        return ws.close_code


async def visit(url):
    def expect(found, wanted):
        if found != wanted:
            sys.exit(f"found {found!r}, not {wanted!r}")

    expect(await status(url), 401)
    expect(await status(url, extra_headers=BEARER), 101)
    for value in (f"bearer {TOKEN}", f"BEARER   {TOKEN} "):  # RFC 9110, 11.1
        expect(await status(url, extra_headers={"Authorization": value}), 101)
    expect(await status(url, extra_headers={"Authorization": "Bearer guess"}), 401)
    expect(await status(url, extra_headers={"Authorization": TOKEN}), 401)
    expect(await status(url, subprotocols=["chat", f"bearer.{TOKEN}"]), 101)
    expect(await status(url, subprotocols=["chat", "bearer.guess"]), 401)
    expect(await status(url + "?token=" + TOKEN), 401)

    expect(ticket(url, {}), 401)
    expect(ticket(url, BEARER, "/elsewhere"), 404)
    good, another = ticket(url, BEARER), ticket(url, BEARER, "/ticket?x")
    expect(good != another and len(good) > 20, True)
    expect(await status(f"{url}?ticket={good}"), 101)
    expect(await status(f"{url}?ticket={good}"), 401)  # once only
    expect(await status(f"{url}?ticket={another}"), 101)

    expect(await status(url, extra_headers=BEARER, origin="https://app.example.com"), 101)
    expect(await status(url, extra_headers=BEARER, origin="https://evil.example"), 403)
    expect(await close_code(url + "?room=rivals/lobby"), 1008)


def main(server):
    process = subprocess.Popen([server, "0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    # Whatever waits for a server that says nothing, ends with it.
    watchdog = threading.Timer(2 * TIMEOUT, process.kill)
    watchdog.start()
    log = ""
    try:
        asyncio.run(visit(first_url(process.stdout)))
        for line in process.stderr:  # a thread writes it, so it may come after the last answer
            log += line
            if "join_denied" in line:
                break
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()
    if "origin_denied" not in log or TOKEN in log or "ticket" in log:
        sys.exit(f"the log says {log!r}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
