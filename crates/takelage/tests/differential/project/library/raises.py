"""A module that ends by an exception, or without a result: `how: exception | silence | noise`."""

import sys

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule({"how": {"type": "str", "required": True}})
    if module.params["how"] == "exception":
        raise RuntimeError("the mast broke")
    if module.params["how"] == "noise":
        print("noise before the result")
        sys.stderr.write("noise on standard error\n")
        module.exit_json(changed=True, warnings=["a warning"], ansible_facts={"noise": "made"})
    sys.exit(3)


if __name__ == "__main__":
    main()
