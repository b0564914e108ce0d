"""The multiplexer: a program of its own that owns all connections of one ansible-playbook.

Ansible is never imported here. Plugins use :mod:`ansible_mitogen.mux.client`, and
:mod:`ansible_mitogen.mux.launcher` to have a multiplexer running.
"""
