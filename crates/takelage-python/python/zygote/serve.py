"""A warm interpreter in a container: forks for every module and runs, in the fork, what Ansible sent, unchanged.

It talks to takelage over standard input and output: a big-endian length of four bytes, a JSON header of that length,
then as many bytes as the header's lengths say. It writes nothing to the file system, and runs no module itself. It ends
when its input ends, and everything that still runs with it.

Python 3.5 and later; an older one ends at once, which is an answer too. `sources.py` comes before this.
"""

import atexit
import builtins
import gc
import itertools
import json
import random
import select
import signal
import site
import struct
import threading
import time
import weakref

# What modules import from Python's own library; a fork finds it imported. Some systems leave parts of it out.
LIBRARY = (
    "__future__ argparse ast atexit copy ctypes ctypes.util dataclasses datetime decimal email.message encodings.cp437 "
    "encodings.idna enum errno fcntl functools getpass glob grp inspect locale logging numbers operator pathlib pkgutil "
    "platform pwd queue runpy secrets selectors shlex shutil socket stat string stringprep subprocess syslog tempfile "
    "textwrap threading traceback typing unicodedata uuid zlib"
)
for name in LIBRARY.split():
    try:
        importlib.import_module(name)
    except ImportError:
        pass

# How long output may still come after a module's end, from what it started, in seconds.
LINGER = 2.0
PIECE = 1 << 16
# How long a selector waits that watches nothing, in seconds.
SOON = 0.005

# What an interpreter reads when it starts. When one of them changes, this one is no longer like a new one.
READ_AT_START = (
    "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/localtime", "/etc/timezone", "/etc/environment",
    "/etc/ld.so.cache", "/etc/resolv.conf", "/etc/hosts", "/usr/lib/locale", "/usr/lib/locale/locale-archive",
    # What modules of the stock ask about when they are imported.
    "/etc/os-release", "/usr/lib/os-release", "/etc/lsb-release", "/run/systemd/system",
    # And what decides about whom `sudo` lets start it, and how.
    "/etc/shadow", "/etc/sudoers", "/etc/sudoers.d", "/etc/pam.d", "/etc/security", "/etc/login.defs",
)


def main():
    """Serves until the input ends. Returns in a fork only, with what it is to run."""
    # Whatever a module does with the first three descriptors, these are out of its reach.
    wire_in, wire_out = os.dup(0), os.dup(1)
    hasten()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    os.close(null)
    zygote = Zygote(wire_in, wire_out)
    zygote.send({"ready": True})
    return zygote.serve()


def hasten():
    """Has a selector that watches nothing return soon, although it is to wait.

    ansible-core's `run_command` asks twice whether a command has ended whose output is at its end. If it ends between the two,
    that waits a second for nothing. With modules as short as here, one of a hundred commands does.
    """
    selectors = sys.modules.get("selectors")
    poll = getattr(selectors, "PollSelector", None)
    if poll is None:
        return
    wait = poll.select

    def select_soon(self, timeout=None):
        if timeout is not None and not self.get_map():
            timeout = min(timeout, SOON)
        return wait(self, timeout)

    poll.select = select_soon


class Job:
    """A module that runs."""

    def __init__(self, number, process, streams):
        self.number = number
        self.process = process
        self.streams = streams
        self.status = None
        self.ended = None


