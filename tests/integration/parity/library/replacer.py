#!/usr/bin/python3
def main():
    module = AnsibleModule(argument_spec={'word': {'type': 'str'}}, supports_check_mode=True)  # noqa: F821
    module.exit_json(changed=False, word=module.params['word'], check=module.check_mode)


#<<INCLUDE_ANSIBLE_MODULE_COMMON>>
main()
