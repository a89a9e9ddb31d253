"""Values that last across runs, found by the digest of all that they were made of."""

import hashlib
import os
import tempfile

# The store is emptied of its oldest files until it holds no more than half of this, in bytes.
LIMIT = 256 << 20
_SUM = hashlib.sha256().digest_size


class Store:
    """Files in a directory, each with a checksum of its content.

    A file appears whole or not at all, and may be removed at any time. Where the disk is full or not writable, nothing
    is kept, which costs nothing but time.
    """

    def __init__(self, directory):
        self._directory = os.path.join(directory, "v1")
        self._tidied = False

    def get(self, key):
        """Returns the value, unless it is missing or damaged."""
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            return None
        value = content[_SUM:]
        if hashlib.sha256(value).digest() == content[:_SUM]:
            return value
        _remove(path)
        return None

    def put(self, key, value):
        """Keeps a value, if it can be kept."""
        path = self._path(key)
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            self._tidy()
            descriptor, part = tempfile.mkstemp(dir=self._directory, prefix="part-")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(hashlib.sha256(value).digest())
                    file.write(value)
                os.replace(part, path)
            except BaseException:
                _remove(part)
                raise
        except OSError:
            pass

    def _path(self, key):
        return os.path.join(self._directory, key)

    def _tidy(self):
        """Makes room, once per process."""
        if self._tidied:
            return
        self._tidied = True
        with os.scandir(self._directory) as entries:
            files = sorted((entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in entries)
        size = sum(size for _, size, _ in files)
        if size <= LIMIT:
            return
        for _, length, path in files:
            if size <= LIMIT // 2:
                return
            _remove(path)
            size -= length


def _remove(path):
    try:
        os.remove(path)
    except OSError:
        pass
