"""Starts the guide's server with a history, cuts a client off, and checks that it gets what it missed.

Usage: history_test.py PATH_OF_SERVER; needs Python's websockets, 10 to 15.
"""

import asyncio
import sys

from websockets.legacy import client as legacy  # the one that all of its versions have

from run_test import TIMEOUT, run


async def receive(ws):
    """(room, position, words, payload) of the next message; what is missing is None."""
    line, _, payload = (await asyncio.wait_for(ws.recv(), TIMEOUT)).partition("\n")
    place, *words = line.split(" ")
    room, _, position = place.partition(":")
    return room, position or None, words, payload or None


async def visit(url):
    def expect(found, wanted):
        if found != wanted:
            sys.exit(f"found {found!r}, not {wanted!r}")

    async with legacy.connect(url + "?resume=") as bob, legacy.connect(url) as plain:
        room, start, words, payload = await receive(bob)
        expect((room, words, payload), ("lobby", ["joined"], None))
        await plain.send("zero")  # who speaks is a member
        expect((await receive(bob))[2:], ([], "zero"))
        alice = await legacy.connect(url + "?resume=")
        await receive(alice)
        await bob.send("one")
        _, position, words, payload = await receive(alice)
        expect((words, payload), ([], "one"))
        expect(await receive(bob), ("lobby", position, [], None))  # recorded; it is his own
        alice.transport.abort()  # no close frame

        await bob.send("two")
        expect((await receive(bob))[2:], ([], None))
        await bob.send("three")
        _, newest, _, _ = await receive(bob)

        alice = await legacy.connect(f"{url}?resume=lobby:{position}")
        expect(await receive(alice), ("lobby", position, ["joined", "recovered"], None))
        expect((await receive(alice))[2:], ([], "two"))
        expect(await receive(alice), ("lobby", newest, [], "three"))
        await bob.send("four")
        expect((await receive(alice))[2:], ([], "four"))
        await receive(bob)
        await alice.close()

        async with legacy.connect(f"{url}?resume=lobby:nonsense") as stranger:
            room, there, words, _ = await receive(stranger)
            expect(words, ["joined", "lost=malformed"])
            expect(there not in (None, start, newest), True)
        for text in ("one", "two", "three", "four"):  # who asks for no positions gets no lines
            expect(await asyncio.wait_for(plain.recv(), TIMEOUT), text)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    run(sys.argv[1], visit)