class Zygote:
    """The conversation with takelage, and the modules that run."""

    def __init__(self, wire_in, wire_out):
        self.wire_in = wire_in
        self.wire_out = wire_out
        self.jobs = {}
        self.sources = Sources()
        self.stock = Stock()
        self.directory = os.getcwd()
        self.signature = signature()

    def serve(self):
        """Takes requests and passes output on. Returns in a fork."""
        while True:
            watched = {descriptor: job for job in self.jobs.values() for descriptor in job.streams}
            # The end of a module closes its output; only those that left something behind need to be asked.
            patience = 0.005 if any(not job.streams or job.ended for job in self.jobs.values()) else 1.0
            ready = select.select([self.wire_in] + list(watched), [], [], patience if self.jobs else None)[0]
            for descriptor in ready:
                if descriptor == self.wire_in:
                    fork = self.request()
                    if fork is not None:
                        return fork
                else:
                    self.output(watched[descriptor], descriptor)
            for job in list(self.jobs.values()):
                self.reap(job)

    def request(self):
        """Reads a request and begins what it asks for."""
        header = self.receive(4)
        header = json.loads(self.receive(struct.unpack(">I", header)[0]).decode("utf-8"))
        source = self.receive(header["length"])
        if signature() != self.signature:
            self.send({"id": header["id"], "stale": True})
            return None
        archive = self.sources.of(source)
        if archive is not None:
            self.stock.fill(archive, self.sources.codes, frozenset(header["own"]))
            # What that imported from the container's packages counts from now on.
            self.signature = signature()
        return self.fork(header, source, archive)

    def fork(self, header, source, archive):
        """Begins a module. Returns in the fork."""
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        stdin, stdin_end = os.pipe()
        os.close(stdin_end)
        if hasattr(gc, "freeze"):
            # Whoever looks for garbage need not look here: that would copy all of it into the fork.
            gc.freeze()
        process = os.fork()
        if process == 0:
            os.setsid()
            for descriptor, target in ((stdin, 0), (out_end, 1), (err_end, 2)):
                os.dup2(descriptor, target)
            inner = [self.wire_in, self.wire_out, out, err, out_end, err_end, stdin]
            for descriptor in inner + [descriptor for job in self.jobs.values() for descriptor in job.streams]:
                os.close(descriptor)
            os.environ.update(header["env"])
            try:
                # Its place by name: what was there when this began may be another directory now.
                os.chdir(self.directory)
            except OSError:
                pass
            agrees = archive is not None and self.stock.agrees(archive)
            return source, importer(archive, self.sources, self.stock if agrees else None), self.stock
        for descriptor in (out_end, err_end, stdin):
            os.close(descriptor)
        self.jobs[header["id"]] = Job(header["id"], process, {out: "stdout", err: "stderr"})
        self.send({"id": header["id"], "begun": True})
        return None

    def output(self, job, descriptor):
        """Passes a piece of output on."""
        data = os.read(descriptor, PIECE)
        if data:
            self.send({"id": job.number, "stream": job.streams[descriptor], "length": len(data)}, data)
        else:
            os.close(descriptor)
            del job.streams[descriptor]

    def reap(self, job):
        """Tells the end of a module when it and its output have ended."""
        if job.status is None:
            process, status = os.waitpid(job.process, os.WNOHANG)
            if not process:
                return
            job.status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
            job.ended = time.time()
        if job.streams and time.time() - job.ended < LINGER:
            return
        for descriptor in job.streams:
            os.close(descriptor)
        del self.jobs[job.number]
        self.send({"id": job.number, "exit": job.status})

    def receive(self, length):
        """Reads exactly so many bytes. The end of the input is the end of everything."""
        pieces = []
        while length:
            data = os.read(self.wire_in, min(length, 1 << 20))
            if not data:
                for job in self.jobs.values():
                    kill(job)
                os._exit(0)
            pieces.append(data)
            length -= len(data)
        return b"".join(pieces)

    def send(self, header, data=b""):
        """Writes a frame."""
        text = json.dumps(header).encode("utf-8")
        data = memoryview(struct.pack(">I", len(text)) + text + data)
        try:
            while data:
                data = data[os.write(self.wire_out, data):]
        except OSError:
            for job in self.jobs.values():
                kill(job)
            os._exit(0)


def kill(job):
    """Ends a module and what it started, but for what has left both its session and its descent."""
    if job.status is not None:
        return
    doomed = {job.process}
    grows = True
    while grows:
        found = {process for process, parent, session in processes() if doomed & {parent, session}} - doomed
        for process in found or doomed:
            try:
                # Those that stand still start no others meanwhile.
                os.kill(process, signal.SIGSTOP if found else signal.SIGKILL)
            except OSError:
                pass
        grows = bool(found)
        doomed |= found


