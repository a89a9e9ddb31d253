"""Writes what testinfra says about the container, as JSON to the file that `DIFFERENTIAL_VALUES` names."""

import json
import os
import re

COMMANDS = [
    "true",
    "exit 3",
    "ls /nowhere",
    "no-such-command",
    "echo out; echo err >&2",
    "printf 'no newline'",
    r"printf 'caf\351 \377'",
    r"printf 'Zo\303\253 \000 end'",
    r"printf 'end\r\n\n'",
    "kill -9 $$",
    "id; pwd; umask; tty; env | sort",
    "readlink /proc/self/fd/0; cat",
    "seq 1 20000; seq 1 20000 >&2",
    "cat /etc/harbour.conf",
    'echo "Zoë\'s $HOME"',
]
FILES = ["/srv/harbour", "/srv/harbour/plain.txt", "/srv/harbour/link", "/srv/harbour/with space ü", "/etc/shadow",
         "/nowhere", "/dev/null", "/srv/harbour/binary.bin"]
PACKAGES = ["python3", "lamp", "unzip", "no-such-package"]
USERS = ["root", "sailor", "ghost"]
SERVICES = ["harbour", "systemd-journald", "no-such"]
SOCKETS = ["tcp://127.0.0.1:8099", "tcp://8099", "tcp://0.0.0.0:22", "unix:///run/systemd/private"]


def attempt(function):
    """Returns a value as JSON has it, or the exception with its message."""
    try:
        value = function()
    except Exception as error:
        # The backend is what is compared, and pytest shortens the rest by its name's length.
        message = re.sub("backend=<[^>]*>", "backend", str(error)).partition("\n")[0]
        return {"error": type(error).__name__, "message": message}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, dict):
        return {str(key): attempt(lambda item=item: item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [attempt(lambda item=item: item) for item in value]
    return str(value)


def result(ran):
    """Returns everything that a `CommandResult` tells but its backend."""
    names = ["rc", "exit_status", "succeeded", "failed", "stdout", "stderr", "stdout_bytes", "stderr_bytes", "command"]
    return {name: attempt(lambda name=name: getattr(ran, name)) for name in names}


def properties(subject, *names):
    """Returns the named properties; those that are methods are called."""
    def value(name):
        found = getattr(subject, name)
        return found() if callable(found) else found

    return {name: attempt(lambda name=name: value(name)) for name in names}


def test_values(host):
    """Collects and writes the values; that they are equal is found out elsewhere."""
    values = {
        "command": {command: result(host.run(command)) for command in COMMANDS},
        "quoted": result(host.run("echo %s %s", "a b", "$HOME'\"")),
        "unexpected": attempt(lambda: host.check_output("ls /nowhere")),
        "run_test": attempt(lambda: host.run_test("exit 2").rc),
        "file": {
            path: properties(
                host.file(path), "exists", "is_file", "is_directory", "is_symlink", "linked_to", "user", "uid", "group",
                "gid", "mode", "size", "md5sum", "sha256sum", "content", "content_string", "is_executable", "listdir")
            for path in FILES
        },
        "package": {name: properties(host.package(name), "is_installed", "version", "release") for name in PACKAGES},
        "user": {
            name: properties(host.user(name), "exists", "uid", "gid", "group", "gids", "groups", "home", "shell",
                             "password", "gecos")
            for name in USERS
        },
        "group": {name: properties(host.group(name), "exists", "gid", "members") for name in ["crew", "nobody-at-all"]},
        "service": {
            # Not `exists`: it lists all units, at which systemd gives up on a busy machine.
            name: properties(host.service(name), "is_valid", "is_running", "is_enabled", "is_masked")
            for name in SERVICES
        },
        "process": [
            {name: attempt(lambda name=name: getattr(process, name)) for name in ["pid", "user", "args", "comm"]}
            for process in host.process.filter(comm="python3")
        ],
        "socket": {name: properties(host.socket(name), "is_listening") for name in SOCKETS},
        "listening": sorted(host.socket.get_listening_sockets()),
        "system": properties(host.system_info, "type", "distribution", "release", "codename", "arch"),
        "environment": attempt(host.environment),
        "interface": properties(host.interface("lo"), "exists", "addresses"),
        "mount": properties(host.mount_point("/tmp"), "exists", "filesystem"),
        "sysctl": attempt(lambda: host.sysctl("kernel.ostype")),
        "find": attempt(lambda: host.find_command("python3")),
        "exists": {name: host.exists(name) for name in ["python3", "no-such-command"]},
    }
    with host.sudo("sailor"):
        values["sudo"] = result(host.run("id"))
    with open(os.environ["DIFFERENTIAL_VALUES"], "w", encoding="utf-8") as file:
        json.dump(values, file, indent=1, sort_keys=True)
