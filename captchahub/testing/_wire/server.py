"""A small HTTP server on 127.0.0.1 that plays scripts on the socket, and can be stopped at any moment."""

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
from captchahub.testing._wire.effects import Ending, Pause, Step
from captchahub.testing._wire.http import BadRequest, read_call, render
from captchahub.testing.emulation import Answer, Call

Respond = Callable[[Call, int], Iterable[Step]]
"""From a call and its connection's number, counted from 1, to the script of the reply."""

_BACKLOG = 1024

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_GOODBYE_SECONDS = 0.5

_HANDSHAKE_SECONDS = 10.0


class HttpServer:
    """Listens from the moment it is made until :meth:`stop`; one thread a connection.

    ``accepted`` counts the connections; it goes on from the number given. With ``tls`` every connection
    begins with a handshake, and one that fails at it is closed. A forked child closes its copies of the
    sockets: nobody there would answer, and the port would stay taken after :meth:`stop`.
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
            self._bell, self._clapper = socket.socketpair()
            self._selector = selectors.DefaultSelector()
            watch(self)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._acceptor = threading.Thread(target=self._accept_all, name="sandbox", daemon=True)
        self._acceptor.start()

    def stop(self) -> None:
        """Close every connection, whatever it is doing, and wait for its thread to end.

        In a forked child it does nothing.
        """
        if process() != self._home:
            return
        self._stopping.set()
        self._clapper.send(b"!")
        self._acceptor.join()
        self._hang_up()
        for thread in self._threads:
            thread.join()
        self._let_go()

    def _let_go(self) -> None:
        self._selector.close()
        for sock in (self._listener, self._bell, self._clapper):
            sock.close()

    def before_fork(self) -> None:
        """See :class:`captchahub._support.forking.Forked`."""

    def after_fork(self, *, is_child: bool) -> None:
        """See :class:`captchahub._support.forking.Forked`."""
        if is_child:
            self._let_go()
            for sock in self._open:
                # A shutdown would reach the parent's as well, and close() would wait for the reader.
                copy = sock.detach()
                if copy >= 0:
                    os.close(copy)

    def _hang_up(self) -> None:
        with self._lock:
            connections = list(self._open)
        for sock in connections:
            # Wakes a thread that is reading or writing; it closes the socket itself.
            with contextlib.suppress(OSError):
                _shut_down(sock, socket.SHUT_RDWR)

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
            # Out of file descriptors, most likely: some may be free again in a moment.
            self._stopping.wait(0.01)
            return
        sock.setblocking(True)
        self.accepted += 1
        # An OSError here is a client that has left already.
        with contextlib.suppress(OSError):
            sock = self._wrap(sock)
            with self._lock:
                self._open.add(sock)
            self._start(self._serve, sock, self.accepted)

    def _wrap(self, sock: socket.socket) -> socket.socket:
        """The socket to speak through; the handshake is left to the connection's own thread."""
        if self._tls is None:
            return sock
        return self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def _start(self, work: Callable[[socket.socket, int], None], sock: socket.socket, number: int) -> None:
        thread = threading.Thread(
            target=work, args=(sock, number), name=f"sandbox-connection-{number}", daemon=True
        )
        thread.start()
        self._threads = [old for old in self._threads if old.is_alive()] + [thread]

    def _serve(self, sock: socket.socket, number: int) -> None:
        # makefile("rb") gives a BufferedReader, which is all that BinaryIO asks for reading.
        stream = cast("BinaryIO", sock.makefile("rb"))
        try:
            # An OSError here is a client that left or can't speak TLS, or a server that is being stopped.
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _shake_hands(sock)
                self._converse(sock, stream, number)
        finally:
            stream.close()
            sock.close()
            with self._lock:
                self._open.discard(sock)

    def _converse(self, sock: socket.socket, stream: BinaryIO, number: int) -> None:
        def go_on() -> None:
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

        while not self._stopping.is_set():
            try:
                incoming = read_call(stream, self._now, go_on)
            except BadRequest as error:
                return _refuse(sock, error)
            if incoming is None:
                return None
            stays_open = self._play(self._respond(incoming.call, number), sock)
            if not (stays_open and incoming.keep_alive):
                return None
        return None

    def _play(self, steps: Iterable[Step], sock: socket.socket) -> bool:
        for step in steps:
            if isinstance(step, bytes):
                sock.sendall(step)
            elif isinstance(step, Pause):
                if self._pause(step, sock):
                    return False
            else:
                _end(sock, step)
                return False
        return True

    def _pause(self, pause: Pause, sock: socket.socket) -> bool:
        """Whether the connection is over after the pause."""
        if pause.seconds is not None:
            return self._stopping.wait(pause.seconds)
        _drain(sock)
        return True


def _shake_hands(sock: socket.socket) -> None:
    if isinstance(sock, ssl.SSLSocket):
        sock.settimeout(_HANDSHAKE_SECONDS)
        sock.do_handshake()
        sock.settimeout(None)


def _shut_down(sock: socket.socket, how: int) -> None:
    # The method of an SSLSocket drops its TLS state as well, which another thread may be using.
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
    # Closing with unread bytes would reset the connection, and the client would lose the reply.
    _shut_down(sock, socket.SHUT_WR)
    sock.settimeout(_GOODBYE_SECONDS)
    _drain(sock)
