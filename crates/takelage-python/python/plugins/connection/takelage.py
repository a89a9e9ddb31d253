"""Ansible's connection to a container of takelage, over takelage's socket."""

from __future__ import annotations

import os

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

from takelage_acceleration.requests import describe
from takelage_acceleration.zygotes import zygote_for
from takelage_bridge import Bridge, BridgeError

DOCUMENTATION = """
name: takelage
short_description: Run tasks in containers of takelage
description:
  - Runs commands and transfers files through the socket of the takelage that started Ansible.
options:
  host:
    description: The container's name in takelage.
    type: string
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: takelage_host
  remote_user:
    description: The user in the container. The container's own user if not set.
    type: string
    vars:
      - name: ansible_user
      - name: ansible_takelage_user
    ini:
      - section: defaults
        key: remote_user
    env:
      - name: ANSIBLE_REMOTE_USER
    cli:
      - name: user
    keyword:
      - name: remote_user
  pipelining:
    description: Pass modules on standard input instead of as files. On unless switched off.
    type: boolean
    default: true
    ini:
      - section: defaults
        key: pipelining
      - section: connection
        key: pipelining
    env:
      - name: ANSIBLE_PIPELINING
    vars:
      - name: ansible_pipelining
"""

display = Display()


class Connection(ConnectionBase):
    """A container. Every worker process has its own connection to takelage."""

    transport = "takelage"
    has_pipelining = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._bridge = Bridge()
        self._asks_password = None

    @property
    def _host(self):
        return self.get_option("host")

    @property
    def _user(self):
        user = self.get_option("remote_user")
        return user if user is not None else self._play_context.remote_user

    def _connect(self):
        if not self._connected:
            display.vvv(f"CONNECTED TO TAKELAGE AS USER {self._user or '?'}", host=self._host)
            self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=False):
        """Runs a command and returns its exit status, standard output and standard error."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self._connect()
        command = to_text(cmd, errors="surrogate_or_strict")
        if not getattr(self._play_context, "no_log", False):
            display.vvv(f"EXEC {command}", host=self._host)
        stdin = to_bytes(in_data or b"", errors="surrogate_or_strict")
        if not (sudoable and self.become and self.become.expect_prompt() and self._needs_password()):
            become = self.become if sudoable else None
            return self._run(command, stdin, zygote_for(command, become) if stdin else None)
        password = self.become.get_option("become_pass", playcontext=self._play_context)
        status, stdout, stderr = self._run(command, to_bytes(password) + b"\n" + stdin)
        if status != 0 and self.become.check_incorrect_password(stderr):
            raise AnsibleError(f"Incorrect {self.become.name} password")
        return status, stdout, self._without_prompt(stderr)

    def put_file(self, in_path, out_path):
        """Writes a file of this host into the container, as the remote user."""
        super().put_file(in_path, out_path)
        self._connect()
        display.vvv(f"PUT {in_path} TO {out_path}", host=self._host)
        try:
            with open(to_bytes(in_path, errors="surrogate_or_strict"), "rb") as file:
                self._ask(self._bridge.put, self._host, self._absolute(out_path), file, self._user, describe())
        except FileNotFoundError as error:
            raise AnsibleFileNotFound(f"file or module does not exist: {to_text(in_path)}") from error

    def fetch_file(self, in_path, out_path):
        """Writes a file of the container to this host."""
        super().fetch_file(in_path, out_path)
        self._connect()
        display.vvv(f"FETCH {in_path} TO {out_path}", host=self._host)
        with open(to_bytes(out_path, errors="surrogate_or_strict"), "wb") as file:
            self._ask(self._bridge.get, self._host, self._absolute(in_path), file, describe())

    def reset(self):
        """Forgets the connection; the next command opens another."""
        self.close()

    def close(self):
        """Closes the connection to takelage."""
        self._bridge.close()
        self._connected = False

    def _run(self, command, stdin, zygote=None):
        shell = getattr(self._play_context, "executable", None) or "/bin/sh"
        if shell != "/bin/sh":
            zygote = None
        argv, task = [shell, "-c", command], describe(self.become)
        return self._ask(self._bridge.run, self._host, argv, self._user, stdin, zygote, task)

    def _ask(self, request, *args):
        try:
            return request(*args)
        except BridgeError as error:
            if error.kind == "no_such_file":
                raise AnsibleFileNotFound(str(error)) from error
            raise AnsibleConnectionFailure(str(error)) from error

    def _needs_password(self):
        """Finds out whether becoming another user asks for a password: all input is sent at once, so it must be known.

        A password that nobody reads would be taken for the beginning of the module.
        """
        if self._asks_password is None:
            become = self.become
            state = {name: getattr(become, name) for name in ("_id", "prompt", "success")}
            command = become.build_become_command("true", self._shell)
            _, stdout, stderr = self._run(to_text(command), b"")
            self._asks_password = not become.check_success(stdout + b"\n" + stderr)
            for name, value in state.items():
                setattr(become, name, value)
        return self._asks_password

    def _without_prompt(self, stderr):
        prompt = to_bytes(self.become.prompt or "")
        return stderr.replace(prompt, b"", 1) if prompt else stderr

    @staticmethod
    def _absolute(path):
        return os.path.normpath(os.path.join("/", to_text(path, errors="surrogate_or_strict")))
