"""The wire as proto/PROTOCOL.md tells it: ZMTP 3.0 over a Unix socket, without libzmq.

    link = Link(home + "/run/engram.sock")
    link.send(data)
    data = link.receive(5.0)             # None: nothing came
"""

import socket
import struct
import time

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
LONG, COMMAND = 2, 4


def prop(name, value):
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


class Link:
    def __init__(self, path, identity=b"", seconds=10.0):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(seconds)
        self.socket.connect(path)
        self.got = b""
        self.pings = 0
        self.socket.sendall(GREETING)
        greeting = self._take(64)
        if greeting[0] != 0xFF or greeting[9] != 0x7F or greeting[10] != 3 or greeting[12:16] != b"NULL":
            raise ValueError(f"greeted with {greeting.hex()}")
        self._frame(COMMAND, b"\x05READY" + prop(b"Socket-Type", b"DEALER") + prop(b"Identity", identity))
        flags, ready = self._read_frame()
        if not flags & COMMAND or ready[:6] != b"\x05READY" or prop(b"Socket-Type", b"ROUTER") not in ready:
            raise ValueError(f"no READY: {ready!r}")

    def close(self):
        self.socket.close()

    def send(self, data):
        self._frame(0, data)

    def receive(self, seconds):
        """The next message; pings in between are answered."""
        until = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(0.001, until - time.monotonic()))
            try:
                flags, body = self._read_frame()
            except socket.timeout:
                return None
            if flags & 1:
                raise ValueError("a message of two frames")
            if not flags & COMMAND:
                return body
            if body[:5] == b"\x04PING":
                self.pings += 1
                self._frame(COMMAND, b"\x04PONG" + body[7:])

    def _frame(self, flags, body):
        size = bytes([flags, len(body)]) if len(body) < 256 else bytes([flags | LONG]) + struct.pack(">Q", len(body))
        self.socket.sendall(size + body)

    def _fill(self, n):
        while len(self.got) < n:
            more = self.socket.recv(1 << 16)
            if not more:
                raise ConnectionError("the other side hung up")
            self.got += more

    def _take(self, n):
        self._fill(n)
        out, self.got = self.got[:n], self.got[n:]
        return out

    def _read_frame(self):
        """Nothing is taken before a frame is whole, so that a timeout in its middle loses nothing."""
        self._fill(2)
        flags, n, head = self.got[0], self.got[1], 2
        if flags & LONG:
            self._fill(9)
            (n,), head = struct.unpack(">Q", self.got[1:9]), 9
        self._fill(head + n)
        return flags, self._take(head + n)[head:]
