"""
Choose a port on the loopback interface that nobody uses.

It knows sockets; it does not know who will listen. Nothing is reserved: between our look and the server's own bind
somebody else may take the port, so whoever uses this must be ready to try another one.

Invariant: never one from the range that the kernel hands to outgoing connections. A client that keeps trying such a
port while its server is down can be given that very port as its own, connects to itself, and then holds the server's
address when it comes back.
"""

from __future__ import annotations

import random
import socket

__all__ = ["HOST", "free_port"]

HOST = "127.0.0.1"

# Linux hands out 32768-60999, macOS and the BSDs 49152-65535. Below 10000 live the programs that people know by number.
_FIRST, _END = 10_000, 32_768

# Not the module's own generator: test tools seed that one, and then every test process would try the same ports.
_random = random.SystemRandom()


def free_port() -> int:
    """Give a port of 127.0.0.1 on which nobody listens at this moment."""
    while True:
        port = _random.randrange(_FIRST, _END)
        if _is_free(port):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As Go does: connections that linger from a server that was just stopped are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
