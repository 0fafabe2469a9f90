"""Runs a command on a pseudo-terminal and writes what it wrote there to a file.

python3 on_terminal.py OUT ROWSxCOLUMNS [ROWSxCOLUMNS] -- COMMAND...
With a second size the terminal changes to it after the first output. Exits as the command does.
"""

import fcntl
import os
import pty
import struct
import sys
import termios


def resize(fd, size):
    rows, columns = map(int, size.split("x"))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


split = sys.argv.index("--")
out, sizes, command = sys.argv[1], sys.argv[2:split], sys.argv[split + 1 :]
read_end, write_end = os.pipe()
child, terminal = pty.fork()
if child == 0:
    # The command must not look at the terminal before it has its size.
    os.close(write_end)
    os.read(read_end, 1)
    os.execvp(command[0], command)
os.close(read_end)
resize(terminal, sizes[0])
os.close(write_end)
with open(out, "wb") as file:
    while True:
        try:
            written = os.read(terminal, 65536)
        except OSError:
            break
        if not written:
            break
        file.write(written)
        if len(sizes) > 1:
            resize(terminal, sizes.pop(1))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