def processes():
    """Lists the processes with their parents and sessions."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/{}/stat".format(name), "rb") as file:
                    # The name of the program, in parentheses, may have any character.
                    fields = file.read().rpartition(b")")[2].split()
                yield int(name), int(fields[1]), int(fields[3])
            except (OSError, IndexError, ValueError):
                pass


def signature():
    """Returns what tells whether a new interpreter would begin in another way."""
    own = [os.path.realpath(sys.executable), sys.executable, os.path.join(sys.prefix, "pyvenv.cfg")]
    # A directory of packages that is not there yet would be found by the next interpreter.
    packages = getattr(site, "getsitepackages", list)() + [getattr(site, "getusersitepackages", str)()]
    loaded = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    loaded = [path for path in loaded if path and "-packages" in path]
    # The empty path is the working directory, where imports look anew every time.
    return [stamp(path) for path in itertools.chain(READ_AT_START, own, packages, sys.path, loaded) if path]


def stamp(path):
    """Returns what changes with a file or with the entries of a directory."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def run(source, archives, stock):
    """Runs a module as an interpreter that reads it from standard input does. `archives` finds what archives hold."""
    ahead = set(sys.modules)
    sys.path_hooks.insert(0, archives)
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    random.seed()
    sys.argv[:] = [""]
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__="<stdin>", __cached__=None, __builtins__=builtins)
    module.__loader__ = importlib.machinery.SourceFileLoader("__main__", "<stdin>")
    sys.modules["__main__"] = module
    status = 0
    try:
        exec(compile(source, "<stdin>", "exec", 0, True), module.__dict__)
    except SystemExit as error:
        if not (error.code is None or isinstance(error.code, int)):
            raise
        status = error.code or 0
    except BaseException:
        kind, error, trace = sys.exc_info()
        # Without the lines of this file.
        error.__traceback__ = trace.tb_next
        sys.excepthook(kind, error, trace.tb_next)
        if kind is KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        raise SystemExit(1)
    del module
    end(status, ahead, stock)
    raise SystemExit(status)


def end(status, ahead, stock):
    """Ends a fork as an interpreter ends: with its threads, `atexit`, what is not written yet, and the objects that it made.

    What was there before the module is left alone: to take it apart would copy all of it into the fork, and it has no
    end that anybody could see. Returns where an interpreter has to end by itself.
    """
    if sys.version_info < (3, 9):
        # There `_shutdown` must not be called twice, and an interpreter would.
        return
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        flush()
    except BaseException:
        # It says so itself, or the interpreter comes to the same.
        return
    if threading.active_count() > 1:
        # What goes on beside this must not see anything go.
        return
    made = []
    for name, module in list(sys.modules.items()):
        # What modules of the stock keep of a fork, ansible-core's own among them, has no end that does anything.
        if name == "__main__" or name not in ahead and stock.modules.get(name) is not module:
            if isinstance(module, types.ModuleType):
                made.append(weakref.ref(module))
            sys.modules[name] = None
    del name, module
    # Collected in one circle, a file may lose its buffer before it is written. None of these was there before the fork.
    for one in gc.get_objects():
        if issubclass(type(one), (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)):
            try:
                one.flush()
            except Exception:
                pass
    del one
    gc.collect()
    for module in filter(None, [module() for module in made]):
        for key in list(vars(module)):
            if key != "__builtins__":
                vars(module)[key] = None
    gc.collect()
    try:
        flush()
    except BaseException:
        # The status of an interpreter that cannot write the last of it.
        status = 120
    os._exit(status & 0xFF)


def flush():
    """Writes what is not written yet."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


# In the fork, at the end of the stack: it ends as any interpreter does, with its threads, `atexit` and finalizers.
run(*main())
