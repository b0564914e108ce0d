"""What the integration tests stand on.

An sshd of their own, throw-away accounts, ansible-playbook in a clean
environment, and an account of what was left behind.
"""
