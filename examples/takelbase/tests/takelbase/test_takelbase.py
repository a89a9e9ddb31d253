def test_python(host):
    assert host.run("python3 --version").rc == 0


def test_system_is_running(host):
    assert host.check_output("systemctl is-system-running") == "running"


def test_systemd_is_the_first_process(host):
    assert host.process.get(pid=1).comm == "systemd"


def test_language(host):
    assert host.environment()["LANG"] == "C.UTF-8"
