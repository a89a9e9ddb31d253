"""Remembers, for one run, where Ansible found each file of `module_utils` and what was in it.

Every module that is built asks for some hundred of them, mostly the same as the module before. What was found counts
until one of these files, or a directory in which they were looked for, is another.
"""

import os

# What is remembered, and what has to be as it was for that.
_found = {}
_stamps = {}


def expected():
    """Returns the functions whose arguments must be these."""
    from ansible.executor import module_common

    legacy = ["self", "fq_name_parts", "is_ambiguous", "mu_paths", "child_is_redirected"]
    base = ["self", "fq_name_parts", "is_ambiguous", "child_is_redirected"]
    return [
        (module_common.LegacyModuleUtilLocator.__init__, [legacy]),
        (module_common.ModuleUtilLocatorBase.__init__, [base, base + ["is_optional"]]),
    ]


def install():
    """Replaces the search for one file, and looks at what is remembered before a module is built."""
    from ansible.executor import module_common

    locator, build = module_common.LegacyModuleUtilLocator, module_common.recursive_finder
    locate = locator.__init__

    def locate_or_remember(self, fq_name_parts, is_ambiguous=False, mu_paths=None, child_is_redirected=False):
        key = (tuple(fq_name_parts), is_ambiguous, tuple(mu_paths or ()), child_is_redirected)
        if key in _found:
            self.__dict__.update(_found[key])
            return
        locate(self, fq_name_parts, is_ambiguous, mu_paths, child_is_redirected)
        if not self.redirected:
            remember(key, self)

    def build_by_what_is_there(*args, **kwargs):
        if any(stamp(path) != known for path, known in _stamps.items()):
            _found.clear()
            _stamps.clear()
        return build(*args, **kwargs)

    locator.__init__ = locate_or_remember
    module_common.recursive_finder = build_by_what_is_there


def remember(key, locator):
    """Remembers what a locator found, or that it found nothing."""
    info = getattr(locator, "_info", None)
    paths = [] if info is None or info.origin is None else [info.origin]
    for candidate in locator.candidate_names:
        paths += [os.path.join(path, *candidate[2:-1]) for path in locator._mu_paths]
        # A package of that name would be another directory in there.
        paths += [os.path.join(path, *candidate[2:]) for path in locator._mu_paths]
    for path in paths:
        _stamps.setdefault(path, stamp(path))
    _found[key] = dict(locator.__dict__)


def stamp(path):
    """Returns what changes with a file, or with the entries of a directory."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
