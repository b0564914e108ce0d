"""What the role has made, seen from outside of Ansible."""


def test_the_settings_belong_to_the_account(host):
    settings = host.file('/opt/sample/etc/sample.conf')
    assert (settings.user, settings.mode) == ('sample', 0o640)
    assert settings.contains('port = 8080')


def test_a_handler_has_applied_the_settings(host):
    assert host.file('/opt/sample/data/applied.conf').content == host.file('/opt/sample/etc/sample.conf').content


def test_the_package_is_installed(host):
    assert host.package('tree').is_installed


def test_the_account_runs_the_program(host):
    assert host.user('sample').shell == '/bin/bash'
    assert host.run('su sample -c /usr/local/bin/sample').stdout == 'sample runs as sample\n'
