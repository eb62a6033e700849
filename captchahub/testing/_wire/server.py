"""A small HTTP server on 127.0.0.1 that replies with scripts, and can be stopped at any moment."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from typing import BinaryIO, cast

from captchahub._support.forking import no_fork, process, watch
from captchahub.testing._wire.effects import Ending, Pause, WireAction
from captchahub.testing._wire.http import BadRequest, read_call, render
from captchahub.testing.emulation import Answer, Call

Respond = Callable[[Call, int], Iterable[WireAction]]
"""Called with a call and the number of its connection, from 1. Returns the script of the reply."""

_BACKLOG = 1024

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_CLOSING_SECONDS = 0.5

_HANDSHAKE_SECONDS = 10.0


class HttpServer:
    """Listens from its creation until :meth:`stop`, with one thread for each connection.

    ``accepted`` counts the connections, starting from the number that is passed. With ``tls`` every
    connection starts with a handshake, and is closed if that fails. A forked child closes its copies of the
    sockets: no thread would answer there, and the port would stay in use after :meth:`stop`.
    """

    def __init__(
        self,
        port: int,
        respond: Respond,
        now: Callable[[], float],
        accepted: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.accepted = accepted
        self._tls = tls
        self._respond = respond
        self._now = now
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._home = process()
        with no_fork:
            self._listener = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
            self._wake_reader, self._wake_writer = socket.socketpair()
            self._selector = selectors.DefaultSelector()
            watch(self)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._acceptor = threading.Thread(target=self._accept_all, name="sandbox", daemon=True)
        self._acceptor.start()

    def stop(self) -> None:
        """Close every connection in any state, and wait for its thread to end.

        Does nothing in a forked child.
        """
        if process() != self._home:
            return
        self._stopping.set()
        self._wake_writer.send(b"!")
        self._acceptor.join()
        with self._lock:
            connections = list(self._open)
        for sock in connections:
            # This wakes a thread that reads or writes. The thread closes the socket itself.
            with contextlib.suppress(OSError):
                _shut_down(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._close_sockets()

    def _close_sockets(self) -> None:
        self._selector.close()
        for sock in (self._listener, self._wake_reader, self._wake_writer):
            sock.close()

    def before_fork(self) -> None:
        """See :class:`captchahub._support.forking.Forked`."""

    def after_fork(self, *, is_child: bool) -> None:
        """See :class:`captchahub._support.forking.Forked`."""
        if is_child:
            self._close_sockets()
            for sock in self._open:
                # shutdown() would affect the parent's connection too, and close() would wait for the reader.
                copy = sock.detach()
                if copy >= 0:
                    os.close(copy)

    def _accept_all(self) -> None:
        while not self._stopping.is_set():
            self._selector.select()
            self._accept()

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            # Most likely the process has too many open files. Some may be closed in a moment.
            self._stopping.wait(0.01)
            return
        sock.setblocking(True)
        self.accepted += 1
        # An OSError here means that the client has already disconnected.
        with contextlib.suppress(OSError):
            sock = self._wrap(sock)
            with self._lock:
                self._open.add(sock)
            thread = threading.Thread(
                target=self._serve,
                args=(sock, self.accepted),
                name=f"sandbox-connection-{self.accepted}",
                daemon=True,
            )
            thread.start()
            # Without those that have ended, because a sandbox can serve for days.
            self._threads = [old for old in self._threads if old.is_alive()] + [thread]

    def _wrap(self, sock: socket.socket) -> socket.socket:
        """Return the socket, wrapped for TLS. The connection's own thread makes the handshake."""
        if self._tls is None:
            return sock
        return self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def _serve(self, sock: socket.socket, number: int) -> None:
        # makefile("rb") returns a BufferedReader, which has every method of BinaryIO that is used.
        stream = cast("BinaryIO", sock.makefile("rb"))
        try:
            # An OSError means that the client disconnected or does not speak TLS, or that stop() was called.
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _do_handshake(sock)
                self._serve_calls(sock, stream, number)
        finally:
            stream.close()
            sock.close()
            with self._lock:
                self._open.discard(sock)

    def _serve_calls(self, sock: socket.socket, stream: BinaryIO, number: int) -> None:
        def send_continue() -> None:
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

        while not self._stopping.is_set():
            try:
                incoming = read_call(stream, self._now, send_continue)
            except BadRequest as error:
                return _refuse(sock, error)
            if incoming is None:
                return None
            stays_open = self._play(self._respond(incoming.call, number), sock)
            if not (stays_open and incoming.keep_alive):
                return None
        return None

    def _play(self, script: Iterable[WireAction], sock: socket.socket) -> bool:
        for action in script:
            if isinstance(action, bytes):
                sock.sendall(action)
            elif isinstance(action, Pause):
                if self._pause(action, sock):
                    return False
            else:
                _end(sock, action)
                return False
        return True

    def _pause(self, pause: Pause, sock: socket.socket) -> bool:
        """Wait, and return whether the connection must be closed."""
        if pause.seconds is not None:
            return self._stopping.wait(pause.seconds)
        _drain(sock)
        return True


def _do_handshake(sock: socket.socket) -> None:
    if isinstance(sock, ssl.SSLSocket):
        sock.settimeout(_HANDSHAKE_SECONDS)
        sock.do_handshake()
        sock.settimeout(None)


def _shut_down(sock: socket.socket, how: int) -> None:
    # SSLSocket.shutdown() also drops the TLS state, which another thread may be using.
    socket.socket.shutdown(sock, how)


def _end(sock: socket.socket, ending: Ending) -> None:
    if ending is Ending.RESET:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def _drain(sock: socket.socket) -> None:
    while sock.recv(65_536):
        pass


def _refuse(sock: socket.socket, error: BadRequest) -> None:
    text = f"{error}\n".encode()
    sock.sendall(render(Answer(error.status, text, {"Content-Type": "text/plain", "Connection": "close"})))
    # Closing a socket with unread bytes resets the connection, and the client would lose the reply.
    _shut_down(sock, socket.SHUT_WR)
    sock.settimeout(_CLOSING_SECONDS)
    _drain(sock)
