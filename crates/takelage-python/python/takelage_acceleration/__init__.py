"""What makes Ansible faster without changing what it does.

Each part replaces something inside Ansible, so it is installed only in versions whose inside it was made for. In any
other, Ansible runs as it is.
"""

import inspect
import os

from . import locators, payloads, requests, store, workers, zygotes

# The versions of ansible-core that the parts were made for and compared in.
VERSIONS = ("2.15", "2.16", "2.17", "2.18", "2.19")


def is_wanted():
    """Whether anything is to be faster: `TAKELAGE_KEEP` names the directory for what lasts across runs."""
    return bool(os.environ.get("TAKELAGE_KEEP"))


def install():
    """Installs the parts and returns why one is left out, if any is."""
    if not is_wanted():
        return None
    directory = os.environ["TAKELAGE_KEEP"]
    from ansible.release import __version__ as version

    if ".".join(version.split(".")[:2]) not in VERSIONS:
        return f"ansible-core {version} is not one that takelage can make faster: it runs as it is"
    changed = [part.__name__.rpartition(".")[2] for part in (locators, payloads, workers) if not fits(part)]
    if changed:
        return "this ansible-core {} differs from the published one in its {}: it runs as it is".format(
            version, " and ".join(changed)
        )
    locators.install()
    payloads.install(store.Store(directory))
    # Now, not in every process of a task.
    zygotes.own_sources()
    workers.install()
    if not requests.wanted():
        return None
    if not fits(requests):
        return f"this ansible-core {version} differs from the published one: nothing that it does is remembered"
    requests.install()
    return None


def fits(part):
    """Whether Ansible's functions that a part replaces or calls take the arguments that it expects."""
    try:
        return all(list(inspect.signature(function).parameters) in forms for function, forms in part.expected())
    except (ImportError, AttributeError, TypeError, ValueError):
        return False
