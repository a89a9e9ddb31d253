"""Writes what every task came to, in order, as lines to the file that `TARGET_RECORD` names."""

import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: recorder
type: aggregate
short_description: Record what tasks came to
description:
  - Records what every task came to.
"""


class CallbackModule(CallbackBase):
    """One line per result."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "recorder"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._file = open(os.environ["TARGET_RECORD"], "a", encoding="utf-8", errors="surrogateescape")

    def _record(self, status, result):
        told = result._result
        if status == "ok" and told.get("changed"):
            status = "changed"
        # With the names of what a module tells, less what Ansible adds by chance.
        names = sorted(name for name in told if not name.startswith("_ansible"))
        line = [result._task.get_name(), result._host.get_name(), status, " ".join(names)]
        print(": ".join(line).replace("\n", " "), file=self._file, flush=True)

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
