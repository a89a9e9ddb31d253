"""Tells takelage which task each request is for, what in it is random, and why it may not be remembered.

takelage remembers a request by its bytes. Some of these are drawn anew in every run: names of temporary files and the
words by which becoming a user succeeds. They are told by whoever draws them, so that nothing that a user wrote is ever
taken for one. The dates in a module's archive, which nothing reads, are constant.
"""

import datetime
import functools
import hashlib
import json
import os
import tempfile
import time
import types

# Whether takelage is told anything.
_told = {"installed": False}
# The executors of tasks that run in this process, the calls of modules in them, and random names not yet told.
_executors, _calls, _random = [], [], []

# Actions after which the container is not what its requests have made of it.
_ENDING = {"reboot", "wait_for_connection"}


def expected():
    """Returns the functions whose arguments must be these."""
    from ansible.executor import module_common
    from ansible.executor.task_executor import TaskExecutor
    from ansible.plugins.action import ActionBase
    from ansible.plugins.shell import ShellBase

    module = ["self", "module_name", "module_args", "tmp", "task_vars", "persist_files", "delete_remote_tmp"]
    module += ["wrap_async"]
    # It must be there to be given a constant date.
    module_common.modify_module
    return [
        (TaskExecutor.run, [["self"]]),
        (ActionBase._execute_module, [module, module + ["ignore_unknown_opts"]]),
        (ShellBase._generate_temp_dir_name, [[]]),
    ]


def wanted():
    """Whether takelage remembers requests."""
    return bool(os.environ.get("TAKELAGE_REMEMBERS"))


def install():
    """Watches tasks, modules and random names."""
    from ansible import constants
    from ansible.executor import module_common
    from ansible.executor.task_executor import TaskExecutor
    from ansible.plugins.action import ActionBase
    from ansible.plugins.shell import ShellBase

    TaskExecutor.run = within(_executors, TaskExecutor.run, lambda self: self)
    ActionBase._execute_module = within(_calls, ActionBase._execute_module, Call)
    generate = ShellBase._generate_temp_dir_name
    ShellBase._generate_temp_dir_name = staticmethod(lambda: drawn(generate()))
    local = str(constants.DEFAULT_LOCAL_TMP)
    drawn(local)
    tempfile.mkdtemp = drawn_below(local, tempfile.mkdtemp, lambda made: made)
    tempfile.mkstemp = drawn_below(local, tempfile.mkstemp, lambda made: made[1])
    stop_the_clock(module_common)
    _told["installed"] = True


def within(stack, function, item):
    """Returns the function, with an item of its arguments on a stack while it runs."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        stack.append(item(*args, **kwargs))
        try:
            return function(*args, **kwargs)
        finally:
            stack.pop()

    return call


class Call:
    """A module that an action runs."""

    def __init__(self, action, module_name=None, module_args=None, *args, wrap_async=False, **kwargs):
        self.name = module_name or action._task.action
        self.arguments = action._task.args if module_args is None else module_args
        self.is_async = wrap_async or len(args) > 4 and args[4]


def drawn(name):
    """Notes the last component of a random name, and returns the name."""
    _random.append(os.path.basename(os.fsdecode(name)))
    return name


def drawn_below(directory, make, path):
    """Returns a function of `tempfile` that notes what it makes in a directory of Ansible's own."""

    @functools.wraps(make)
    def call(*args, **kwargs):
        made = make(*args, **kwargs)
        if os.path.dirname(os.fsdecode(path(made))) == directory:
            drawn(path(made))
        return made

    return call


def stop_the_clock(module_common):
    """Gives all archives of modules the same date."""

    class Clock(datetime.datetime):
        """A clock that stands."""

        @classmethod
        def now(cls, tz=None):
            return datetime.datetime(2000, 1, 1, tzinfo=tz)

        @classmethod
        def utcnow(cls):
            return datetime.datetime(2000, 1, 1)

    if getattr(module_common, "datetime", None) is datetime:
        names = {name: value for name, value in vars(datetime).items() if not name.startswith("__")}
        module_common.datetime = types.SimpleNamespace(**{**names, "datetime": Clock})
    if getattr(module_common, "time", None) is time:
        names = {name: value for name, value in vars(time).items() if not name.startswith("__")}
        standing = time.gmtime(946684800)
        module_common.time = types.SimpleNamespace(**{**names, "gmtime": lambda *seconds: standing})


def describe(become=None):
    """Returns what takelage is told about the request that is about to be made. `None`: nothing is known about it."""
    if not _told["installed"] or not _executors:
        return None
    try:
        told = about(_executors[-1], _calls[-1] if _calls else None)
    except Exception:
        # Whatever it is, it is not the inside of Ansible that this was made for.
        return None
    told["random"] = list(_random)
    _random.clear()
    if become is not None and getattr(become, "success", None):
        told["random"].append(become.success)
    return told


def about(executor, call):
    """Returns what is known about a task and the module that it runs."""
    task = executor._task
    place = task.get_path() or ""
    told = {"id": str(task._uuid), "name": "", "path": place, "module": "", "arguments": {}}
    told["ends"] = ends(executor, task, call)
    if not task.no_log:
        told["name"] = task.get_name().strip()[:256]
        told["module"] = call.name if call else task.action
        if call:
            told["arguments"] = {str(name)[:128]: digest(value) for name, value in call.arguments.items()}
    return told


def ends(executor, task, call):
    """Returns why nothing may be remembered from here on, if that is so."""
    if task.async_val or (call and call.is_async):
        return "it runs in the background"
    if task.action.rpartition(".")[2] in _ENDING:
        return f"`{task.action}` is never replayed"
    if task.no_log:
        return "it has `no_log`"
    if "no-cache" in (task.tags or ()):
        return "it has the tag `no-cache`"
    if "takelage_cache" in executor._job_vars and not is_true(executor, executor._job_vars["takelage_cache"]):
        return "`takelage_cache` is false"
    return None


def is_true(executor, value):
    """Returns what a variable says, rendered if it is a template."""
    from ansible.module_utils.parsing.convert_bool import boolean
    from ansible.template import Templar

    if isinstance(value, str):
        value = Templar(loader=executor._loader, variables=executor._job_vars).template(value)
    return boolean(value)


def digest(value):
    """Returns a digest of a module's argument."""
    text = json.dumps(value, default=str, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
