"""Shows: a backend in another language that says something in a room, and has it recorded.
Run:   python3 examples/record.py /run/redis/redis.sock roost-replicas lobby hello record.lua
Try:   Run `replicas` and connect to it with ?resume=. Disconnect, record something, and come back.

The arguments are the socket of Redis (or HOST:PORT), the channel, the room, the text, and a file with
the script, which is in cmake/docs/redis.md. The position of the message is printed. With a Redis library
it is `redis.eval(script, 2, *keys, *arguments)`. The limits have to be those of your HistoryRule.
"""

import json
import secrets
import socket
import sys

MAX_MESSAGES, MAX_BYTES, MAX_AGE_MS, POSITION_AGE_MS = 100, 262_144, 300_000, 86_400_000


def connect(where):
    if ":" not in where:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(where)
        return connection
    host, port = where.rsplit(":", 1)
    return socket.create_connection((host, int(port)))


def command(*words):
    """A command as Redis reads it."""
    parts = [word.encode() for word in map(str, words)]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def reply(stream):
    kind, rest = (line := stream.readline())[:1], line[1:-2].decode()
    if kind == b"*":
        return [reply(stream) for _ in range(int(rest))]
    if kind == b"$":
        return stream.read(int(rest) + 2)[:-2].decode()
    if kind == b":":
        return int(rest)
    raise RuntimeError(rest or "the connection was lost")  # nothing is known then: do not repeat it


def record(connection, script, channel, room, text):
    """Records a message and publishes it; returns its position."""
    message = json.dumps({"kind": "text", "room": room, "payload": text, "exclude": []})
    mark, epoch = secrets.token_urlsafe(12)[:6], secrets.token_urlsafe(12)[:8]
    connection.sendall(command(
        "EVAL", script, 2, f"{channel}:meta:{room}", f"{channel}:log:{room}",
        channel, message, mark, epoch, MAX_MESSAGES, MAX_BYTES, MAX_AGE_MS, POSITION_AGE_MS))
    epoch, number, *_ = reply(connection.makefile("rb"))
    return f"{epoch}.{number}.{mark}"


if __name__ == "__main__":
    where, channel, room, text, script = sys.argv[1:]
    with connect(where) as connection, open(script, encoding="utf-8") as file:
        print(record(connection, file.read(), channel, room, text))
