"""Reports every check to takelage, and lets checks reach takelage's containers."""

import os

import pytest

import takelage_testinfra
from takelage_bridge import Bridge

# Characters of one text that are reported; of more, the beginning and the end.
LIMIT = 32 * 1024


def pytest_configure(config):
    """Makes the containers known to testinfra, and starts reporting unless this is a worker of another pytest."""
    takelage_testinfra.install(bare_names=config.getoption("connection", None) is None)
    if config.getoption("ansible_inventory", None) is None:
        config.option.ansible_inventory = os.environ["TAKELAGE_INVENTORY"]
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Reporter(config), "takelage_reporter")


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc):
    """Runs modules that name no hosts against takelage's, instead of against this machine."""
    option = metafunc.config.option
    named = getattr(option, "hosts", None) is not None or getattr(option, "connection", None) is not None
    if "_testinfra_host" in metafunc.fixturenames and not named and not hasattr(metafunc.module, "testinfra_hosts"):
        metafunc.module.testinfra_hosts = os.environ["TAKELAGE_HOSTS"].split(",")


class Reporter:
    """Folds the three phases of a check into one result."""

    def __init__(self, config):
        self._bridge = Bridge()
        self._root = str(config.rootpath)
        self._phases = {}
        self._deselected = 0

    def pytest_deselected(self, items):
        """Counts what the options leave out."""
        self._deselected += len(items)

    def pytest_collectreport(self, report):
        """Reports a file that cannot be collected, or is skipped as a whole."""
        if report.failed or report.skipped:
            status = "error" if report.failed else "skipped"
            path = os.path.join(self._root, report.nodeid.split("::")[0])
            self._send(report.nodeid, path, status, 0, message_of(report), "")

    def pytest_runtest_logreport(self, report):
        """Keeps a phase, and reports the check after the last one."""
        phases = self._phases.setdefault(report.nodeid, [])
        phases.append(report)
        if report.when == "teardown":
            del self._phases[report.nodeid]
            self._finish(report.nodeid, phases)

    def pytest_sessionfinish(self):
        """Reports checks that never came to their end, and the end."""
        for nodeid, phases in self._phases.items():
            self._finish(nodeid, phases)
        self._bridge.report(kind="session", deselected=self._deselected)

    def _finish(self, nodeid, phases):
        if any(phase.outcome == "rerun" for phase in phases):
            return
        status, cause = "passed", None
        for phase in phases:
            ended = status_of(phase)
            if SEVERITY.index(ended) > SEVERITY.index(status):
                status, cause = ended, phase
        file, line, _ = phases[0].location
        path = os.path.normpath(os.path.join(self._root, file))
        if line is not None:
            path = f"{path}:{line + 1}"
        took = sum(phase.duration for phase in phases)
        message, output = "", ""
        if cause is not None:
            message = message_of(cause)
            output = "\n".join("{}\n{}".format(title, text.rstrip("\n")) for title, text in phases[-1].sections)
        self._send(nodeid, path, status, took, message, output)

    def _send(self, nodeid, path, status, took, message, output):
        check = {
            "id": nodeid,
            "path": path,
            "status": status,
            "took": took,
            "message": limited(message),
            "output": limited(output),
        }
        self._bridge.report(kind="check", check=check)


# From what is good to what is bad; the worst phase decides.
SEVERITY = ["passed", "skipped", "x_failed", "x_passed", "error", "failed"]


def status_of(phase):
    """Returns how one phase ended."""
    expected = hasattr(phase, "wasxfail")
    if phase.passed:
        return "x_passed" if expected else "passed"
    if phase.skipped:
        return "x_failed" if expected else "skipped"
    return "failed" if phase.when == "call" else "error"


def message_of(report):
    """Returns the reason for anything but success, as pytest formats it."""
    if getattr(report, "wasxfail", None):
        return str(report.wasxfail)
    if isinstance(report.longrepr, tuple):
        reason = report.longrepr[2]
        return reason.removeprefix("Skipped: ")
    return str(getattr(report, "longreprtext", "") or report.longrepr or "")


def limited(value):
    """Returns a text with its middle left out if it is very long, and without what JSON cannot carry."""
    value = value.encode("utf-8", "replace").decode("utf-8")
    if len(value) <= LIMIT:
        return value
    half = LIMIT // 2
    return f"{value[:half]}\n[… {len(value) - 2 * half} characters left out …]\n{value[-half:]}"
