"""Starts one of Ansible's own programs with takelage's plugins and settings: `launch_ansible.py PROGRAM ARGUMENTS…`.

Directories of plugins and roles are added to those the user has configured, in this process only: setting Ansible's
variables for them would replace the user's.
"""

import configparser
import importlib
import json
import os
import sys

import takelage_acceleration
import takelage_bridge
from takelage_acceleration import ending

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = {
    "ansible": ("ansible.cli.adhoc", "AdHocCLI"),
    "ansible-galaxy": ("ansible.cli.galaxy", "GalaxyCLI"),
    "ansible-inventory": ("ansible.cli.inventory", "InventoryCLI"),
    "ansible-playbook": ("ansible.cli.playbook", "PlaybookCLI"),
}


def main():
    """Runs the program that the first argument names."""
    program = sys.argv[1]
    sys.argv = [program] + sys.argv[2:]
    cli = prepare(program)
    accelerate(program)
    run(cli)


def prepare(program):
    """Imports a program with all that takelage adds to it, and returns its class."""
    report = os.environ.get("TAKELAGE_REPORT")
    if os.environ.get("TAKELAGE_DIFF"):
        os.environ.setdefault("ANSIBLE_DIFF_ALWAYS", "1")
    settings = read_settings()
    if settings.get("config"):
        apply_config(settings["config"])
    # Before the first import of a program: old versions fix the collections' paths then.
    add_paths(settings.get("roles_path", []), settings.get("collections_path", []))
    cli = class_of_program(program)
    add_plugins()
    if report == "alone":
        report_alone()
    elif report == "beside":
        report_beside()
    if report:
        keep_stats()
        report_failures(cli)
    return cli


def class_of_program(program):
    """Imports a program and returns its class."""
    module, name = PROGRAMS[program]
    return getattr(importlib.import_module(module), name)


def run(cli):
    """Runs a program to its end, which is that of this process."""
    try:
        cli.cli_executor(sys.argv)
    except SystemExit as error:
        status = error.code
    else:
        status = None
    if takelage_acceleration.is_wanted():
        ending.end(status)
    sys.exit(status)


def accelerate(program):
    """Makes Ansible faster if takelage asks for it, or says once per playbook why not."""
    reason = takelage_acceleration.install()
    if reason and program == "ansible-playbook":
        takelage_bridge.Bridge().report(kind="note", level="info", message=reason)


def read_settings():
    """Returns what the project file says about Ansible, where it matters."""
    path = os.environ.get("TAKELAGE_SETTINGS")
    if not path:
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def apply_config(sections):
    """Makes the project file's `ansible.config` count as if it stood in `ansible.cfg`.

    A setting of Ansible itself is passed by its environment variable, so that relative paths are relative to the
    project; a variable that the user has set wins, as it does over `ansible.cfg`. The rest, options of plugins, is
    put into the parsed file.
    """
    from ansible.config import manager

    original = manager.ConfigManager.__init__

    def init(self, *args, **kwargs):
        original(self, *args, **kwargs)
        variables = variables_of(self._base_defs)
        rest = {}
        for section, values in sections.items():
            for key, value in values.items():
                names = variables.get((section, key))
                if not names:
                    rest.setdefault(section, {})[key] = value
                elif not any(name in os.environ for name in names):
                    os.environ[names[0]] = value
        if rest:
            put_into_parser(self, rest)

    manager.ConfigManager.__init__ = init


def variables_of(definitions):
    """Returns the environment variables of each setting that a section and key of `ansible.cfg` stand for."""
    variables = {}
    for definition in definitions.values():
        names = [entry["name"] for entry in definition.get("env") or []]
        for entry in definition.get("ini") or []:
            variables[entry["section"], entry["key"]] = names
    return variables


