"""Starts the guide's server with messages in JSON, and checks what two of its clients get.

Usage: chat_test.py PATH_OF_SERVER; needs Python's websockets, 10 to 15.
"""

import asyncio
import json
import sys

from websockets.legacy import client as legacy  # the one that all of its versions have

from run_test import TIMEOUT, run


async def next_json(ws, field):
    """The next message that has the field: that somebody has come may be in between."""
    while field not in (message := json.loads(await asyncio.wait_for(ws.recv(), TIMEOUT))):
        pass
    return message


async def visit(url):
    async with legacy.connect(url) as alice:
        await next_json(alice, "you_are")
        async with legacy.connect(url) as bob:
            name = (await next_json(bob, "you_are"))["you_are"]  # from now on Bob is a member
            await bob.send(json.dumps({"type": "say", "text": "hello"}))
            said = {"from": name, "text": "hello"}
            assert await next_json(alice, "text") == await next_json(bob, "text") == said
            await bob.send(json.dumps(["say", "hello"]))
            assert "error" in await next_json(bob, "error")
            await bob.send("{")
            await asyncio.wait_for(bob.wait_closed(), TIMEOUT)
            assert bob.close_code == 1007
        assert await next_json(alice, "left") == {"left": name}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    run(sys.argv[1], visit)
