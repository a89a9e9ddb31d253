"""testinfra's way into the containers of takelage."""

import os
import threading

import testinfra
import testinfra.backend
from testinfra.backend import base, docker, podman
from testinfra.utils import ansible_runner

import takelage_ansible
from takelage_bridge import Bridge, BridgeError

SCHEME = "takelage://"
_threads = threading.local()


def _bridge():
    """Returns this thread's connection: it stays open, and carries one request at a time."""
    bridge = getattr(_threads, "bridge", None)
    if bridge is None:
        bridge = _threads.bridge = Bridge()
    return bridge


def own_hosts():
    """Returns the names of takelage's containers, as they are in the inventory."""
    return [host[len(SCHEME):] for host in os.environ["TAKELAGE_HOSTS"].split(",") if host]


class TakelageBackend(base.BaseBackend):
    """Runs commands as the Docker backend does, over takelage's socket. Hosts are `[USER@]NAME`, or `all`."""

    NAME = "takelage"

    def __init__(self, name, *args, **kwargs):
        self.name, self.user = self.parse_containerspec(name)
        super().__init__(self.name, *args, **kwargs)

    def run(self, command, *args, **kwargs):
        """Runs a command by the container's shell."""
        command = self.get_command(command, *args)
        try:
            status, stdout, stderr = _bridge().run(self.name, ["/bin/sh", "-c", command], self.user)
        except BridgeError as error:
            raise RuntimeError(f"cannot run a command in `{self.name}`: {error}") from error
        return self.result(status, self.encode(command), stdout, stderr)

    @classmethod
    def get_hosts(cls, host, **kwargs):
        """Returns the hosts that a name stands for."""
        return own_hosts() if host in (None, "", "all") else [host]


def _or_own(backend):
    """Returns a backend that hands takelage's containers to the backend above and keeps the rest."""

    class OrOwn(backend):
        def __new__(cls, name, *args, **kwargs):
            own = name.rsplit("@", 1)[-1] in own_hosts()
            return super().__new__(cls) if not own else TakelageBackend(name, *args, **kwargs)

    return OrOwn


OrDocker = _or_own(docker.DockerBackend)
OrPodman = _or_own(podman.PodmanBackend)


def install(bare_names):
    """Makes testinfra reach takelage's containers by every name that checks may use.

    `bare_names` says whether a host without a scheme may be one of takelage's; it may not if an option names
    another connection for such hosts.
    """
    backends = testinfra.backend.BACKENDS
    backends["takelage"] = "takelage_testinfra.TakelageBackend"
    backends["docker"] = "takelage_testinfra.OrDocker"
    backends["podman"] = "takelage_testinfra.OrPodman"
    _reach_inventory_hosts()
    takelage_ansible.install(ansible_runner.local)
    if bare_names:
        _reach_bare_names()


def _reach_bare_names():
    original = testinfra.backend.parse_hostspec

    def parse_hostspec(hostspec):
        host, options = original(hostspec)
        if "connection" not in options and host in own_hosts() + ["all"]:
            options["connection"] = "takelage"
        return host, options

    testinfra.backend.parse_hostspec = parse_hostspec


def _reach_inventory_hosts():
    """Lets `ansible://` use the backend above, with the user and sudo that the inventory asks for.

    testinfra would start one `ansible` per command for a connection that it does not know. It knows Docker's, so it
    is asked what it would do for a Docker container of that name.
    """
    original = ansible_runner.get_ansible_host

    def get_ansible_host(config, inventory, host, *args, **kwargs):
        variables = inventory.get("_meta", {}).get("hostvars", {}).get(host, {})
        if variables.get("ansible_connection") != "takelage":
            return original(config, inventory, host, *args, **kwargs)
        name = variables.get("takelage_host", host)
        as_docker = dict(variables, ansible_connection="docker", ansible_host=name)
        hostvars = dict(inventory["_meta"]["hostvars"], **{host: as_docker})
        found = original(config, dict(inventory, _meta={"hostvars": hostvars}), host, *args, **kwargs)
        backend = found.backend
        user = f"{backend.user}@" if backend.user else ""
        return testinfra.get_host(SCHEME + user + name, sudo=backend.sudo, sudo_user=backend.sudo_user)

    ansible_runner.get_ansible_host = get_ansible_host
