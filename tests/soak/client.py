# SPDX-License-Identifier: MIT
"""Clients of the soak: non-blocking sockets that one loop serves."""

import base64
import os
import select
import socket
import struct

REQUEST = (
    "GET /ws/{room} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
)
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
NO_MASK = b"\0\0\0\0"  # a mask as any other


def frame(opcode, payload):
    length = len(payload)
    head = bytes([0x80 | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    else:
        head += b"\xfe" + struct.pack(">H", length)
    return head + NO_MASK + payload


class Client:
    """One connection; a subclass is told of messages and of the end."""

    def __init__(self, loop, port, room, reads=True, request=None):
        self.loop = loop
        self.room = room
        self.is_open = False  # upgraded
        self.is_over = False
        self.closed_with = None
        self._has_left = False
        self._buffer = b""
        self._unsent = b""
        self._socket = socket.socket()
        self._socket.setblocking(False)
        if not reads:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            self._socket.connect(("127.0.0.1", port))
        except BlockingIOError:
            pass
        self._interest = select.EPOLLOUT
        self._reads = reads
        key = base64.b64encode(os.urandom(16)).decode()
        self._unsent = (request or REQUEST.format(room=room, key=key)).encode()
        loop.add(self)

    def fileno(self):
        return self._socket.fileno()

    # --- what a subclass does with it ---

    def on_open(self):
        pass

    def on_text(self, payload):
        pass

    def on_end(self):
        pass

    # --- what it does ---

    def send(self, data):
        if self.is_over:
            return
        self._unsent += data
        self._flush()

    def say(self, text):
        self.send(frame(TEXT, text))

    def stop_reading(self):
        self._reads = False
        self._watch()

    def leave(self):
        if self._has_left:
            return
        self._has_left = True
        self.send(frame(CLOSE, struct.pack(">H", 1000)))

    def reset(self):
        if self.is_over:
            return
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._end()

    # --- what the loop tells it ---

    def handle(self, events):
        try:
            if events & select.EPOLLOUT:
                self._flush()
            if not self.is_over and events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                self._read()
        except OSError:
            self._end()

    def _flush(self):
        try:
            if self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent):]
        except BlockingIOError:
            pass
        except OSError:
            return self._end()
        self._watch()

    def _watch(self):
        interest = select.EPOLLIN if self._reads else 0
        if self._unsent:
            interest |= select.EPOLLOUT
        if interest != self._interest and not self.is_over:
            self._interest = interest
            self.loop.watch(self, interest)

    def _read(self):
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        if not data:
            return self._end()
        self._buffer += data
        if not self.is_open:
            head, separator, rest = self._buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            if b" 101 " not in head:
                return self._end()
            self._buffer = rest
            self.is_open = True
            self.on_open()
        self._take_frames()

    def _take_frames(self):
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2 and not self.is_over:
            length, header = buffer[at + 1], 2
            if length == 126:
                if len(buffer) - at < 4:
                    break
                length, header = struct.unpack_from(">H", buffer, at + 2)[0], 4
            if len(buffer) - at < header + length:
                break
            payload = buffer[at + header:at + header + length]
            opcode = buffer[at] & 15
            at += header + length
            if opcode == TEXT:
                self.on_text(payload)
            elif opcode == PING:
                self.send(frame(PONG, payload))
            elif opcode == CLOSE:
                self.closed_with = struct.unpack_from(">H", payload)[0] if payload else 1005
                self.leave()
        self._buffer = buffer[at:]

    def _end(self):
        if self.is_over:
            return
        self.is_over = True
        self.loop.remove(self)
        self._socket.close()
        self.on_end()


class Loop:
    def __init__(self):
        self._epoll = select.epoll()
        self._clients = {}

    def add(self, client):
        self._clients[client.fileno()] = client
        self._epoll.register(client.fileno(), select.EPOLLOUT)

    def watch(self, client, interest):
        self._epoll.modify(client.fileno(), interest)

    def remove(self, client):
        self._epoll.unregister(client.fileno())
        del self._clients[client.fileno()]

    def clients(self):
        return list(self._clients.values())

    def turn(self, seconds):
        for number, events in self._epoll.poll(seconds, 256):
            client = self._clients.get(number)
            if client:
                client.handle(events)
