"""Names under which Ansible knows us."""

#: What the callback that is our switch may be called: as a file in a configured folder, and in the collection.
CALLBACK_NAMES = frozenset(['mitogen', 'mitogen.ansible.mitogen'])
