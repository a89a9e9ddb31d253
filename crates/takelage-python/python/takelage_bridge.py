"""The socket to takelage: commands and files in containers, and reports of what happens.

The frames are those of takelage's own protocol: a big-endian length of four bytes, a JSON header of that
length, then the bytes that the header announces.
"""

import io
import json
import os
import shutil
import socket
import struct

VERSION = 1
_PIECE = 1 << 16

# The running playbook's counters, put here by the launcher for the callback plugin.
stats = None


class BridgeError(Exception):
    """takelage could not do what it was asked to; the command itself never started or its end is unknown."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


class Bridge:
    """A connection of this process. A fork opens its own, because a shared stream would mix frames."""

    def __init__(self, path=None):
        self._path = path or os.environ["TAKELAGE_SOCKET"]
        self._stream = None
        self._owner = None

    def run(self, host, argv, user=None, stdin=b"", zygote=None, task=None):
        """Runs a command and returns its exit status, standard output and standard error.

        A warm interpreter may run `stdin`, a Python program, in its place. `task` says what the command is for.
        """
        header = {"op": "exec", "host": host, "argv": argv, "user": user, "stdin": len(stdin)}
        header.update(zygote=zygote, task=task)
        reply, stream = self._ask(header, io.BytesIO(stdin), "exit")
        stdout, stderr = (self._receive(stream, length) for length in reply["lengths"])
        return reply["status"], stdout, stderr

    def put(self, host, path, file, user=None, task=None):
        """Writes what is left of an open binary file into a container."""
        start = file.tell()
        length = file.seek(0, io.SEEK_END) - start
        file.seek(start)
        header = {"op": "put", "host": host, "user": user, "path": path, "length": length, "task": task}
        self._ask(header, file, "done")

    def get(self, host, path, file, task=None):
        """Writes the content of a file in a container to an open binary file."""
        reply, stream = self._ask({"op": "get", "host": host, "path": path, "task": task}, None, "file")
        left = reply["length"]
        while left:
            piece = stream.read(min(left, _PIECE))
            if not piece:
                raise self._broken("the connection ended within a file")
            file.write(piece)
            left -= len(piece)

    def report(self, **event):
        """Tells takelage what happened and waits until it knows."""
        self._ask({"op": "event", "event": event}, None, "done")

    def close(self):
        """Closes the connection, if it is this process's own."""
        stream, self._stream = self._stream, None
        if stream is not None and self._owner == os.getpid():
            stream.close()

    def _ask(self, header, blob, expected):
        stream = self._open()
        try:
            self._send(stream, header, blob)
            reply = self._reply(stream)
        except UnicodeEncodeError as error:
            raise BridgeError("protocol", f"only UTF-8 can be passed to a container: {error}") from error
        except OSError as error:
            raise self._broken(f"the connection to takelage broke: {error}") from error
        if reply["reply"] == "error":
            raise BridgeError(reply["kind"], reply["message"])
        if reply["reply"] != expected:
            raise self._broken("takelage answers `{}` instead of `{}`".format(reply["reply"], expected))
        return reply, stream

    def _open(self):
        if self._stream is not None and self._owner == os.getpid():
            return self._stream
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            client.connect(self._path)
            # Unbuffered writes, buffered reads; the file keeps the socket open.
            stream = client.makefile("rwb")
            self._send(stream, {"op": "hello", "version": VERSION}, None)
            reply = self._reply(stream)
        except OSError as error:
            raise BridgeError("unreachable", f"takelage does not answer: {error}") from error
        finally:
            client.close()
        if reply["reply"] != "done":
            raise BridgeError(reply.get("kind", "protocol"), reply.get("message", "takelage refuses the connection"))
        self._stream, self._owner = stream, os.getpid()
        return stream

    @staticmethod
    def _send(stream, header, blob):
        # A report may lose what is no text; a command that would be another one is refused.
        errors = "replace" if header["op"] == "event" else "strict"
        text = json.dumps(header, ensure_ascii=False).encode("utf-8", errors)
        stream.write(struct.pack(">I", len(text)))
        stream.write(text)
        if blob is not None:
            shutil.copyfileobj(blob, stream, _PIECE)
        stream.flush()

    def _reply(self, stream):
        (length,) = struct.unpack(">I", self._receive(stream, 4))
        return json.loads(self._receive(stream, length))

    def _receive(self, stream, length):
        data = stream.read(length)
        if len(data) != length:
            raise self._broken("takelage closed the connection")
        return data

    def _broken(self, message):
        self.close()
        return BridgeError("unreachable", message)
