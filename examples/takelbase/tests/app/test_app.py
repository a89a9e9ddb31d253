import json

import pytest


def test_service_runs_and_starts_at_boot(host):
    service = host.service("harbour")
    assert service.is_running
    assert service.is_enabled


def test_service_runs_as_its_own_user(host):
    assert host.process.get(comm="harbour").user == "harbour"


def test_configuration_is_not_for_everybody(host):
    config = host.file("/etc/harbour.json")
    assert (config.user, config.group, config.mode) == ("root", "harbour", 0o640)


@pytest.mark.parametrize(("berth", "depth"), [("north", 7), ("south", 4)])
def test_service_answers(host, berth, depth):
    program = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/', timeout=10).read().decode())"
    answer = json.loads(host.check_output("python3 -c %s", program))
    assert answer["berths"][berth] == depth
