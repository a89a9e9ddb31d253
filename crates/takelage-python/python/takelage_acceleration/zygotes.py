"""Which commands a warm interpreter in the container may stand in for: those that only start one for a module.

Anything that is not exactly of the shape that Ansible gives such a command goes the plain way.
"""

import functools
import hashlib
import os
import re
import shlex

# Reads a program by its length and runs it.
BOOT = (
    "import os;r=lambda n,s=b'':s if len(s)==n else r(n,s+os.read(0,n-len(s)));"
    "exec(compile(r(int(r(8))),'takelage','exec'))"
)
# Stands for the random words by which `sudo` shows that it let the command through.
LET_THROUGH = "BECOME-SUCCESS-takelage"

_INTERPRETER = re.compile(r"/[A-Za-z0-9_./+-]*/python[0-9.]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# An interpreter heeds them when it starts, or ansible-core's own `module_utils` when they are imported.
_EARLY = ("PYTHON", "LC_", "LANG", "LD_", "TZ", "MALLOC_", "GLIBC_", "GCONV_", "UNIXCONFDIR", "UNIXUSRLIBDIR")
_SHELL = "/bin/sh -c "
_END = " && sleep 0"


def zygote_for(command, become):
    """Returns how to start the interpreter that may stand in for `command`, and what to tell it; else `None`."""
    if not os.environ.get("TAKELAGE_KEEP"):
        return None
    inner = unquoted(command)
    if inner is None or not inner.endswith(_END):
        return None
    inner = inner[: -len(_END)]
    if become is None:
        return answer(inner, "{}", "")
    marker = become.success
    if become.name not in ("sudo", "ansible.builtin.sudo") or not marker or not inner.startswith("sudo "):
        return None
    before, shell, quoted = inner.partition(" " + _SHELL)
    last = unquoted(_SHELL + quoted) if shell else None
    start = f"echo {marker} ; "
    if last is None or not last.startswith(start) or marker in before:
        return None
    around = before.replace("{", "{{").replace("}", "}}") + " " + _SHELL
    return answer(last[len(start) :], around, f"{marker}\n")


def answer(call, around, preface):
    """Returns the interpreter for a call that is an interpreter and variables for it, and no more."""
    try:
        words = shlex.split(call)
    except ValueError:
        return None
    if not words or not _INTERPRETER.fullmatch(words[-1]):
        return None
    env = dict(word.partition("=")[::2] for word in words[:-1])
    if len(env) != len(words) - 1 or any(not _NAME.fullmatch(name) or name.startswith(_EARLY) for name in env):
        return None
    if call != " ".join([f"{name}={shlex.quote(value)}" for name, value in env.items()] + [words[-1]]):
        return None
    start = "{} -c {}".format(words[-1], shlex.quote(BOOT))
    if preface:
        # By this `sudo` says what it runs.
        env["SUDO_COMMAND"] = f"/bin/sh -c echo {preface.strip()} ; {call}"
        start = around.format() + shlex.quote(f"echo {LET_THROUGH} ; {start}")
    argv = ["/bin/sh", "-c", _SHELL + shlex.quote(start + _END)]
    return {"argv": argv, "env": env, "preface": preface, "own": own_sources()}


@functools.lru_cache(maxsize=None)
def own_sources():
    """Returns the digests of ansible-core's own `module_utils`: what is imported ahead must be none of a project's."""
    from ansible import module_utils

    digests = []
    for directory, _, names in os.walk(os.path.dirname(module_utils.__file__)):
        for name in names:
            if name.endswith(".py"):
                with open(os.path.join(directory, name), "rb") as file:
                    digests.append(hashlib.sha256(file.read()).hexdigest())
    return digests


def unquoted(command):
    """Returns what a command gives to `/bin/sh -c`, if that is all it does."""
    if not command.startswith(_SHELL):
        return None
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    return words[2] if len(words) == 3 and command == _SHELL + shlex.quote(words[2]) else None
