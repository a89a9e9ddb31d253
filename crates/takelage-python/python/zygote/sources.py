"""What modules bring with them, kept by a warm interpreter: archives by their content, sources as code by their digest,
and ansible-core's own `module_utils` as modules that forks need not import anew.

Comes before `serve.py` in the program that a warm interpreter runs.
"""

import sys

if sys.version_info < (3, 5):
    sys.exit(3)

import _imp
import base64
import builtins
import collections
import hashlib
import importlib
import importlib.machinery
import importlib.util
import io
import os
import pathlib
import re
import types
import zipfile
import zipimport

# So many sources are remembered as code, and so many archives.
SOURCES = 4096
ARCHIVES = 64

# The archive of a module's files, in the two forms in which Ansible's wrappers hold it.
ARCHIVE = re.compile(br"""(?:ZIPDATA *= *(?:\"\"\"|\"|')|zip_data=')([A-Za-z0-9+/=\s]+)""")

# Packages that look for more of themselves when they are imported: a fork executes them anew.
AROUND = ("ansible", "ansible.module_utils")
# The archive from which stocked modules were imported: a path that nothing can have.
NOWHERE = "/dev/null/payload.zip"
# What the import sets about a module.
ABOUT = ("__spec__", "__loader__", "__file__", "__cached__", "__path__", "__package__")


class Archive:
    """A module's files: their digests by their names, and the bytes by which the archive is known again."""

    def __init__(self, head, digests):
        self.head = head
        self.digests = digests

    def is_at(self, path):
        """Whether the archive at a path begins with this one; wrappers add files at the end."""
        try:
            with open(path, "rb") as file:
                return file.read(len(self.head)) == self.head
        except OSError:
            return False


class Sources:
    """Sources as code, by their digests."""

    def __init__(self):
        self.codes = collections.OrderedDict()
        self.archives = collections.OrderedDict()

    def of(self, payload):
        """Returns the archive in a payload, all its sources compiled. `None`: there is none that this understands."""
        found = ARCHIVE.search(payload)
        if not found:
            return None
        key = hashlib.sha256(found.group(1)).digest()
        if key in self.archives:
            self.archives.move_to_end(key)
            return self.archives[key]
        try:
            archive = self.read(base64.b64decode(found.group(1)))
        except Exception:
            # The module will say what is wrong with itself.
            return None
        self.archives[key] = archive
        while len(self.archives) > ARCHIVES:
            self.archives.popitem(last=False)
        return archive

    def read(self, content):
        """Reads an archive."""
        digests = {}
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                if name.endswith(".py"):
                    source = archive.read(name)
                    digests[name] = hashlib.sha256(source).hexdigest()
                    self.compile(digests[name], source, name)
            return Archive(content[:archive.start_dir], digests)

    def compile(self, digest, source, name):
        """Remembers a source."""
        if digest in self.codes:
            self.codes.move_to_end(digest)
            return
        try:
            self.codes[digest] = compile(source, name, "exec", 0, True)
        except Exception:
            # Whoever imports it will say why.
            return
        while len(self.codes) > SOURCES:
            self.codes.popitem(last=False)


class Stock:
    """Modules of ansible-core's own `module_utils`, imported ahead for forks to take.

    Only files that the controller knows as ansible-core's own are executed ahead: they leave the same behind whichever
    module imports them. The few of them that remember their place are told the one that a fork has.
    """

    def __init__(self):
        self.modules = {}
        self.digests = {}
        self.places = {}
        # What each of them imports when it is imported, in this order.
        self.imports = {}
        # Another Ansible in the container would be a part of these packages.
        self.closed = importlib.machinery.PathFinder.find_spec("ansible") is not None

    def fill(self, archive, codes, own):
        """Imports what an archive brings and the stock lacks."""
        new = {}
        for path, digest in archive.digests.items():
            name, package = name_of(path)
            if digest in own and digest in codes and name.startswith("ansible.module_utils."):
                if name not in self.digests:
                    new[name] = path, codes[digest], package
        if self.closed or not new or not self.agrees(archive):
            return
        # One that cannot be imported, or that puts another in its place, is not tried again.
        self.digests.update({name: archive.digests[path] for name, (path, _, _) in new.items()})
        finder = Stocker(new)
        sys.meta_path.insert(0, finder)
        sys.modules.update(self.modules)
        real, builtins.__import__ = builtins.__import__, finder.importing(builtins.__import__)
        try:
            for name in new:
                try:
                    importlib.import_module(name)
                except ImportError:
                    pass
            made = dict(finder.made, **{name: sys.modules[name] for name in AROUND})
            self.modules.update({name: module for name, module in made.items() if sys.modules.get(name) is module})
        except BaseException as error:
            sys.stderr.write("nothing is imported ahead: {!r}\n".format(error))
            self.closed = True
            self.modules.clear()
        finally:
            builtins.__import__ = real
            sys.meta_path.remove(finder)
            for name in list(sys.modules):
                if name.partition(".")[0] == "ansible":
                    del sys.modules[name]
        for name in new:
            values = vars(self.modules[name]).items() if name in self.modules else ()
            self.places[name] = {key: value for key, value in values if key not in ABOUT and is_place(value)}
        self.imports.update(finder.imports)

    def take(self, name):
        """Returns a module as it is before it is imported, in a fork. `None`: the stock has none of that name."""
        module = self.modules.get(name)
        if module is not None:
            for key, value in list(module.__dict__.items()):
                if key in ABOUT:
                    # What is `None` is set anew. Were it missing, a module's own `__getattr__` would be asked.
                    module.__dict__[key] = None
                elif isinstance(value, types.ModuleType) and value is self.modules.get(name + "." + key):
                    del module.__dict__[key]
        return module

    def finish(self, module, archive):
        """Does what the import of a module would do besides executing it, in a fork."""
        name = module.__name__
        for key, value in self.places[name].items():
            setattr(module, key, type(value)(archive + str(value)[len(NOWHERE) :]))
        for imported in self.imports.get(name, ()):
            importlib.import_module(imported)

    def agrees(self, archive):
        """Whether all that an archive brings and the stock has is the same."""
        mine = ((path, self.digests.get(name_of(path)[0])) for path in archive.digests)
        return not self.closed and all(digest in (None, archive.digests[path]) for path, digest in mine)


