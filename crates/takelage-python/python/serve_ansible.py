"""Runs Ansible's programs in forks of a process that has imported them, with a socket as standard input.

A fork does all that a program does which was started anew, from reading its command line and inventory to its exit; what it
need not do is to start Python, import, and read the settings. So it gives what that program would give as long as the
settings are the same. A process serves one environment and directory, one program at a time.

The socket keeps messages apart. The first message is `ready`. A call is a message of JSON with three
descriptors, for standard input, output and error:

    {"call": ["ansible", "-m", …], "test": null | "what pytest runs"}

and is answered by `{"status": 0}` when the program has ended; a negative status is the signal that ended it.
"""

import atexit
import gc
import importlib
import json
import os
import signal
import socket
import sys
import tempfile

import launch_ansible
import takelage_acceleration

PROGRAMS = ("ansible", "ansible-inventory")
# The longest message, in bytes.
LONGEST = 1 << 17
# What pytest changes for every test.
TEST = "PYTEST_CURRENT_TEST"
# What is imported when a task runs.
LATE = (
    "ansible.executor.process.worker",
    "ansible.playbook.included_file",
    "ansible.playbook.role_include",
    "ansible.utils.ssh_functions",
    "xml.dom.minidom",
    "xml.etree.ElementTree",
)


def main():
    """Gets ready and serves until the other end is closed; in a fork, runs what was called."""
    connection = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as null:
        os.dup2(null.fileno(), 0)
    # The programs are interrupted, and what called for them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    said = Said()
    launch_ansible.prepare(PROGRAMS[0])
    programs = {program: launch_ansible.class_of_program(program) for program in PROGRAMS}
    if takelage_acceleration.install():
        sys.exit("this version of ansible-core is not known")
    for name in LATE:
        importlib.import_module(name)
    read_routes()
    said.end()
    gc.collect()
    gc.freeze()
    connection.send(b"ready")
    program = serve(connection, said)
    launch_ansible.run(programs[program])


def serve(connection, said):
    """Forks for each call. Returns the program that is called, in the fork, or exits."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, LONGEST, 3)
        if not message:
            sys.exit(0)
        process = os.fork()
        if process == 0:
            connection.close()
            return become(json.loads(message), descriptors, said)
        for descriptor in descriptors:
            os.close(descriptor)
        _, status = os.waitpid(process, 0)
        status = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        connection.send(json.dumps({"status": status}).encode())


def become(message, descriptors, said):
    """Makes this process one that was started with a command line. Returns the program's name."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if message["test"] is None:
        os.environ.pop(TEST, None)
    else:
        os.environ[TEST] = message["test"]
    sys.argv = message["call"]
    own_directory()
    said.again()
    return sys.argv[0]


def own_directory():
    """Gives this process a directory for temporary files, which it removes at its end, unlike that of its parent."""
    from ansible import constants
    from ansible.config import manager

    atexit.unregister(manager.cleanup_tmp_file)
    local = constants.config.get_config_value("DEFAULT_LOCAL_TMP", variables=vars(constants))
    constants.DEFAULT_LOCAL_TMP = local


def read_routes():
    """Reads ahead by which names Ansible's own plugins were known; it does so for each run, from a large file of YAML."""
    import ansible
    from ansible.utils.collection_loader import _collection_finder

    parse = _collection_finder._meta_yml_to_dict
    path = os.path.join(os.path.dirname(ansible.__file__), "config", "ansible_builtin_runtime.yml")
    with open(path, "rb") as file:
        text = file.read()
    # A program may change what it is given, and gets it once.
    read = {text: parse(text, ("ansible.builtin", "runtime.yml"))}
    _collection_finder._meta_yml_to_dict = lambda text, name: read.pop(text, None) or parse(text, name)


class Said:
    """What Ansible says while it is imported, as warnings about its settings, which every program would say."""

    def __init__(self):
        self._files = [tempfile.TemporaryFile() for _ in range(2)]
        for number, file in enumerate(self._files, 1):
            os.dup2(file.fileno(), number)
        self._texts = []

    def end(self):
        """Listens no longer."""
        for stream, file in zip((sys.stdout, sys.stderr), self._files):
            stream.flush()
            file.seek(0)
            self._texts.append(file.read())

    def again(self):
        """Says it again, by this process."""
        for number, text in enumerate(self._texts, 1):
            while text:
                text = text[os.write(number, text) :]


if __name__ == "__main__":
    main()
