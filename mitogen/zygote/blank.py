"""Processes that are forked before it is known what for: a fork takes longer than to be told."""

import os
import select
import signal
import socket
import struct
from typing import Any, List, Tuple

from mitogen.zygote.processes import Report, file_with

#: Seconds for the answer of the last job to leave the machine.
_PAUSE = 0.002
_FDS = struct.Struct('=4i')


class Blank:
    """A forked process that waits to be given its job, seen from the zygote. It ends if the zygote does.

    :param pid: its process ID.
    :param sock: leads to it.
    :param report: memory that is shared with it.
    :param state: what the zygote knew when it was forked.
    :param tells: it can tell which memory its job writes to: nothing was copied for that before.
    """

    def __init__(self, pid: int, sock: socket.socket, report: Report, state: Any, tells: bool) -> None:
        self.pid, self.report, self.state, self.tells = pid, report, state, tells
        self._sock = sock

    def give(self, stdio: List[int], order: bytes, tells: bool) -> bool:
        """Hand over a job; return whether the process was there still.

        :param stdio: what become its descriptors 0, 1 and 2.
        :param tells: it is to tell which memory it writes to.
        :param order: what it is to do. It knows what the zygote knew by its fork.
        :raises OSError: there is no room for the order.
        """
        fd = file_with(order)
        try:
            rights = socket.SOL_SOCKET, socket.SCM_RIGHTS, _FDS.pack(*stdio, fd)
            self._sock.sendmsg([b'?' if tells else b'!'], [rights])
        except (BrokenPipeError, ConnectionResetError):
            return False
        finally:
            os.close(fd)
        self._sock.close()
        return True

    def dismiss(self) -> None:
        """Let it end."""
        self._sock.close()
        self.report.close()

    def end(self) -> None:
        """End it, and wait for that: nothing shall run as its account any more."""
        self.dismiss()
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except OSError:
            return  # it has ended, and was waited for


def is_idle(sock: socket.socket) -> bool:
    """Whether no job is given to the forked process in the time in which the answer of the last one is on its way.

    On a machine with few processors whoever passes on that answer would have to wait.
    """
    return not select.select([sock], [], [], _PAUSE)[0]


def wait(sock: socket.socket) -> Tuple[List[int], bytes, bool]:
    """Wait in the forked process for what :meth:`Blank.give` gives; return that.

    :raises EOFError: it is not needed.
    """
    message, ancillary, _, _ = sock.recvmsg(1, socket.CMSG_SPACE(_FDS.size))
    if not message:
        raise EOFError
    sock.close()
    *stdio, fd = _FDS.unpack(ancillary[0][2][:_FDS.size])
    with open(fd, 'rb') as file:
        return stdio, file.read(), message == b'?'
