"""Runs a task within Ansible's own process where a process of its own would make no difference but in time.

Ansible forks for every task, which gives it parallel hosts and protects it from what a task's plugins do to their
process. Here a task runs without a fork if it is the only one at a time anyway, if it works on a container of
takelage, and if its action is one of Ansible's own that neither asks a user nor needs to be ended from outside. Its
result, its callbacks and its messages go the same way as those of a fork: through the queue, to the same thread.
"""

import contextlib
import io
import os
import sys
import threading
import traceback

# Actions of Ansible's own that keep a process of their own: they talk to a terminal, or wait for long.
APART = {"pause", "reboot", "wait_for_connection"}

# What a task has of its own while it runs in this process: `queue`, `output`.
_task = threading.local()
# How many tasks may run at once.
_pool = {"size": 0}


def expected():
    """Returns the functions whose arguments must be these."""
    from ansible.executor.process.worker import WorkerProcess
    from ansible.executor.task_queue_manager import TaskQueueManager
    from ansible.playbook.play_context import PlayContext
    from ansible.playbook.task import Task
    from ansible.utils.display import Display

    first = ["self", "final_q", "task_vars", "host", "task", "play_context", "loader", "variable_manager"]
    rest = ["shared_loader_obj", "worker_id"]
    return [
        (WorkerProcess.__init__, [first + rest, first + rest + ["cliargs"]]),
        (WorkerProcess.start, [["self"]]),
        (WorkerProcess._run, [["self"]]),
        (TaskQueueManager._initialize_processes, [["self", "num"]]),
        (Display.set_queue, [["self", "queue"]]),
        (Task.copy, [["self", "exclude_parent", "exclude_tasks"]]),
        (PlayContext.copy, [["self"]]),
    ]


def install():
    """Replaces the start of a worker."""
    from ansible.executor.process.worker import WorkerProcess
    from ansible.executor.task_queue_manager import TaskQueueManager
    from ansible.utils.display import Display

    start, initialize, set_queue = WorkerProcess.start, TaskQueueManager._initialize_processes, Display.set_queue

    def start_or_run(self):
        if is_safe(self):
            run(self)
        else:
            start(self)

    def initialize_processes(self, num):
        _pool["size"] = num
        initialize(self, num)

    def set_queue_of_fork(self, queue):
        if getattr(_task, "queue", None) is None:
            set_queue(self, queue)

    def queue_of(self):
        return getattr(_task, "queue", None) or self.__dict__.get("_final_q")

    WorkerProcess.start = start_or_run
    TaskQueueManager._initialize_processes = initialize_processes
    # Only the thread that runs a task sends its messages over the queue; the one that takes them shows them.
    Display.set_queue = set_queue_of_fork
    Display._final_q = property(queue_of, lambda self, queue: self.__dict__.update(_final_q=queue))


def is_safe(worker):
    """Whether a worker's task may run in this process."""
    task = worker._task
    return (
        _pool["size"] == 1
        and threading.current_thread() is threading.main_thread()
        and worker._task_vars.get("ansible_connection") == "takelage"
        and not (task.delegate_to or task.async_val or task.timeout)
        and is_own_action(task)
        and not is_terminal(sys.stdin)
    )


def is_own_action(task):
    """Whether the code that carries the task out on this host is Ansible's own."""
    from ansible.plugins import action
    from ansible.plugins.loader import action_loader, module_loader

    name, collections = task.action, task.collections
    if "{" in name:
        return False
    module = module_loader.find_plugin_with_context(name, collection_list=collections)
    if module.resolved and module.action_plugin:
        name = module.action_plugin
    elif not action_loader.has_plugin(name, collection_list=collections):
        name, collections = "ansible.legacy.normal", None
    found = action_loader.find_plugin_with_context(name, collection_list=collections)
    if not found.resolved:
        return False
    directory, file = os.path.split(found.plugin_resolved_path)
    return directory == os.path.dirname(action.__file__) and os.path.splitext(file)[0] not in APART


