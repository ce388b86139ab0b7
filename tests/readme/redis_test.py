"""Starts a redis-server and runs a program of the guide with it.

Usage: redis_test.py PATH_OF_PROGRAM
"""

import subprocess
import sys
import tempfile

TIMEOUT = 30  # seconds


def main(program):
    with tempfile.TemporaryDirectory(prefix="roost-readme-") as folder:
        path = f"{folder}/redis.sock"
        redis = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder],
            stdout=subprocess.PIPE, text=True)
        try:
            while "eady to accept connections" not in (line := redis.stdout.readline()):
                if not line:
                    sys.exit("redis-server does not start")
            said = subprocess.run([program, f"unix://{path}"], check=True, timeout=TIMEOUT,
                                  stdout=subprocess.PIPE, text=True).stdout
        finally:
            redis.kill()
            redis.wait()
    if said != "connecting\nsubscribed\nreplicas: 1\nstopped\n":
        sys.exit(f"the program printed {said!r}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
