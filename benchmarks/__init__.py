"""Side-by-side measurements of stock Ansible, the peer engine and this project."""
