# SPDX-License-Identifier: MIT
"""A client of the usual library with its default limits: burst_client.py <port> <messages>.

Says how much it has received, so that the server knows."""
import asyncio
import sys

import websockets


async def main(port: int, messages: int) -> None:
    async with websockets.connect(f"ws://127.0.0.1:{port}/") as socket:
        await socket.send("here")
        received = 0
        for _ in range(messages):
            received += len(await socket.recv())
        await socket.send(str(received))
        await socket.wait_closed()


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