def put_into_parser(config, sections):
    """Adds sections to the parsed `ansible.cfg`, or stands in for it if there is none."""
    file = config._config_file
    if not file:
        file = config._config_file = os.path.join(os.getcwd(), "ansible.cfg")
    parser = config._parsers.setdefault(file, configparser.ConfigParser(inline_comment_prefixes=(";",)))
    for section, values in sections.items():
        if not parser.has_section(section) and section != parser.default_section:
            parser.add_section(section)
        for key, value in values.items():
            # The parser expands `%`, which is right in a file and wrong for a value that is meant as it is.
            parser.set(section, key, value.replace("%", "%%"))


def add_paths(roles, collections):
    """Has roles and collections of the project file found before those the user has configured."""
    from ansible import constants

    constants.DEFAULT_ROLES_PATH = list(roles) + list(constants.DEFAULT_ROLES_PATH or [])
    constants.COLLECTIONS_PATHS = list(collections) + list(constants.COLLECTIONS_PATHS or [])


def add_plugins():
    """Has takelage's plugins found after those the user has configured."""
    from ansible.plugins.loader import callback_loader, connection_loader

    connection_loader.add_directory(os.path.join(HERE, "plugins", "connection"))
    callback_loader.add_directory(os.path.join(HERE, "plugins", "callback"))


def report_alone():
    """Has the callback plugin report in place of the one that prints.

    Not by Ansible's variable for it, which an Ansible that a task starts on this host would find in its environment.
    """
    from ansible import constants

    constants.DEFAULT_STDOUT_CALLBACK = "takelage"


def report_beside():
    """Has the callback plugin report besides the one that prints, which stays as the user has it."""
    from ansible.executor.task_queue_manager import TaskQueueManager
    from ansible.plugins.loader import callback_loader

    original = TaskQueueManager.load_callbacks

    def load_callbacks(self):
        original(self)
        if getattr(self, "_takelage_reports", False):
            return
        self._takelage_reports = True
        plugin = callback_loader.get("takelage")
        if hasattr(plugin, "_init_callback_methods"):
            plugin._init_callback_methods()
        plugin.set_options()
        self._callback_plugins.append(plugin)

    TaskQueueManager.load_callbacks = load_callbacks


def keep_stats():
    """Lets the callback plugin see Ansible's counters, which tell a rescued failure from a plain one."""
    from ansible.executor.task_queue_manager import TaskQueueManager

    original = TaskQueueManager.__init__

    def init(self, *args, **kwargs):
        original(self, *args, **kwargs)
        takelage_bridge.stats = getattr(self, "_stats", None)

    TaskQueueManager.__init__ = init


def report_failures(cli):
    """Reports the exception with which Ansible gives up, before Ansible prints it."""
    original = cli.run

    def run(self):
        try:
            return original(self)
        except Exception as error:
            file, line, column = position(error)
            takelage_bridge.Bridge().report(
                kind="failure",
                **{"class": class_of(error)},
                message=message_of(error),
                file=file,
                line=line,
                column=column,
            )
            raise

    cli.run = run


def class_of(error):
    """Returns `AnsibleError` for anything Ansible raises on purpose, else the exception's own name."""
    from ansible.errors import AnsibleError

    return "AnsibleError" if isinstance(error, AnsibleError) else type(error).__name__


def message_of(error):
    """Returns the exception's message without the excerpt of the file that older versions append."""
    message = getattr(error, "_message", None)
    if not isinstance(message, str):
        message = getattr(error, "message", None)
    return str(message if isinstance(message, str) and message else error).strip()


def position(error):
    """Returns file, line and column of what the exception, or what caused it, is about."""
    while error is not None:
        place = position_of(getattr(error, "obj", None) or getattr(error, "_obj", None))
        if place:
            return place
        error = error.__cause__
    return None, None, None


def position_of(value):
    """Returns where a value stands in a file: a mark in old versions of Ansible, a tag in new ones."""
    if value is None:
        return None
    mark = getattr(value, "ansible_pos", None)
    if mark and mark[0]:
        return tuple(mark[:3])
    try:
        from ansible._internal._datatag._tags import Origin
    except ImportError:
        return None
    origin = value if isinstance(value, Origin) else Origin.get_tag(value)
    if origin is None or not origin.path:
        return None
    return str(origin.path), origin.line_num, origin.col_num


if __name__ == "__main__":
    main()
