"""
Stand between a client and a server, and spoil the line on command.

A proxy listens on the loopback and passes bytes on, both ways, to one target. On command the bytes come late, stop
flowing, or the connections break. It knows TCP and, if told how, who a client is; it does not know what the bytes mean.

It runs an event loop in one thread of its own; commands come from other threads and have taken effect when they return.

Invariant: what comes out is what went in, in order, up to the point where a connection was cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from etcd_settings.testing.ports import HOST, free_port

__all__ = ["Proxy"]

CHUNK = 1 << 16
HEAD = 1 << 12  # how much of what a client said is kept for `identify`
IN_FLIGHT = 64  # delayed chunks that a direction holds before it stops reading
PORT_ATTEMPTS = 5
_ROUNDS = 4  # of the loop: what was accepted just before a cut is only then a line, and its end takes one more
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time; closing then sends RST


class Proxy:
    """
    A TCP proxy that misbehaves on command. Thread-safe.

    Args:
        target: ``host:port`` of the server. It may be changed, and then holds for new connections.

        identify: Called with the latest bytes of a client until it gives a name for that client. `block` takes such
            names.
    """

    def __init__(self, target: str, *, identify: Callable[[bytes], str | None] | None = None) -> None:
        self.target = target
        self.accepted = 0
        """How many connections it has accepted so far."""
        self._identify = identify
        self._owner = os.getpid()
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="etcd-settings-proxy", daemon=True)
        self._listener: socket.socket | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._lines: set[_Line] = set()
        self._manner = _Manner()

    def __repr__(self) -> str:
        return f"<Proxy {self.endpoint} -> {self.target}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        """Where clients find it, as ``host:port``."""
        return f"{HOST}:{self._port}"

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._lines)

    def start(self) -> None:
        """Begin to listen, at a port that stays the same until `close`."""
        self._thread.start()
        self._do(self._listen())

    def close(self) -> None:
        """Cut everything, and end the thread. Closing twice is harmless, and so is closing in a forked child."""
        if os.getpid() != self._owner:
            return  # the loop's epoll is the parent's too: what we took out of it would be missing there
        if self._thread.is_alive():
            self._do(self._cut(listen=False))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def delay(self, seconds: float) -> None:
        """Let all bytes arrive that much later, both ways, from now on."""
        self._do(self._change(delay=seconds))

    def swallow(self) -> None:
        """
        Keep every connection open, accept new ones, and pass nothing on.

        Whoever sends still gets the kernel's acknowledgements, as from a frozen process or beyond a dead line. What was
        held back flows again after `heal`.
        """
        self._do(self._change(flows=False))

    def cut(self) -> None:
        """Reset every connection, and refuse new ones."""
        self._do(self._cut(listen=False))

    def drop(self) -> None:
        """Reset every connection; new ones are welcome."""
        self._do(self._cut(listen=True))

    def cut_after(self, count: int) -> None:
        """Close each connection, open or new, once *count* more bytes came back from the server through it."""
        self._do(self._change(allowance=count))

    def block(self, names: Collection[str]) -> None:
        """Refuse those clients that `identify` gives one of these names, and reset the connections that they have."""
        self._do(self._change(blocked=frozenset(names)))

    def heal(self) -> None:
        """Be a good proxy again. Connections that still stand go on."""
        self._do(self._heal())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        if self._listener is not None:
            return
        for attempt in range(PORT_ATTEMPTS):
            port = self._port or free_port()
            try:
                listening = socket.create_server((HOST, port), backlog=128)
            except OSError:  # taken since we looked; when it is ours already, that passes or is the caller's to know
                if attempt == PORT_ATTEMPTS - 1:
                    raise
            else:
                listening.setblocking(False)
                self._loop.add_reader(listening, self._accept_one)
                self._listener, self._port = listening, port
                return

    def _accept_one(self) -> None:
        # Neither asyncio's server nor its `sock_accept`: stopped while they accept, both lose the connection.
        assert self._listener is not None
        with contextlib.suppress(BlockingIOError):
            connection, _ = self._listener.accept()
            opening = self._loop.create_task(self._open(connection))
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        self._accept(*await asyncio.open_connection(sock=connection, limit=CHUNK))

    async def _change(self, **manners: Any) -> None:
        self._manner.set(**manners)
        if "allowance" in manners:
            for line in self._lines:
                line.allowance = self._manner.allowance
        await self._reset([line for line in self._lines if line.name in self._manner.blocked])

    async def _cut(self, *, listen: bool) -> None:
        if not listen and self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        await asyncio.gather(*self._opening, return_exceptions=True)
        for _ in range(_ROUNDS):
            await self._reset(list(self._lines))
            await asyncio.sleep(0)

    async def _reset(self, lines: Collection[_Line]) -> None:
        for line in lines:
            line.reset()
        await asyncio.gather(*(line.task for line in lines if line.task), return_exceptions=True)

    async def _heal(self) -> None:
        await self._change(delay=0.0, flows=True, allowance=None, blocked=frozenset())
        await self._listen()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: the one that asyncio would make complains when it is cancelled (CPython 3.11).
        self.accepted += 1
        line = _Line(writer, allowance=self._manner.allowance)
        self._lines.add(line)
        line.task = self._loop.create_task(self._serve(line, reader, writer))

    async def _serve(self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            host, _, port = self.target.rpartition(":")
            with contextlib.suppress(OSError):
                target_reader, line.server = await asyncio.open_connection(host, int(port), limit=CHUNK)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pump(line, reader, line.server, self._admit))
                    both.create_task(self._pump(line, target_reader, writer, _spend))
        finally:
            line.close()
            self._lines.discard(line)

    async def _pump(
        self,
        line: _Line,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        inspect: Callable[[_Line, bytes], bytes],
    ) -> None:
        """Pass bytes on in one direction until it ends, through a queue, so that a delay costs no throughput."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(IN_FLIGHT)
        feeding = asyncio.create_task(self._feed(reader, queue))
        try:
            while True:
                due, chunk = await queue.get()
                await asyncio.sleep(due - self._loop.time())
                await self._manner.flowing.wait()
                if not chunk:
                    writer.write_eof()
                    return
                writer.write(inspect(line, chunk))
                await writer.drain()
        except OSError:
            line.reset()
        finally:
            feeding.cancel()

    async def _feed(self, reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]) -> None:
        chunk = b"?"
        while chunk:
            try:
                chunk = await reader.read(CHUNK)
            except OSError:  # a reset has no other half to wait for, but what came before it still counts
                chunk = b""
            await queue.put((self._loop.time() + self._manner.delay, chunk))

    def _admit(self, line: _Line, chunk: bytes) -> bytes:
        """Let a client's bytes through, unless they tell that it is one of the blocked."""
        if self._identify is not None and line.name is None:
            line.head = line.head[-HEAD:] + chunk
            line.name = self._identify(line.head)
        if line.name in self._manner.blocked:
            line.reset()
            return b""
        return chunk


