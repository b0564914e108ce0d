"""A module of a role, which imports the role's own module_utils."""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.role_arithmetic import double


def main():
    module = AnsibleModule(argument_spec={'number': {'type': 'int', 'required': True}}, supports_check_mode=True)
    module.warn('a warning of the module')
    module.deprecate('a deprecation of the module', version='9.9', collection_name='ansible.builtin')
    module.exit_json(changed=False, doubled=double(module.params['number']))


if __name__ == '__main__':
    main()
