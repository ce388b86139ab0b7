"""What is measured. A shape is how many clients do what; another one is a line in `every`."""
import dataclasses
from dataclasses import dataclass

FAN_OUT = ('floor', 'usual-beast', 'ws', 'roost')
# The floor has neither TLS nor compression.
LAYERED = ('usual-beast', 'ws', 'roost')
IDLE = ('floor', 'usual-beast', 'ws', 'roost-no-ping', 'roost')


@dataclass(frozen=True)
class Shape:
    name: str
    servers: tuple
    connections: int
    rooms: int
    bytes: int = 64
    in_flight: int = 0  # messages in each room; 0: nobody says anything
    tls: bool = False
    deflate: bool = False  # permessage-deflate, and JSON that can be compressed
    ping: float = None  # seconds between the pings of roost; None: its default
    warmup: float = 1
    seconds: float = 5

    def load_arguments(self):
        arguments = {'connections': self.connections, 'rooms': self.rooms, 'bytes': self.bytes,
                     'in-flight': self.in_flight, 'warmup': self.warmup, 'seconds': self.seconds}
        return [word for name, value in arguments.items() for word in (f'--{name}', str(value))]

    def about_seconds(self):
        """With the making of the connections and the starting of processes."""
        return self.warmup + self.seconds + 0.6 + self.connections / 4000

    def as_dict(self):
        return {**dataclasses.asdict(self), 'servers': None}


def fan_out(connections, rooms, size, in_flight, **more):
    size_of_rooms = connections // rooms
    return Shape(
        f'{connections}{"-tls" if more.get("tls") else ""}{"-deflate" if more.get("deflate") else ""}-'
        f'{"1room" if rooms == 1 else f"rooms-of-{size_of_rooms}"}-{size}B-{in_flight}',
        LAYERED if more.get('tls') or more.get('deflate') else FAN_OUT, connections, rooms, size, in_flight, **more)


def every(seconds):
    shapes = []
    for connections, tls in ((1000, False), (10000, False), (1000, True)):
        for rooms in (1, connections // 10):
            for size in (64, 512):
                for in_flight in (1, 16, 64):
                    shapes.append(fan_out(connections, rooms, size, in_flight, tls=tls,
                                          seconds=seconds))
    # Many small rooms: what each message touches has left the processor's caches since the last.
    shapes.append(fan_out(9000, 900, 64, 1, seconds=seconds))
    # One message at a time into a server that has nothing else to do: how soon it arrives.
    shapes.append(fan_out(10, 1, 64, 1, seconds=seconds))
    for in_flight in (1, 16):
        shapes.append(fan_out(1000, 1, 1024, in_flight, deflate=True, seconds=seconds))
    # Pings are spread over their interval: a whole one is measured.
    idle = {'ping': 30, 'warmup': 1, 'seconds': max(30.0, seconds)}
    shapes.append(Shape('idle', IDLE, 10000, 1, **idle))
    shapes.append(Shape('idle-tls', LAYERED, 10000, 1, tls=True, **idle))
    return shapes


def quick(seconds):
    short = {'seconds': seconds, 'warmup': 0.1}
    return [fan_out(100, 1, 64, 16, **short), fan_out(100, 10, 512, 64, **short),
            fan_out(50, 5, 512, 16, tls=True, **short),
            fan_out(50, 1, 1024, 16, deflate=True, **short),
            Shape('idle', IDLE, 100, 1, ping=0.2, warmup=0.1, seconds=max(0.4, seconds)),
            Shape('idle-tls', LAYERED, 100, 1, tls=True, ping=0.2, warmup=0.1,
                  seconds=max(0.4, seconds))]