class Stocker:
    """Finds modules while they are imported into the stock."""

    def __init__(self, new):
        self.new = new
        self.made = {}
        self.imports = {}

    def find_spec(self, name, path=None, target=None):
        """Returns where a module is."""
        if name in AROUND:
            file, package = name.replace(".", "/") + "/__init__.py", True
        elif name in self.new:
            file, _, package = self.new[name]
        else:
            return None
        file = NOWHERE + "/" + file
        places = [os.path.dirname(file)] if package else None
        return importlib.util.spec_from_file_location(name, file, loader=self, submodule_search_locations=places)

    def create_module(self, spec):
        """Returns `None`: any module will do."""

    def exec_module(self, module):
        """Executes a module."""
        name = module.__name__
        if name in self.new:
            self.made[name] = module
            exec(self.new[name][1], module.__dict__)


    def importing(self, real):
        """Returns what takes the place of the import statement, which notes who imports what."""

        def note(name, globals=None, locals=None, fromlist=(), level=0):
            module = real(name, globals, locals, fromlist, level)
            by = (globals or {}).get("__name__")
            if by in self.new:
                base = importlib.util.resolve_name("." * level + name, globals["__package__"]) if level else name
                names = [base] + ["{}.{}".format(base, one) for one in fromlist or ()]
                noted = self.imports.setdefault(by, [])
                noted += [one for one in names if one.startswith("ansible.") and one in sys.modules]
            return module

        return note


def name_of(path):
    """Returns the module that a file of an archive is, and whether it is a package."""
    name = path[: -len(".py")].replace("/", ".")
    return (name[: -len(".__init__")], True) if name.endswith(".__init__") else (name, False)


def is_place(value):
    """Whether a value says where the stock was imported from."""
    return isinstance(value, (str, pathlib.PurePath)) and str(value).startswith(NOWHERE)


def importer(archive, sources, stock):
    """Returns a finder for archives that takes modules from a stock, if there is one, and code by the digest of its source
    instead of compiling it."""
    known = {}

    class Importer(zipimport.zipimporter):
        def is_brought(self):
            """Whether this is the archive that the payload brings."""
            if self.archive not in known:
                known[self.archive] = archive is not None and archive.is_at(self.archive)
            return known[self.archive]

        def path_of(self, fullname):
            """Returns where a module's source is and whether it is a package. `get_filename` would compile it."""
            package = self.is_package(fullname)
            path = os.path.join(self.archive, self.prefix + fullname.rpartition(".")[2])
            return path + ("/__init__.py" if package else ".py"), package

        def find_spec(self, fullname, target=None):
            try:
                path, package = self.path_of(fullname)
            except ImportError:
                find = getattr(zipimport.zipimporter, "find_spec", None)
                return find(self, fullname, target) if find else None
            places = [os.path.dirname(path)] if package else None
            return importlib.util.spec_from_file_location(
                fullname, path, loader=self, submodule_search_locations=places
            )

        def create_module(self, spec):
            return stock.take(spec.name) if stock and self.is_brought() else None

        def exec_module(self, module):
            name = module.__name__
            code = self.get_code(name)
            if name in AROUND or stock is None or stock.modules.get(name) is not module:
                exec(code, module.__dict__)
            else:
                stock.finish(module, self.archive)

        def get_code(self, fullname):
            path = self.path_of(fullname)[0]
            code = sources.codes.get(self.digest_of(path))
            if code is None:
                return zipimport.zipimporter.get_code(self, fullname)
            # As if it had been compiled from there, which tracebacks tell.
            _imp._fix_co_filename(code, path)
            return code

        def digest_of(self, path):
            """Returns a source's digest, `None` if it cannot be read."""
            if self.is_brought():
                digest = archive.digests.get(path[len(self.archive) + 1 :])
                if digest:
                    return digest
            try:
                return hashlib.sha256(self.get_data(path)).hexdigest()
            except OSError:
                return None

    return Importer
