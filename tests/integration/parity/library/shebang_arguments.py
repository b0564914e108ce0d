#!/usr/bin/python3 -W error -B
import sys

from ansible.module_utils.basic import AnsibleModule

AnsibleModule(argument_spec={}).exit_json(changed=False, flags=[sys.flags.dont_write_bytecode, sys.warnoptions])
