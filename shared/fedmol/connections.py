"""The process's own TCP connections, and how much the kernel has received on each: libraries assemble whole messages in
memory before they compare their length with a limit."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress

_BYTES_RECEIVED = struct.Struct("=Q"), 128  # tcpi_bytes_received in struct tcp_info (linux/tcp.h), and its place


def sockets() -> Iterator[tuple[int, int]]:
    """The descriptor and the inode of each socket of the process. Others open and close them all the time."""
    for entry in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found = os.fstat(int(entry))
            if stat.S_ISSOCK(found.st_mode):
                yield int(entry), found.st_ino


def own(number: int, inode: int) -> socket.socket:
    """The socket as a descriptor of our own, which must be closed. Raises OSError when another one has its number."""
    copy = os.dup(number)
    if os.fstat(copy).st_ino != inode:
        os.close(copy)
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return socket.socket(fileno=copy)


def bytes_received(number: int, inode: int) -> int:
    """Read without a descriptor of our own, which takes a third of the time. Raises OSError as `own` does."""
    form, place = _BYTES_RECEIVED
    borrowed = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=number)
    try:
        info = borrowed.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, place + form.size)
    finally:
        borrowed.detach()
    if os.fstat(number).st_ino != inode:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return int(form.unpack_from(info, place)[0])


def received_from(port: int) -> dict[int, int]:
    """What has come on each connection to a peer's `port`, in bytes, by the socket's inode."""
    found = {}
    for number, inode in sockets():
        with suppress(OSError), own(number, inode) as connection:
            if connection.family in (socket.AF_INET, socket.AF_INET6) and connection.getpeername()[1] == port:
                found[inode] = bytes_received(number, inode)
    return found