def _spend(line: _Line, chunk: bytes) -> bytes:
    """Let a server's bytes through as far as the connection may still take any."""
    if line.allowance is None:
        return chunk
    passed = chunk[: line.allowance]
    line.allowance -= len(passed)
    if not line.allowance and line.task is not None:
        line.task.cancel()
    return passed


@dataclass(eq=False)
class _Line:
    """One client's connection, and ours to the server for it."""

    client: asyncio.StreamWriter
    task: asyncio.Task[None] | None = None
    server: asyncio.StreamWriter | None = None
    allowance: int | None = None
    name: str | None = None
    head: bytes = b""

    def writers(self) -> list[asyncio.StreamWriter]:
        return [self.client] if self.server is None else [self.client, self.server]

    def reset(self) -> None:
        """Break it so that both sides notice at once."""
        for writer in self.writers():
            connection = writer.get_extra_info("socket")
            if connection is not None and not writer.is_closing():
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        if self.task is not None:
            self.task.cancel()

    def close(self) -> None:
        """Close it after what was written has gone out; one that was reset stays as it is."""
        for writer in self.writers():
            writer.close()


@dataclass
class _Manner:
    """How the proxy behaves at the moment."""

    delay: float = 0.0
    allowance: int | None = None
    blocked: frozenset[str] = frozenset()
    flowing: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.flowing.set()

    def set(self, *, flows: bool | None = None, **manners: Any) -> None:
        for name, value in manners.items():
            setattr(self, name, value)
        if flows is not None:
            (self.flowing.set if flows else self.flowing.clear)()
