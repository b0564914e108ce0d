"""Ansible on the mitogen runtime: connections that persist, and strategies that use them."""

__version__ = '0.1.0'
