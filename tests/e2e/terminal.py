# SPDX-License-Identifier: Apache-2.0
"""The program on a pty, for the tests that play a person at a terminal. Everything waits for output or exit."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from conftest import BUILD

LIMIT_S = 120
READY = rb"\x1b\[\?2004h> "  # the line editor of chat waits for a turn


def wait_for_exit(pid):
    deadline = time.monotonic() + LIMIT_S
    while not (done := os.waitpid(pid, os.WNOHANG))[0]:
        assert time.monotonic() < deadline, "the program does not end"
        time.sleep(0.01)
    return os.waitstatus_to_exitcode(done[1])


class Terminal:
    """The program on a terminal of its own."""

    def __init__(self, *args, env, columns=80):
        self.text, self.seen = b"", 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
            os.execve(BUILD / "bin/tenon", ["tenon", *map(str, args)],
                      {**os.environ, "TERM": "xterm", "LC_ALL": "C", **env})

    def expect(self, pattern):
        """Wait for the pattern behind what was expected before; gives the match."""
        deadline = time.monotonic() + LIMIT_S
        while not (found := re.compile(pattern, re.DOTALL).search(self.text, self.seen)):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.text[self.seen:]!r}"
            if select.select([self.fd], [], [], 1)[0]:
                try:
                    self.text += os.read(self.fd, 65536)
                except OSError as e:  # EIO: the program has gone
                    raise AssertionError(f"the program ended before {pattern!r}: {self.text[self.seen:]!r}") from e
        self.seen = found.end()
        return found

    def send(self, data):
        os.write(self.fd, data)

    def turn(self, text):
        """Send a line and wait until the next one is asked for; what was printed meanwhile."""
        begin = self.seen
        self.send(text + b"\r")
        self.expect(READY)
        return self.text[begin:self.seen].decode(errors="replace")

    def status(self):
        """Read to the end; the exit status."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            assert time.monotonic() < deadline, f"the program does not end: {self.text[self.seen:]!r}"
            if select.select([self.fd], [], [], 1)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:  # EIO: the program has closed its side
                    break
                if not data:
                    break
                self.text += data
        return wait_for_exit(self.pid)

    def close(self):
        os.close(self.fd)
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
