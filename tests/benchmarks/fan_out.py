"""Fan-out over real sockets: servers and load in processes of their own, on a core each.

Usage: fan_out.py FOLDER_OF_THE_PROGRAMS [--quick] [--rounds N] [--seconds N] [--shape TEXT]...
                  [--server NAME]... [--json FILE]

The load keeps a number of messages in flight in each room; a message is done when every member has
received it, its sender included. Rounds of the servers alternate. A round in which the load was the
bottleneck is void: its core was busy while the server's was not.
"""

import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time

SERVER_CORE, LOAD_CORE = 0, 1
BUSY = 0.95  # of a core
SERVERS = ["floor", "usual_beast", "roost_server"]
SHAPES = [  # name, connections, rooms, bytes, in flight in each room
    (f"{connections} in {rooms} x {connections // rooms}, {size} B, {flight} in flight",
     connections, rooms, size, flight)
    for connections, all_rooms in ((1000, (1, 100)), (10000, (1, 1000)))
    for rooms in all_rooms
    for size in (64, 512)
    for flight in (1, 16, 64)
] + [("10 in 1 x 10, 64 B, 1 in flight", 10, 1, 64, 1)]
QUICK = "1000 in 1 x 1000, 64 B, 16 in flight"


def pinned_to(core):
    """What a child does before it begins; nothing where there is only one core."""
    cores = sorted(os.sched_getaffinity(0))
    return lambda: os.sched_setaffinity(0, {cores[core % len(cores)]})


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_until_it_listens(port, server, name):
    for _ in range(1000):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if server.poll() is not None:
                sys.exit(f"{name} ended with status {server.returncode}")
            time.sleep(0.01)
    sys.exit(f"{name} does not listen")


def run(folder, name, shape, seconds):
    """One round: what the load printed, and what follows from it."""
    label, connections, rooms, size, flight = shape
    port = free_port()
    server = subprocess.Popen([folder / name, str(port)], preexec_fn=pinned_to(SERVER_CORE))
    try:
        wait_until_it_listens(port, server, name)
        load = subprocess.run(
            [folder / "load", "--port", str(port), "--pid", str(server.pid), "--name", name,
             "--connections", str(connections), "--rooms", str(rooms), "--bytes", str(size),
             "--in-flight", str(flight), "--seconds", str(seconds)],
            stdout=subprocess.PIPE, text=True, preexec_fn=pinned_to(LOAD_CORE))
    finally:
        server.kill()
        server.wait()
    if load.returncode != 0:
        sys.exit(f"the load failed: {name}, {label}")
    result = json.loads(load.stdout)
    took = result["seconds"]
    result["per_second"] = result["deliveries"] / took
    result["cpu_ns"] = result["server"]["cpu"] * 1e9 / max(1, result["deliveries"])
    result["server_share"] = result["server"]["cpu"] / took
    result["load_share"] = result["load"]["cpu"] / took
    result["is_void"] = result["load_share"] >= BUSY > result["server_share"]
    return result


def median_of(rounds, field):
    values = [field(r) for r in rounds]
    return statistics.median(values), min(values), max(values)


def summary(rounds):
    valid = [r for r in rounds if not r["is_void"]]
    used = valid or rounds
    return {
        "rounds": len(rounds), "void": len(rounds) - len(valid),
        "per_second": median_of(used, lambda r: r["per_second"]),
        "cpu_ns": median_of(used, lambda r: r["cpu_ns"]),
        "p50_us": median_of(used, lambda r: r["latency_us"]["p50"]),
        "p99_us": median_of(used, lambda r: r["latency_us"]["p99"]),
        "share": median_of(used, lambda r: r["server_share"]),
        "setup": median_of(used, lambda r: r["setup_per_second"]),
        "memory": median_of(used, lambda r: r["bytes_per_connection"]),
    }


def spread(triple, scale, digits):
    middle, low, high = (value / scale for value in triple)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def print_shape(label, summaries):
    print(f"\n{label}")
    print(f"  {'':13}{'1000 deliveries/s':>24}{'CPU ns per delivery':>24}{'to floor':>9}"
          f"{'p50 us':>9}{'p99 us':>9}{'core':>6}{'set-ups/s':>11}{'KiB each':>9}")
    floor = summaries.get("floor", {}).get("cpu_ns", (0,))[0]
    for name, s in summaries.items():
        ratio = f"{s['cpu_ns'][0] / floor:.2f}" if floor else "-"
        void = f"  {s['void']} of {s['rounds']} void" if s["void"] else ""
        print(f"  {name:13}{spread(s['per_second'], 1e3, 0):>24}{spread(s['cpu_ns'], 1, 0):>24}"
              f"{ratio:>9}{s['p50_us'][0]:>9.0f}{s['p99_us'][0]:>9.0f}{s['share'][0]:>6.0%}"
              f"{s['setup'][0]:>11.0f}{s['memory'][0] / 1024:>9.1f}{void}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="sh cmake/bench.sh fan_out", usage=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--shape", action="append")
    parser.add_argument("--server", action="append", choices=SERVERS)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 9)
    seconds = options.seconds or (1 if options.quick else 5)
    wanted = options.shape or ([QUICK] if options.quick else [""])
    shapes = [s for s in SHAPES if any(text in s[0] for text in wanted)]
    if not shapes:
        sys.exit("no shape has that in its name; there are:\n" + "\n".join(s[0] for s in SHAPES))
    report = []
    for shape in shapes:
        results = {name: [] for name in options.server or SERVERS}
        for _ in range(rounds):
            for name, so_far in results.items():
                so_far.append(run(options.folder, name, shape, seconds))
        print_shape(shape[0], {name: summary(r) for name, r in results.items()})
        report.append({"shape": shape[0], "rounds": results})
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
