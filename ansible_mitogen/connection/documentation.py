"""Options of a connection plugin that is another plugin's twin."""

import re


def under_name(documentation: str, name: str) -> str:
    """Return a stock plugin's documentation under our plugin's name.

    Ansible reads a plugin's options, with all variables and settings that they
    come from, from the module's DOCUMENTATION as it is when the plugin has been
    imported; so that a twin takes exactly the options of the stock plugin of
    the ansible-core that runs.
    """
    return re.sub(r'^(\s*name:) .*$', r'\1 ' + name, documentation, count=1, flags=re.MULTILINE)
