"""Keeps what building a module costs: which files each of its files imports, and the archive of them all.

Ansible itself still finds and reads every file on every run, so roles, collections and search paths count as always.
Only what follows from the content of files alone is remembered: the imports in a source, and the archive of these
files under these names. Arguments and variables are in neither.
"""

import ast
import hashlib
import json
import sys
import types
import warnings
import zipfile
import zlib

# Parsing anew costs less than remembering.
_SHORT = 256
# One source goes by few names; a file with more of them is not ours.
_NAMES = 32


def expected():
    """Returns the functions whose arguments must be these."""
    from ansible.executor import module_common

    finder = [["self", "module_fqn", "tree", "is_pkg_init", "args", "kwargs"]]
    finds = [
        ["name", "module_fqn", "module_data", "zf"],
        ["name", "module_fqn", "module_data", "zf", "date_time"],
        ["name", "module_fqn", "module_data", "zf", "date_time", "extension_manager"],
    ]
    return [(module_common.ModuleDepFinder.__init__, finder), (module_common.recursive_finder, finds)]


def install(store):
    """Replaces parsing, the search for imports, and packing in the module of Ansible that builds payloads."""
    from ansible.executor import module_common

    imports, finder = Imports(store), module_common.ModuleDepFinder
    find = finder.__init__

    def find_or_remember(self, module_fqn, tree, is_pkg_init=False, *args, **kwargs):
        def real(tree):
            find(self, module_fqn, tree, is_pkg_init, *args, **kwargs)
            return self.submodules, self.optional_imports

        if isinstance(tree, Tree):
            self.submodules, self.optional_imports = imports.find(module_fqn, tree, is_pkg_init, real)
        else:
            real(tree)

    # A name of the module hides the built-in one.
    module_common.compile = imports.parse
    finder.__init__ = find_or_remember

    def archive(file, mode="r", compression=zipfile.ZIP_STORED, *args, **kwargs):
        if mode != "w" or args or kwargs:
            return zipfile.ZipFile(file, mode, compression, *args, **kwargs)
        return Archive(store, file, compression)

    names = {name: value for name, value in vars(zipfile).items() if not name.startswith("__")}
    module_common.zipfile = types.SimpleNamespace(**{**names, "ZipFile": archive})


class Tree:
    """The syntax tree of a source. If its imports are known, it is parsed when something else is asked of it."""

    def __init__(self, source, digest, parse):
        self.source = source
        self.digest = digest
        self.parse = parse

    def real(self):
        """Returns the tree itself."""
        if "_real" not in self.__dict__:
            self._real = self.parse()
        return self._real

    def __getattr__(self, name):
        return getattr(self.real(), name)


class Imports:
    """Remembers what the sources import."""

    def __init__(self, store):
        self._store = store
        self._known = {}

    def parse(self, source, filename, mode, flags=0, *args, **kwargs):
        """Takes the place of `compile`."""

        def parse():
            return compile(source, filename, mode, flags, *args, **kwargs)

        if flags != ast.PyCF_ONLY_AST or mode != "exec" or len(source) < _SHORT:
            return parse()
        tree = Tree(source, digest_of("imports", source), parse)
        if not self._names(tree.digest):
            with warnings.catch_warnings(record=True) as complaints:
                warnings.simplefilter("always")
                tree.real()
            if complaints:
                # They are part of what Ansible says about this source, every time.
                return parse()
        return tree

    def find(self, module_fqn, tree, is_pkg_init, find):
        """Returns the imports in a tree and those of them that may fail; `find` looks for them in the real tree."""
        name = "{} {}".format(module_fqn, "package" if is_pkg_init else "module")
        names = self._names(tree.digest)
        if name not in names:
            found = find(tree.real())
            if len(names) >= _NAMES:
                names.clear()
            names[name] = [sorted(imports) for imports in found]
            self._store.put(tree.digest, json.dumps(names).encode())
        return tuple({tuple(parts) for parts in imports} for imports in names[name])

    def _names(self, digest):
        """Returns the imports of a source by the name it goes by: relative imports depend on that."""
        if digest not in self._known:
            kept = self._store.get(digest)
            self._known[digest] = json.loads(kept) if kept else {}
        return self._known[digest]


class Archive:
    """What Ansible needs of a `zipfile.ZipFile`. It is packed when it is closed, unless the same was packed before."""

    def __init__(self, store, file, compression):
        self.compression = compression
        self._store = store
        self._file = file
        self._entries = []

    def writestr(self, entry, data):
        """Adds a file."""
        self._entries.append((entry, data.encode("utf-8") if isinstance(data, str) else bytes(data)))

    def namelist(self):
        """Returns the names of the files so far."""
        return [name_of(entry) for entry, _ in self._entries]

    def close(self):
        """Writes the archive, in the order of the names: the one in which imports are found differs between runs."""
        self._entries.sort(key=lambda entry: name_of(entry[0]))
        parts = [str(self.compression)]
        for entry, data in self._entries:
            parts += [name_of(entry), str(getattr(entry, "compress_type", "")), data]
        key = digest_of("archive", *parts)
        kept = self._store.get(key)
        if kept is not None:
            self._file.write(kept)
            return
        with zipfile.ZipFile(self._file, "w", self.compression) as archive:
            for entry, data in self._entries:
                archive.writestr(entry, data)
        self._store.put(key, self._file.getvalue())


def name_of(entry):
    """Returns the name of an archive's entry, which Ansible gives with or without more."""
    return entry if isinstance(entry, str) else entry.filename


def digest_of(kind, *parts):
    """Returns a key for what was made of `parts` by this Python with this Ansible."""
    from ansible.release import __version__ as version

    digest = hashlib.sha256()
    for part in (kind, version, sys.version, zlib.ZLIB_RUNTIME_VERSION) + parts:
        part = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return f"{kind}-{digest.hexdigest()}"
