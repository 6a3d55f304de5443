"""Types into a real interactive shell on a terminal of its own and prints what the terminal showed after that.

Arguments: what makes the shell ready, what is typed (backslash t is a tab), what is awaited, and the shell's command.
A shell that has more to read stops completing, so its end can only be told by silence.
"""
import os, pty, select, signal, sys

prepare, typed, awaited, command = sys.argv[1], sys.argv[2].replace("\\t", "\t"), sys.argv[3], sys.argv[4:]
pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(TERM="xterm", COLUMNS="200", LINES="100")
    os.execvp(command[0], command)

def read(seconds, until=None):
    """All that comes until the text is there, or nothing more comes for so long."""
    text = b""
    while not (until and until in text) and select.select([terminal], [], [], seconds)[0]:
        try:
            text += os.read(terminal, 65536)
        except OSError:
            break
    return text

os.write(terminal, (prepare + "; echo 'ready'.'now'\n").encode())
if b"ready.now" not in read(30, b"ready.now"):
    sys.exit("the shell did not become ready")
read(0.5)
os.write(terminal, typed.encode())
sys.stdout.buffer.write(read(15, awaited.encode()) if awaited else b"")
sys.stdout.buffer.write(read(1.5))
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
