"""Reports to takelage what Ansible does: plays, tasks, items, results and totals, as data instead of as text."""

from __future__ import annotations

import itertools
import json
import time

from ansible import constants as C
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback import CallbackBase

import takelage_bridge

DOCUMENTATION = """
name: takelage
type: stdout
short_description: Report to takelage
description:
  - Sends what happens to the takelage that started Ansible. Prints nothing.
"""

# Characters of one text that are reported; of more, the beginning and the end. A whole report must fit into a frame's
# header of one MiB, at up to six bytes a character.
LIMIT = 32 * 1024
WARNINGS = 20
SHORT = 1024

# What is reported in a place of its own, or is nobody's result.
KNOWN = {
    "ansible_facts", "attempts", "changed", "cmd", "delta", "deprecations", "diff", "end", "exception", "failed",
    "invocation", "item", "msg", "rc", "retries", "skip_reason", "skipped", "start", "stderr", "stderr_lines",
    "stdout", "stdout_lines", "unreachable", "warnings",
}


class CallbackModule(CallbackBase):
    """Takes the place of the callback that prints; callbacks that the user enables besides it stay."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "takelage"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._bridge = takelage_bridge.Bridge()
        self._tasks = {}
        self._started = {}
        self._rescued = {}

    # What begins.

    def v2_playbook_on_play_start(self, play):
        inventory = play.get_variable_manager()._inventory
        hosts = [host.get_name() for host in inventory.get_hosts(play.hosts)]
        if hosts:
            self._send(kind="play", name=play.get_name().strip(), hosts=hosts)
        else:
            pattern = play.hosts if isinstance(play.hosts, str) else ",".join(map(str, play.hosts))
            self._send(kind="no_hosts", pattern=pattern, hosts=sorted(inventory.hosts), groups=sorted(inventory.groups))

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._begin(task)

    def v2_playbook_on_cleanup_task_start(self, task):
        self._begin(task)

    def v2_playbook_on_handler_task_start(self, task):
        self._begin(task, handler=True)

    def v2_runner_on_start(self, host, task):
        self._started[host.get_name(), task._uuid] = time.monotonic()

    def v2_playbook_on_vars_prompt(self, varname, private=True, prompt=None, *args, **kwargs):
        self._send(kind="note", level="info", message=f"Ansible asks: {prompt or varname}")

    # Results of tasks.

    def v2_runner_on_ok(self, result):
        self._finish(result, "changed" if self._result_of(result).get("changed") else "ok")

    def v2_runner_on_skipped(self, result):
        self._finish(result, "skipped")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._finish(result, "ignored" if ignore_errors else "rescued" if self._is_rescued(result) else "failed")

    def v2_runner_on_unreachable(self, result):
        ignored = self._fields_of(result).get("ignore_unreachable")
        self._finish(result, "ignored" if ignored else "unreachable")

    # Results of items.

    def v2_runner_item_on_ok(self, result):
        self._finish(result, "changed" if self._result_of(result).get("changed") else "ok", item=True)

    def v2_runner_item_on_skipped(self, result):
        self._finish(result, "skipped", item=True)

    def v2_runner_item_on_failed(self, result):
        ignored = self._fields_of(result).get("ignore_errors")
        self._finish(result, "ignored" if ignored else "failed", item=True)

    # What takes time.

    def v2_runner_retry(self, result):
        answer = self._result_of(result)
        self._again(result, "retry", answer.get("attempts", 0), answer.get("retries"))

    def v2_runner_on_async_poll(self, result):
        self._again(result, "wait", 0, None)

    # Totals.

    def v2_playbook_on_stats(self, stats):
        for host in sorted(stats.processed):
            summary = stats.summarize(host)
            names = {"failures": "failed"}
            totals = {names.get(name, name): count for name, count in summary.items()}
            self._send(kind="recap", host=host, totals=totals)

    # Below: how.

    def _send(self, **event):
        try:
            self._bridge.report(**event)
        except takelage_bridge.BridgeError as error:
            if error.kind == "protocol":
                # A report that takelage does not understand is no reason to stop; Ansible prints the error.
                raise
            # Ansible only warns about a callback that fails. Without takelage there is nobody to work for.
            raise KeyboardInterrupt(f"takelage is gone: {error}") from error

    def _begin(self, task, handler=False):
        self._tasks[task._uuid] = self._describe(task, handler)
        self._send(kind="task", task=self._tasks[task._uuid])

    @staticmethod
    def _describe(task, handler=False):
        return {
            "id": task._uuid,
            "name": limited(task.get_name().strip(), SHORT),
            "action": getattr(task, "resolved_action", None) or task.action,
            "path": task.get_path() or "",
            "handler": handler,
        }

    def _task_of(self, task):
        return self._tasks.get(task._uuid) or self._describe(task)

    def _finish(self, result, status, item=False):
        answer, task, host = self._result_of(result), result._task, result._host.get_name()
        event = {
            "kind": "result",
            "task": self._task_of(task),
            "host": host,
            "status": status,
            "output": self._output(result, answer, status, item),
        }
        if item:
            event["item"] = self._label(answer)
        else:
            started = self._started.pop((host, task._uuid), None)
            event["took"] = time.monotonic() - started if started is not None else 0
        self._send(**event)

    def _again(self, result, what, done, total):
        self._send(
            kind="again",
            task=self._task_of(result._task),
            host=result._host.get_name(),
            what="{}: {}".format(what, self._task_of(result._task)["name"]),
            done=done,
            total=total,
        )

    def _is_rescued(self, result):
        """Ansible counts a failure as rescued just before it reports it, and tells it nowhere else."""
        host = result._host.get_name()
        rescued = getattr(takelage_bridge.stats, "rescued", {}).get(host, 0)
        before, self._rescued[host] = self._rescued.get(host, 0), rescued
        return rescued > before

    def _label(self, answer):
        if "censored" in answer:
            return "(censored due to no_log)"
        label = self._get_item_label(answer)
        return limited(label if isinstance(label, str) else dump(label))

    def _output(self, result, answer, status, item):
        if "censored" in answer:
            # Whatever else came through belongs to the same secret.
            return {"message": answer["censored"]}
        whole_loop = not item and "results" in answer and getattr(result._task, "loop", None) is not None
        output = {
            "message": self._message(result, answer, status, whole_loop),
            "stdout": limited(text(answer.get("stdout") or answer.get("module_stdout"))),
            "stderr": limited(text(answer.get("stderr") or answer.get("module_stderr"))),
            "warnings": [limited(text(w), SHORT) for w in itertools.islice(warnings_of(answer), WARNINGS)],
        }
        if isinstance(answer.get("rc"), int) and not isinstance(answer["rc"], bool):
            output["status"] = answer["rc"]
        if answer.get("diff") and self._fields_of(result).get("diff") and not whole_loop:
            output["diff"] = limited(self._get_diff(answer["diff"]))
        return output

    def _message(self, result, answer, status, whole_loop):
        if isinstance(result._task, TaskInclude) and "include" in answer:
            return "includes {}".format(answer["include"])
        if status == "skipped":
            reason = text(answer.get("skip_reason") or answer.get("skipped_reason") or answer.get("msg"))
            condition = answer.get("false_condition")
            return limited(f"{reason}: {condition}" if condition is not None else reason)
        if answer.get("msg") not in (None, ""):
            return limited(text(answer["msg"]))
        if whole_loop or "results" in answer:
            return ""
        rest = {key: value for key, value in answer.items() if key not in KNOWN and not key.startswith("_ansible")}
        wanted = (
            result._task.action in C._ACTION_DEBUG
            or self._display.verbosity > 0
            or (status in ("failed", "unreachable") and "rc" not in answer)
        )
        return limited(dump(rest)) if wanted and rest else ""

    @staticmethod
    def _result_of(result):
        return result._result

    @staticmethod
    def _fields_of(result):
        return getattr(result, "_task_fields", None) or {}


def text(value):
    """Returns a value as text: itself, or as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else dump(value)


def dump(value):
    """Returns a value as JSON for people."""
    return json.dumps(value, default=str, ensure_ascii=False, indent=2, sort_keys=True)


def limited(value, limit=LIMIT):
    """Returns a text with its middle left out if it is very long, and without what JSON cannot carry."""
    value = value.encode("utf-8", "replace").decode("utf-8")
    if len(value) <= limit:
        return value
    half = limit // 2
    return f"{value[:half]}\n[… {len(value) - 2 * half} characters left out …]\n{value[-half:]}"


def warnings_of(answer):
    """Returns the warnings and deprecations that came with a result."""
    yield from answer.get("warnings") or []
    for deprecation in answer.get("deprecations") or []:
        yield deprecation.get("msg", deprecation) if isinstance(deprecation, dict) else deprecation
