"""Ansible connections backed by contexts that persist: a mixin over each stock connection class."""
