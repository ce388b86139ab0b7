#!/usr/bin/python3
"""Counts what a connection and a message cost a server: instructions and allocations.

The server runs under callgrind, so that the figures are the same whatever else the machine does.
Clients connect one after another, and stay; then one of them sends messages to itself.
"""
import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REQUEST = (b'GET /ws/%s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n'
           b'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
           b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
MESSAGE = b'\x81\xc0' + bytes(4) + b'.' * 64  # text, masked with zeros
ECHO_BYTES = 66
ALLOCATORS = ('malloc', 'calloc', 'realloc')


def connect(port, room=b'room'):
    client = socket.create_connection(('127.0.0.1', port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(REQUEST % room)
    answer = b''
    while b'\r\n\r\n' not in answer:
        received = client.recv(4096)
        if not received:
            sys.exit('count: the server closed a connection')
        answer += received
    return client


def echo(client):
    client.sendall(MESSAGE)
    left = ECHO_BYTES
    while left:
        left -= len(client.recv(left))


class Counted:
    """A server under callgrind."""

    def __init__(self, program, folder):
        self.out = folder / 'callgrind.out'
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        self.dumps = 0
        self.process = subprocess.Popen(
            ['valgrind', '--tool=callgrind', f'--callgrind-out-file={self.out}', program,
             str(self.port)], stderr=subprocess.DEVNULL)

    def first_client(self):
        for _ in range(600):
            try:
                return connect(self.port, b'other')
            except ConnectionError:
                time.sleep(0.1)
        sys.exit('count: the server does not listen')

    def control(self, what):
        subprocess.run(['callgrind_control', what, str(self.process.pid)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def count(self, times, work):
        """Instructions and allocations for each call of `work`."""
        time.sleep(0.5)  # what was begun before ends
        self.control('-z')
        kept = [work() for _ in range(times)]
        time.sleep(0.5)
        self.control('-d')
        self.dumps += 1
        return self.read(Path(f'{self.out}.{self.dumps}'), times), kept

    @staticmethod
    def read(path, times):
        names, instructions, allocations, callee = {}, 0, 0, ''
        for line in path.read_text().splitlines():
            if named := re.match(r'c?fn=\((\d+)\)(?: (.*))?', line):
                callee = names.setdefault(named[1], named[2])
            elif line.startswith('calls=') and callee in ALLOCATORS:
                allocations += int(line[6:].split()[0])
            elif line.startswith('totals:'):
                instructions = int(line.split()[1])
        return {'instructions': instructions / times, 'allocations': allocations / times}

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def measure(program, connections, messages):
    with tempfile.TemporaryDirectory() as folder:
        server = Counted(program, Path(folder))
        try:
            clients = [server.first_client(), *(connect(server.port) for _ in range(60))]
            connection, more = server.count(connections, lambda: connect(server.port))
            for _ in range(100):
                echo(clients[0])
            message, _ = server.count(messages, lambda: echo(clients[0]))
            for client in clients + more:
                client.close()
            return {'connection': connection, 'echoed message': message}
        finally:
            server.end()


def report(build, connections=400, messages=2000):
    """Prints a table, and writes all figures as JSON."""
    if not shutil.which('callgrind_control'):
        print('There is no valgrind here: instructions and allocations are not counted.')
        return
    programs = build.resolve() / 'benchmarks'
    results = {name: measure(programs / name, connections, messages)
               for name in ('floor', 'usual_beast', 'roost_server')}
    usual = results['usual_beast']
    print(f'{"for each":<16}{"server":<14}{"instructions":>14}{"x usual":>9}'
          f'{"allocations":>13}{"x usual":>9}')
    for what in ('connection', 'echoed message'):
        for name, result in results.items():
            line = f'{what:<16}{name:<14}'
            for kind, width in (('instructions', 14), ('allocations', 13)):
                value = result[what][kind]
                ratio = value / usual[what][kind] if usual[what][kind] else 0
                line += f'{value:>{width}.{0 if kind == "instructions" else 1}f}{ratio:>9.2f}'
            print(line)
    path = build / 'count.json'
    path.write_text(json.dumps(results, indent=1) + '\n')
    print(f'\nAll figures: {os.path.relpath(path)}')


def main():
    parser = argparse.ArgumentParser(prog='bench.sh count', description=__doc__)
    parser.add_argument('--build', type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument('--connections', type=int, default=400, metavar='N')
    parser.add_argument('--messages', type=int, default=2000, metavar='N')
    options = parser.parse_args()
    report(options.build, options.connections, options.messages)


if __name__ == '__main__':
    main()
