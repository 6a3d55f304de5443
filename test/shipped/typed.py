"""Types into a real interactive shell on a terminal of its own and prints what the terminal showed after that.

Arguments: what makes the shell ready, what is typed (backslash t is a tab), and the shell's command.
"""
import os, pty, select, signal, sys

prepare, typed, command = sys.argv[1], sys.argv[2].replace("\\t", "\t"), sys.argv[3:]
pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(TERM="xterm", COLUMNS="200", LINES="100")
    os.execvp(command[0], command)

def read(seconds, until=None):
    """All that comes until nothing more comes for so long, or until the text is there."""
    text = b""
    while select.select([terminal], [], [], seconds)[0]:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            break
        # What fish asks of a terminal.
        if b"\x1b[c" in chunk or b"\x1b[0c" in chunk:
            os.write(terminal, b"\x1b[?1;2c")
        text += chunk
        if until and until in text:
            break
    return text

os.write(terminal, (prepare + "; echo 'ready'.'now'\n").encode())
if b"ready.now" not in read(30, b"ready.now"):
    sys.exit("the shell did not become ready")
read(0.5)
os.write(terminal, typed.encode())
sys.stdout.buffer.write(read(2))
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
