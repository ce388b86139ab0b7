"""A replica as hawkapi-websockets is one: for each message of the channel, but its own answers, it
prints what it would deliver, and publishes an answer.

Usage: replica.py UNIX_SOCKET CHANNEL; needs Python's redis 4.
"""

import json
import sys

import redis

path, channel = sys.argv[1:]
client = redis.Redis.from_url(f"unix://{path}?db=0")
pubsub = client.pubsub(ignore_subscribe_messages=False)
pubsub.subscribe(channel)
for event in pubsub.listen():
    if event["type"] == "subscribe":
        print("ready", flush=True)
        continue
    message = json.loads(event["data"].decode("utf-8"))
    kind = message.get("kind", "json")
    room, payload, exclude = message.get("room"), message["payload"], message.get("exclude") or []
    if kind == "text" and payload.startswith("python: "):
        continue
    print(kind, room, json.dumps(payload), ",".join(exclude), flush=True)
    answer = {"kind": "text", "room": room, "payload": f"python: {payload}", "exclude": ["nobody"]}
    client.publish(channel, json.dumps(answer))
