"""Has Ansible's programs that testinfra starts run in forks of a process that has imported them.

testinfra runs `ansible` for every module that a check asks for, and `ansible-inventory` for every inventory, by the shell.
What is no more than one of takelage's own programs with its arguments goes to such a process, see `serve_ansible.py`.
Everything else, and everything where that process cannot be had, goes the plain way.
"""

import json
import os
import re
import selectors
import shutil
import socket
import threading

PROGRAMS = ("ansible", "ansible-inventory")
# Changes for every test, and is passed with each call.
TEST = "PYTEST_CURRENT_TEST"
# Processes that wait for calls.
IDLE = 3
# A word that the shell takes as it is.
_PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
# What takes more bytes as JSON is left to the system, which may refuse it.
_LONGEST = 1 << 16


def install(local):
    """Has a host of testinfra's, this machine, use such processes."""
    directory = os.environ.get("TAKELAGE_ANSIBLE")
    # What is remembered of requests is told by each program itself.
    if os.environ.get("TAKELAGE_REMEMBERS") or not hasattr(socket, "send_fds"):
        return
    if directory and os.environ.get("TAKELAGE_KEEP"):
        local.backend.run = Runner(local.backend, directory).run


class Runner:
    """Takes the place of the backend's `run`."""

    def __init__(self, backend, directory):
        self._backend = backend
        self._plain = backend.run
        self._directory = directory
        self._lock = threading.Lock()
        self._idle = []
        self._refused = []

    def run(self, command, *args, **kwargs):
        """Runs a command and returns its result."""
        words = None if self._backend.sudo else words_of(command, args)
        if words is not None:
            variables, call = assigned(words)
            environment = {**os.environ, **variables}
            test = environment.pop(TEST, None)
            if call and call[0] in PROGRAMS and self._is_own(call[0], environment):
                ended = self._call(environment, call, test)
                if ended is not None:
                    status, stdout, stderr = ended
                    command = self._backend.encode(self._backend.get_command(command, *args))
                    return self._backend.result(status, command, stdout, stderr)
        return self._plain(command, *args, **kwargs)

    def _is_own(self, program, environment):
        found = shutil.which(program, path=environment.get("PATH"))
        return found == os.path.join(self._directory, program)

    def _call(self, environment, call, test):
        """Returns how the program ended; `None`: it has not been started."""
        try:
            settings = settings_of(environment)
        except OSError:
            # There is no such directory any more.
            return None
        if settings in self._refused:
            return None
        try:
            server = self._take(settings) or Server(self._directory, environment, settings)
        except (OSError, EOFError):
            # It is tried once. The plain way shows what is wrong, or works.
            self._refused.append(settings)
            return None
        ended = server.call(call, test)
        with self._lock:
            self._idle.append(server)
            superfluous = self._idle[:-IDLE]
            del self._idle[:-IDLE]
        for server in superfluous:
            server.close()
        return ended

    def _take(self, settings):
        with self._lock:
            for at, server in enumerate(self._idle):
                if server.settings == settings:
                    return self._idle.pop(at)
        return None


class Server:
    """A process that waits for calls, with the environment and directory that it was started in."""

    def __init__(self, directory, environment, settings):
        self.settings = settings
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            program = os.path.join(os.path.dirname(directory), "serve-ansible")
            streams = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
            # No other process that is started at this moment gets it.
            streams.append((os.POSIX_SPAWN_DUP2, theirs.fileno(), 0))
            os.posix_spawn(program, [program], environment, file_actions=streams)
        if self._socket.recv(16) != b"ready":
            self.close()
            raise EOFError

    def call(self, call, test):
        """Runs a program and returns its exit status, standard output and standard error."""
        message = json.dumps({"call": call, "test": test}).encode()
        try:
            (stdin, nothing), (stdout, out), (stderr, error) = (os.pipe() for _ in range(3))
            # As with a program from the shell, there is a pipe with nothing in it.
            os.close(nothing)
            with open(stdout, "rb", buffering=0) as stdout, open(stderr, "rb", buffering=0) as stderr:
                socket.send_fds(self._socket, [message], [stdin, out, error])
                for end in (stdin, out, error):
                    os.close(end)
                outputs = read_all(stdout, stderr)
            answer = self._socket.recv(1 << 10)
            if not answer:
                raise RuntimeError("the process that ran `{}` for this check has ended".format(" ".join(call)))
            return [json.loads(answer)["status"], *outputs]
        except BaseException:
            # Whether it still runs something is not known.
            self.close()
            raise

    def close(self):
        """Has the process end, after what it runs."""
        self._socket.close()


def read_all(*files):
    """Returns all that comes from each of the pipes."""
    pieces = {file: [] for file in files}
    with selectors.DefaultSelector() as selector:
        for file in files:
            selector.register(file, selectors.EVENT_READ)
        while selector.get_map():
            for ready, _ in selector.select():
                piece = ready.fileobj.read(1 << 16)
                pieces[ready.fileobj].append(piece)
                if not piece:
                    selector.unregister(ready.fileobj)
    return [b"".join(pieces[file]) for file in files]


def words_of(command, args):
    """Returns the words that the shell would make of a command of testinfra's; `None` if it would do more than that."""
    words, rest = command.split(" "), list(args)
    for at, word in enumerate(words):
        if word == "%s" and rest:
            words[at] = rest.pop(0)
        elif not _PLAIN.fullmatch(word):
            return None
    if rest or not all(isinstance(word, str) and "\0" not in word for word in words):
        return None
    return words if len(json.dumps(words)) < _LONGEST else None


def assigned(words):
    """Returns the variables that stand before a command, and the command."""
    variables = {}
    for at, word in enumerate(words):
        found = _ASSIGNMENT.fullmatch(word)
        if not found:
            return variables, words[at:]
        variables[found[1]] = found[2]
    return variables, []


def settings_of(environment):
    """Returns what has to be the same for a process that has read its settings: environment, directory, `ansible.cfg`.

    A fork of this process needs one of its own, too.
    """
    named, home = os.path.expanduser(environment.get("ANSIBLE_CONFIG", "")), os.path.expanduser("~")
    files = [named, f"{named}/ansible.cfg", "ansible.cfg", f"{home}/.ansible.cfg", "/etc/ansible/ansible.cfg"]
    return os.getpid(), environment, os.getcwd(), [stamp(file) for file in files]


def stamp(path):
    """Returns what changes with a file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
