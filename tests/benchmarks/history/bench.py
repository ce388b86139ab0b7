"""Measures what a history costs: a message to a recorded room beside one to a room without a rule,
through the same Cluster over a LocalHub, to members with and without positions; and many clients that
come back at once, beside as many new ones. The server is on one core, the load on another. Ratios are
taken within a round.

Usage: bench.py --build FOLDER [--quick]
"""
import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

WANTED = 1.25  # of the CPU time for a delivery without a history
# (name, rooms with a history, whether the members have positions)
KINDS = (('plain', 'none', False), ('recorded', '*', False), ('lines only', 'none', True),
         ('recorded, lines', '*', True))
MIB = 1 << 20


class Bench:
    def __init__(self, build):
        self.programs = build / 'benchmarks'
        cores = sorted(os.sched_getaffinity(0))
        self.cores = cores[:2] if len(cores) > 1 else cores * 2

    def pin(self, which):
        return {'preexec_fn': lambda: os.sched_setaffinity(0, {self.cores[which]})}

    def run(self, rule, load):
        """What a load prints; it is told the port and the process of a server."""
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        server = subprocess.Popen([self.programs / 'history_server', str(port), rule], **self.pin(0))
        try:
            wait_for(port, server)
            result = subprocess.run(load(port, server.pid), stdout=subprocess.PIPE, text=True,
                                    **self.pin(1))
            if result.returncode:
                sys.exit(1)
            return json.loads(result.stdout)
        finally:
            server.kill()
            server.wait()

    def deliver(self, rule, with_lines, members, seconds):
        """Nanoseconds of the server's CPU for a delivery."""
        run = self.run(rule, lambda port, pid: [
            self.programs / 'load', '--port', str(port), '--pid', str(pid), '--resume',
            str(int(with_lines)), '--connections', str(members), '--in-flight', '16', '--seconds',
            str(seconds), '--warmup', str(seconds / 5)])
        return run['server']['cpu'] / run['deliveries'] * 1e9

    def come_back(self, clients, missed):
        return self.run('*', lambda port, pid: [
            self.programs / 'history_returns', str(port), str(pid), str(clients), str(missed), '64'])


def wait_for(port, server):
    while server.poll() is None:
        try:
            socket.create_connection(('127.0.0.1', port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit('the server ended')


def deliveries(bench, rounds, members, seconds):
    costs = {name: [] for name, _, _ in KINDS}
    for _ in range(rounds):  # in turn, so that a slow moment of the machine hits all
        for name, rule, with_lines in KINDS:
            costs[name].append(bench.deliver(rule, with_lines, members, seconds))
    print(f'A message of 64 bytes to {members} members, 16 in flight:')
    for name, beside in (('plain', 'plain'), ('recorded', 'plain'), ('lines only', 'plain'),
                         ('recorded, lines', 'plain'), ('recorded, lines', 'lines only')):
        ratio = statistics.median(a / b for a, b in zip(costs[name], costs[beside]))
        print(f'  {name:16} {statistics.median(costs[name]):6.0f} ns of CPU for a delivery, '
              f'{ratio:.2f} of "{beside}"', flush=True)
    print(f'  (wanted: at most {WANTED} of the same without a history)')


def returns(bench, rounds, clients, missed):
    runs = [bench.come_back(clients, missed) for _ in range(rounds)]
    print(f'{clients} clients, new ones and then the same ones again, which missed {missed} messages:')
    for name in ('first', 'again'):
        parts = [run[name] for run in runs]
        middle = {key: statistics.median(part[key] for part in parts) for key in parts[0]}
        print(f'  {name}: all are live after {middle["seconds"]:.2f} s, {middle["cpu"]:.2f} s of CPU, '
              f'memory at most {middle["peak"] / MIB:.0f} MiB')
    ratio = statistics.median(run['again']['cpu'] / run['first']['cpu'] for run in runs)
    print(f'  CPU: {ratio:.2f} of the first time')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--build', type=Path, required=True)
    parser.add_argument('--quick', action='store_true', help='whether it works, not how fast')
    options = parser.parse_args()
    bench = Bench(options.build.resolve())
    rounds, members, seconds, clients = (1, 50, 0.3, 200) if options.quick else (7, 1000, 3, 10_000)
    deliveries(bench, rounds, members, seconds)
    returns(bench, rounds, clients, 20)


if __name__ == '__main__':
    main()
