"""What runs on a target for Ansible: Python 3.6 and its standard library only."""