def is_terminal(stream):
    """Whether somebody sits at the other end."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def run(worker):
    """Does what a worker's process does, on copies of what a fork would have had copies of."""
    worker._task = copy_of_task(worker._task)
    worker._host = copy_of_host(worker._host)
    worker._task_vars = worker._task_vars.copy()
    worker._play_context = worker._play_context.copy()
    with contextlib.ExitStack() as stack:
        stack.enter_context(surroundings())
        if hasattr(worker, "_detach"):
            stack.enter_context(detached())
        else:
            worker._save_stdin()
            stack.callback(worker._new_stdin.close)
        context = task_context(worker._task)
        if context is not None:
            stack.enter_context(context)
        _task.queue = worker._final_q
        stack.callback(setattr, _task, "queue", None)
        try:
            worker._run()
            return
        except KeyboardInterrupt:
            raise
        except BaseException:
            failure = traceback.format_exc()
    from ansible.errors import AnsibleError
    from ansible.utils.display import Display

    Display().debug(f"WORKER HARD EXIT: {failure}")
    # What Ansible says about a worker that left without a result.
    raise AnsibleError("A worker was found in a dead state")


def copy_of_task(task):
    """Returns a task whose attributes may be templated in place."""
    copy = task.copy(exclude_parent=True, exclude_tasks=True)
    copy._parent = task._parent
    return copy


def copy_of_host(host):
    """Returns a host whose variables and groups may be taken away."""
    copy = type(host).__new__(type(host))
    copy.__dict__.update(host.__dict__)
    return copy


def task_context(task):
    """Returns the context in which newer versions run a task."""
    try:
        from ansible._internal._task import TaskContext
    except ImportError:
        return None
    return TaskContext(task)


@contextlib.contextmanager
def surroundings():
    """Puts back what a plugin may have changed about this process, and would have changed about a fork."""
    environment, directory, mask = dict(os.environ), os.getcwd(), current_umask()
    try:
        yield
    finally:
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        if current_umask() != mask:
            os.umask(mask)
        with contextlib.suppress(OSError):
            if os.getcwd() != directory:
                os.chdir(directory)


def current_umask():
    """Returns the mask for the modes of new files, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


class Output:
    """Standard output or error: a task's own in the thread that runs one, the real one in all others."""

    def __init__(self, name, stream, descriptor):
        stream.flush()
        self._name = name
        # The descriptor's own number is about to mean something else to what a task starts.
        self._real = io.TextIOWrapper(
            os.fdopen(os.dup(descriptor), "wb"),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering,
        )

    def __getattr__(self, attribute):
        outputs = getattr(_task, "output", None)
        return getattr(outputs[self._name] if outputs else self._real, attribute)


@contextlib.contextmanager
def detached():
    """Keeps a task and what it starts from standard input, output and error, as newer versions do in a fork."""
    if not isinstance(sys.stdout, Output):
        leave_terminal()
        sys.stdout, sys.stderr = Output("stdout", sys.stdout, 1), Output("stderr", sys.stderr, 2)
    null = os.open(os.devnull, os.O_RDWR)
    kept = [os.dup(descriptor) for descriptor in (0, 1, 2)]
    stdin = sys.stdin
    try:
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        sys.stdin = io.StringIO()
        sys.stdin.close()
        _task.output = {"stdout": io.StringIO(), "stderr": io.StringIO()}
        yield
    finally:
        _task.output = None
        sys.stdin = stdin
        for descriptor, real in enumerate(kept):
            os.dup2(real, descriptor, inheritable=False)
            os.close(real)
        os.close(null)


def leave_terminal():
    """Gives up the terminal that this process was started from, as a fork does by a session of its own."""
    import fcntl
    import termios

    with contextlib.suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
        try:
            fcntl.ioctl(terminal, termios.TIOCNOTTY)
        finally:
            os.close(terminal)
