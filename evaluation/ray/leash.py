"""Runs a command and ends it when the process at the other end of standard input is gone.

A worker of Ray dies with its raylet, without a word to its children. What it has started would work
on, on instances that another node has taken up.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

# Seconds that the command has to end by itself.
GRACE = 60


def die_with_parent():
    """For the case that the leash itself is killed; it has one thread when it forks."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def main(argv):
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)

    def end(*_):
        child.terminate()
        timer = threading.Timer(GRACE, child.kill)
        timer.daemon = True
        timer.start()

    def watch():
        while os.read(0, 4096):
            pass
        end()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    # Without the interpreter's own end, which would wait for the reader of standard input.
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main(sys.argv[1:])
