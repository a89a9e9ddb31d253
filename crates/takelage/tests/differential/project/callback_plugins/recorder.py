"""Writes every result that callbacks see, in order, as JSON lines to the file that `DIFFERENTIAL_RECORD` names."""

import json
import os

from ansible.parsing.ajson import AnsibleJSONEncoder
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: recorder
type: aggregate
short_description: Record results
description:
  - Records every result.
"""


class CallbackModule(CallbackBase):
    """One line per result."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "recorder"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._file = open(os.environ["DIFFERENTIAL_RECORD"], "w", encoding="utf-8", errors="surrogateescape")

    def _write(self, event, name, host, result):
        line = {"event": event, "task": name, "host": host, "result": result}
        print(json.dumps(line, cls=AnsibleJSONEncoder, sort_keys=True), file=self._file, flush=True)

    def _record(self, event, result):
        self._write(event, result._task.get_name(), result._host.get_name(), result._result)

    def v2_playbook_on_handler_task_start(self, task):
        self._write("handler", task.get_name(), None, None)

    def v2_playbook_on_notify(self, handler, host):
        self._write("notify", handler.get_name(), host.get_name(), None)

    def v2_playbook_on_include(self, included_file):
        self._write("include", os.path.basename(included_file._filename), None, None)

    def v2_runner_on_ok(self, result):
        self._record("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._record("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_skipped(self, result):
        self._record("skipped", result)

    def v2_runner_on_unreachable(self, result):
        self._record("unreachable", result)

    def v2_runner_item_on_ok(self, result):
        self._record("item ok", result)

    def v2_runner_item_on_failed(self, result):
        self._record("item failed", result)

    def v2_runner_item_on_skipped(self, result):
        self._record("item skipped", result)

    def v2_playbook_on_stats(self, stats):
        for host in sorted(stats.processed):
            self._write("stats", "", host, stats.summarize(host))
