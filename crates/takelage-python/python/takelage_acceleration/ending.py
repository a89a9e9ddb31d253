"""Ends Ansible's process without taking all that it has loaded apart, which takes as long as a few tasks.

Only where all of it is Ansible's own or takelage's: a plugin of somebody else may do something when its objects end.
"""

import atexit
import os
import sys
import threading

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def end(status):
    """Ends the process as an interpreter would, with its threads, `atexit`, and what is not written yet.

    Returns where an interpreter has to end by itself: `status` is nothing that it can end with at once, or something may happen
    at its very end.
    """
    if not (status is None or isinstance(status, int)) or not is_known():
        return
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except BaseException:
        # It says so itself, or the interpreter comes to the same.
        return
    if threading.active_count() == 1:
        os._exit((status or 0) & 0xFF)


def is_known():
    """Whether all plugins that were loaded come from ansible-core or takelage."""
    import ansible

    known = tuple(os.path.join(place, "") for place in (os.path.dirname(ansible.__file__), HERE))
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("ansible", "ansible_collections"):
            file = getattr(module, "__file__", None)
            if file and not os.path.abspath(file).startswith(known):
                return False
    return True
