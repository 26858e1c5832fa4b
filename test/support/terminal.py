"""A pseudo-terminal around a program, for tests of what only a terminal shows.

``terminal.py STEPS PROGRAM...``: STEPS is JSON, a list of ``[text, keys]``. Whenever the next text is on the screen,
behind that of the one before it, its keys are typed. What the screen got goes to stdout, and the program's exit code
is this one's.
"""

from __future__ import annotations

import json
import os
import pty
import sys


def main() -> int:
    steps: list[tuple[str, str]] = [(text, keys) for text, keys in json.loads(sys.argv[1])]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[2], sys.argv[2:])
    screen = ""
    since = 0
    while True:
        try:
            # Linux says by an error that the other side is closed.
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        screen += data.decode(errors="replace")
        while steps and (found := screen.find(steps[0][0], since)) >= 0:
            text, keys = steps.pop(0)
            since = found + len(text)
            os.write(terminal, keys.encode())
    _, status = os.waitpid(pid, 0)
    sys.stdout.write(screen)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
