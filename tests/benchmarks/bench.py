#!/usr/bin/python3
"""Runs the benchmark: shapes x servers x rounds, one table, and everything as JSON.

Server and load are separate processes on a core each. The servers take turns within a round, so
that what the machine does meanwhile hits them alike; ratios are taken within a round.
"""
import argparse
import fnmatch
import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import count
import shapes
import table

SATURATED = 0.95  # of a core


class Skip(Exception):
    """This server cannot be measured here."""


class Failure(Exception):
    """This server did wrong: no figure of it counts."""


class Bench:
    def __init__(self, build, options):
        self.build = build
        self.programs = build / 'benchmarks'
        self.options = options
        cores = sorted(os.sched_getaffinity(0))
        self.cores = cores[:2] if len(cores) > 1 else None
        self.certificate = None
        self.has_failed = False
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.max_connections = hard - 100 if hard != resource.RLIM_INFINITY else 1 << 30
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def pin(self, which):
        if not self.cores:
            return {}
        return {'preexec_fn': lambda: os.sched_setaffinity(0, {self.cores[which]})}

    def tls_files(self):
        """A certificate and a key; new ones, for a certificate ends."""
        if not self.certificate:
            certificate, key = self.build / 'certificate.pem', self.build / 'key.pem'
            try:
                subprocess.run(
                    ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                     'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj',
                     '/CN=localhost', '-keyout', key, '-out', certificate],
                    check=True, capture_output=True)
            except FileNotFoundError:
                raise Skip('the openssl command is not here') from None
            self.certificate = [str(certificate), str(key)]
        return self.certificate

    def command(self, server, shape, port):
        tls = self.tls_files() if shape.tls else []
        deflate = ['--deflate'] if shape.deflate else []
        if server == 'ws':
            if not (self.build / 'node_modules' / 'ws').is_dir():
                raise Skip('node, npm or the package are not here')
            script = Path(__file__).parent / 'servers' / 'ws_server.mjs'
            return ['node', str(script.resolve()), str(port), *deflate, *tls]
        if server.startswith('roost'):
            ping = [] if shape.ping is None else [
                '--ping', '0' if server == 'roost-no-ping' else str(shape.ping)]
            return [str(self.programs / 'roost_server'), str(port), *ping,
                    *deflate, *(['--tls', *tls] if tls else [])]
        return [str(self.programs / server.replace('-', '_')), str(port), *deflate, *tls]

    def run(self, server, shape):
        """One server under one load: what the load prints."""
        if shape.connections > self.max_connections:
            raise Skip(f'a process may have {self.max_connections} connections here')
        port = free_port()
        process = subprocess.Popen(self.command(server, shape, port), cwd=self.build, **self.pin(0))
        try:
            wait_for_port(port, process, server)
            load = subprocess.run(
                [str(self.programs / 'load'), '--name', server, '--port', str(port), '--pid',
                 str(process.pid), '--tls', str(int(shape.tls)), '--deflate',
                 str(int(shape.deflate)), *shape.load_arguments()],
                capture_output=True, text=True, **self.pin(1))
            if load.returncode != 0:
                raise Failure(load.stderr.strip())
            return judge(json.loads(load.stdout))
        finally:
            process.kill()
            process.wait()

    def measure(self, shape):
        """All servers in turn, round after round."""
        servers = [s for s in shape.servers if fits(s, self.options.server)]
        rounds = {server: [] for server in servers}
        skipped = {}
        for number in range(self.options.rounds):
            for server in servers:
                if server in skipped:
                    continue
                progress(f'{shape.name}: round {number + 1} of {self.options.rounds}: {server}')
                try:
                    rounds[server].append(self.run(server, shape))
                except Skip as why:
                    skipped[server] = f'is left out: {why}'
                except Failure as why:
                    skipped[server] = f'failed: {why}'
                    rounds[server] = []
                    self.has_failed = True
        progress('')
        for server, why in skipped.items():
            print(f'{shape.name}: {server} {why}', flush=True)
        return {server: runs for server, runs in rounds.items() if runs}


def judge(run):
    """Adds shares of a core, and whether it was the load that could not do more."""
    for who in ('server', 'load'):
        run[who]['share'] = run[who]['cpu'] / run['seconds']
        run[who]['waited_share'] = run[who]['waited'] / run['seconds']
    run['void'] = run['load']['share'] >= SATURATED > run['server']['share']
    return run


def fits(name, patterns):
    return not patterns or any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, server):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failure(f'{server} ended with {process.returncode}')
        try:
            socket.create_connection(('127.0.0.1', port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise Failure(f'{server} does not listen')


def progress(text):
    if sys.stderr.isatty():
        print(f'\r\033[K{text}', end='', file=sys.stderr, flush=True)


def parse():
    parser = argparse.ArgumentParser(
        prog='bench.sh', description='Measures roost beside a bare epoll server (the floor), Beast '
        'as it is usually used, and the ws package of npm. NAME may be a pattern: "10000-*".')
    parser.add_argument('--build', type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument('--quick', action='store_true',
                        help='some small shapes, once, for moments: whether it works, not how fast')
    parser.add_argument('--shape', action='append', metavar='NAME', help='only this; repeatable')
    parser.add_argument('--server', action='append', metavar='NAME', help='only this; repeatable')
    parser.add_argument('--rounds', type=int, metavar='N', help='default 9')
    parser.add_argument('--seconds', type=float, metavar='S', help='of each round; default 5')
    parser.add_argument('--json', type=Path, metavar='FILE',
                        help='where all figures go; default build/bench/result.json')
    parser.add_argument('--list', action='store_true', help='name the shapes')
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 9)
    options.seconds = options.seconds or (0.3 if options.quick else 5)
    return options


def main():
    options = parse()
    build = options.build.resolve()
    every = shapes.quick(options.seconds) if options.quick else shapes.every(options.seconds)
    chosen = [shape for shape in every if fits(shape.name, options.shape)]
    if options.list:
        print('\n'.join(shape.name for shape in every))
        return
    if not chosen:
        sys.exit('bench: no such shape; --list names them')
    bench = Bench(build, options)
    if not bench.cores:
        print('There is one core only: server and load share it, and no figure means anything.')
    runs = sum(len([s for s in shape.servers if fits(s, options.server)]) * shape.about_seconds()
               for shape in chosen) * options.rounds
    print(f'{len(chosen)} shapes, {options.rounds} rounds: about {max(1, round(runs / 60))} min.',
          flush=True)

    results = []
    path = options.json or build / 'result.json'
    try:
        for shape in chosen:
            results.append({'shape': shape.as_dict(), 'servers': bench.measure(shape)})
            path.write_text(json.dumps(table.summary(results, options), indent=1) + '\n')
    except KeyboardInterrupt:
        print('\nInterrupted: these shapes were measured.')
    print(table.render(results))
    print(f'\nAll figures: {os.path.relpath(path)}')
    if not options.shape and not options.server:
        print()
        count.report(build, *((50, 200) if options.quick else ()))
    sys.exit(1 if bench.has_failed else 0)


if __name__ == '__main__':
    main()
