def test_release(host):
    assert host.file("/etc/os-release").contains("VERSION_CODENAME=bookworm")


def test_certificates_are_trusted(host):
    assert host.package("ca-certificates").is_installed
    assert host.file("/etc/ssl/certs/ca-certificates.crt").size > 0


def test_packages_are_configured(host):
    assert host.run("dpkg --audit").stdout == ""
