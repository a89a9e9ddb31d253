"""Stands in for the Python of Ansible and pytest: records how they are called, and does not run them.

Everything else that is asked of a Python is answered by the real one, which the first line of the installed copy names.
"""

import json
import os
import sys

import yaml

HERE = os.path.abspath(__file__)
RECORDED = ("ansible-playbook", "pytest")


def main():
    """Records a call of Ansible or pytest, or runs the real Python."""
    arguments = called(sys.argv[1:])
    program = os.path.basename(arguments[0]) if arguments else ""
    if program in RECORDED and arguments[1:] != ["--version"]:
        record(program, arguments[1:])
        return
    arguments = sys.argv[1:]
    if arguments[:1] == ["-c"] and "importlib" in arguments[1]:
        # What looks for a Python must find this one.
        arguments[1] = f"import sys; sys.executable = {HERE!r}\n{arguments[1]}"
    os.execv(os.environ["RECORDER_PYTHON"], [os.environ["RECORDER_PYTHON"]] + arguments)


def called(arguments):
    """Returns a program and its arguments, whoever launches it."""
    launcher = os.path.basename(arguments[0]) if arguments else ""
    if launcher == "launch_ansible.py":
        return arguments[1:]
    if launcher == "launch_pytest.py":
        return ["pytest"] + arguments[1:]
    return arguments


def record(program, arguments):
    """Writes a call, with all files that Molecule generates for it, as one line."""
    call = {
        "argv": [program] + arguments,
        "cwd": os.getcwd(),
        "env": {name: value for name, value in os.environ.items() if name.startswith(("MOLECULE_", "ANSIBLE_"))},
        "files": generated(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]),
    }
    with open(os.environ["RECORDER_LOG"], "a", encoding="utf-8") as log:
        log.write(json.dumps(call, default=str) + "\n")


def generated(directory):
    """Returns the generated files: links as what they lead to, YAML as what it means, the rest as it is."""
    files = {}
    for root, directories, names in os.walk(directory):
        for name in directories + names:
            path = os.path.join(root, name)
            inner = os.path.relpath(path, directory)
            if os.path.islink(path):
                files[inner] = {"link": os.path.realpath(path)}
            elif os.path.isfile(path) and name != "state.yml":
                with open(path, encoding="utf-8") as file:
                    text = file.read()
                files[inner] = lines(text) if name.endswith(".cfg") else yaml.safe_load(text)
    return files


def lines(text):
    """Returns the lines of a file that say something."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


if __name__ == "__main__":
    main()
