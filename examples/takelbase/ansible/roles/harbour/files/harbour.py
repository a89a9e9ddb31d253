#!/usr/bin/python3
"""Answers every request with the state of the harbour."""

import http.server
import json


class Office(http.server.BaseHTTPRequestHandler):
    """Tells the berths to whoever asks."""

    def do_GET(self):
        """Answers with the greeting and the berths, as JSON."""
        body = json.dumps({"greeting": CONFIG["greeting"], "berths": CONFIG["berths"]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


with open("/etc/harbour.json", encoding="utf-8") as file:
    CONFIG = json.load(file)

http.server.ThreadingHTTPServer(("", CONFIG["port"]), Office).serve_forever()
