"""The command `ansible-mitogen`: what to write into ansible.cfg, what is wrong with a host, how much faster a play is.

It runs Ansible's own programs and reads what they print, and imports nothing of Ansible.
"""
