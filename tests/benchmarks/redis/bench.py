"""Measures the Redis backplane against Redis itself: how many messages arrive at the manager of a
second process, against redis-benchmark with one subscriber; how long one takes at low load, against
nothing but sockets; how long it takes to subscribe to many rooms; how many messages arrive that are
recorded, against those that are not; and how soon many clients that come back have what they missed,
against as many new ones. Servers and replicas share the
cores of this machine, so that what a message costs all of them in CPU time tells more than a rate.

Usage: bench.py --build FOLDER [--quick]
"""

import argparse
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

WANTED_RATE, WANTED_LATENCY = 0.6, 1.5  # of what Redis itself does
ROOMS, WANTED_ROOMS_MS = 10_000, 1000
WANTED_RECORDED = 0.25  # of messages that are not recorded
RESUMES, MISSED = 10_000, 20


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

    def cpu_seconds(self):
        """Used so far, by the server and by all programs that have ended."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                + children.ru_utime + children.ru_stime)

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


def recorded_rate(program, redis, count):
    receiver = Receiver(program, "receive-recorded", redis, count)
    subprocess.run([program, "publish-recorded", redis.socket, "bench", str(count), "256", "0"],
                   check=True)
    return receiver.result()[0]


def resumes_ms(program, redis, clients):
    """(new clients, clients that come back)"""
    result = subprocess.run([program, "resumes", redis.socket, "bench", str(clients), str(MISSED)],
                            check=True, stdout=subprocess.PIPE, text=True)
    return [float(part) for part in result.stdout.split()]


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


def with_cpu(measure, program, redis, count):
    """(what it measures, microseconds of CPU for a message)"""
    before = redis.cpu_seconds()
    result = measure(program, redis, count)
    return result, (redis.cpu_seconds() - before) * 1e6 / count


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--quick", action="store_true", help="whether it works, not how fast")
    options = parser.parse_args()
    program = options.build / "benchmarks" / "redis_replica"
    rounds, messages, singles = (1, 10_000, 100) if options.quick else (5, 500_000, 2_000)
    rates, floors, latencies, raw_latencies, cpu, cpu_floors = [], [], [], [], [], []
    recorded, cpu_recorded = [], []
    clients = 200 if options.quick else RESUMES
    with Redis() as redis:
        for _ in range(rounds):  # in turn, so that a slow moment of the machine hits all
            for measure, results, costs in ((redis_benchmark, floors, cpu_floors),
                                            (roost_rate, rates, cpu),
                                            (recorded_rate, recorded, cpu_recorded)):
                result, cost = with_cpu(measure, program, redis, messages)
                results.append(result)
                costs.append(cost)
            raw_latencies.append(raw_latency(program, redis, singles))
            latencies.append(roost_latency(program, redis, singles))
            print(f"{floors[-1]:9.0f}/s {cpu_floors[-1]:5.2f} us CPU redis-benchmark   "
                  f"{rates[-1]:9.0f}/s {cpu[-1]:5.2f} us CPU roost   "
                  f"{recorded[-1]:9.0f}/s {cpu_recorded[-1]:5.2f} us CPU recorded   "
                  f"{raw_latencies[-1]:5.0f} us raw {latencies[-1]:5.0f} us roost", flush=True)
        rooms = statistics.median(rooms_ms(program, redis) for _ in range(rounds))
        resumes = [resumes_ms(program, redis, clients) for _ in range(rounds)]
    rate = statistics.median(ours / floor for ours, floor in zip(rates, floors))
    latency = statistics.median(ours / raw for ours, raw in zip(latencies, raw_latencies))
    print(f"messages per second: {rate:.2f} of redis-benchmark's (wanted: {WANTED_RATE})")
    cost = statistics.median(ours / floor for ours, floor in zip(cpu, cpu_floors))
    print(f"CPU per message: {cost:.2f} of that with redis-benchmark")
    print(f"latency: {latency:.2f} of a raw pair's (wanted: at most {WANTED_LATENCY})")
    print(f"{ROOMS} rooms subscribed: {rooms:.0f} ms (wanted: at most {WANTED_ROOMS_MS})")
    share = statistics.median(with_log / ours for with_log, ours in zip(recorded, rates))
    print(f"recorded messages per second: {share:.2f} of those that are not recorded "
          f"(wanted: {WANTED_RECORDED})")
    came, came_back = (statistics.median(times) for times in zip(*resumes))
    times = statistics.median(back / new for new, back in resumes)
    print(f"{clients} clients of one room that missed {MISSED} messages each: {came_back:.0f} ms, "
          f"{times:.1f} times as long as {clients} new ones ({came:.0f} ms)")


if __name__ == "__main__":
    main()
