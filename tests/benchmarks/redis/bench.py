"""Measures the Redis backplane against Redis itself: how many messages arrive at the manager of a
second process, against redis-benchmark with one subscriber; how long one takes at low load, against
nothing but sockets; and how long it takes to subscribe to many rooms. Servers and replicas share the cores of this machine.

Usage: bench.py --build FOLDER [--quick]
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile

WANTED_RATE, WANTED_LATENCY = 0.6, 1.5  # of what Redis itself does
ROOMS, WANTED_ROOMS_MS = 10_000, 1000


class Redis:
    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="roost-redis-")
        self.socket = f"{self.folder.name}/redis.sock"
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
             "--client-output-buffer-limit", "pubsub 0 0 0", "--dir", self.folder.name],
            stdout=subprocess.PIPE, text=True)
        while "eady to accept connections" not in (line := self.process.stdout.readline()):
            if not line:
                sys.exit("redis-server does not start")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


class Receiver:
    """Ends by itself with the last message."""

    def __init__(self, program, how, redis, count):
        self.process = subprocess.Popen([program, how, redis.socket, "bench", str(count)],
                                        stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            sys.exit(f"{how} is not ready")

    def result(self):
        """(messages per second, median latency in microseconds)"""
        rate, latency = self.process.stdout.readline().split()
        self.process.wait()
        return float(rate), float(latency)


def redis_benchmark(program, redis, count):
    message = subprocess.run([program, "message"], check=True, capture_output=True,
                             text=True).stdout.strip()
    receiver = Receiver(program, "raw-receive", redis, count)
    subprocess.run(["redis-benchmark", "-s", redis.socket, "-P", "16", "-c", "1", "-n", str(count),
                    "-q", "publish", "bench", message], check=True, stdout=subprocess.DEVNULL)
    return receiver.result()[0]


def roost_rate(program, redis, count):
    receiver = Receiver(program, "receive", redis, count)
    subprocess.run([program, "publish", redis.socket, "bench", str(count), "256", "0"], check=True)
    return receiver.result()[0]


def raw_latency(program, redis, count):
    receiver = Receiver(program, "raw-receive", redis, count)
    subprocess.run([program, "raw-publish", redis.socket, "bench", str(count), "1000"], check=True)
    return receiver.result()[1]


def roost_latency(program, redis, count):
    receiver = Receiver(program, "receive", redis, count)
    subprocess.run([program, "publish", redis.socket, "bench", str(count), "1", "1000"], check=True)
    return receiver.result()[1]


def rooms_ms(program, redis):
    result = subprocess.run([program, "rooms", redis.socket, "bench", str(ROOMS)], check=True,
                            stdout=subprocess.PIPE, text=True)
    return float(result.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--quick", action="store_true", help="whether it works, not how fast")
    options = parser.parse_args()
    program = options.build / "benchmarks" / "redis_replica"
    rounds, messages, singles = (1, 10_000, 100) if options.quick else (5, 500_000, 2_000)
    rates, floors, latencies, raw_latencies = [], [], [], []
    with Redis() as redis:
        for _ in range(rounds):  # in turn, so that a slow moment of the machine hits all
            floors.append(redis_benchmark(program, redis, messages))
            rates.append(roost_rate(program, redis, messages))
            raw_latencies.append(raw_latency(program, redis, singles))
            latencies.append(roost_latency(program, redis, singles))
            print(f"{floors[-1]:10.0f}/s redis-benchmark {rates[-1]:10.0f}/s roost   "
                  f"{raw_latencies[-1]:6.0f} us raw {latencies[-1]:6.0f} us roost", flush=True)
        rooms = statistics.median(rooms_ms(program, redis) for _ in range(rounds))
    rate = statistics.median(ours / floor for ours, floor in zip(rates, floors))
    latency = statistics.median(ours / raw for ours, raw in zip(latencies, raw_latencies))
    print(f"messages per second: {rate:.2f} of redis-benchmark's (wanted: {WANTED_RATE})")
    print(f"latency: {latency:.2f} of a raw pair's (wanted: at most {WANTED_LATENCY})")
    print(f"{ROOMS} rooms subscribed: {rooms:.0f} ms (wanted: at most {WANTED_ROOMS_MS})")


if __name__ == "__main__":
    main()
