"""Run by an interpreter to tell what it is, as JSON on standard output. Standard library only, Python 3.6 syntax."""

import json
import os
import platform
import sys
import sysconfig


def full_version(info):
    version = "{0.major}.{0.minor}.{0.micro}".format(info)
    return version if info.releaselevel == "final" else version + info.releaselevel[0] + str(info.serial)


def main():
    implementation = sys.implementation
    paths = sysconfig.get_paths()
    print(
        json.dumps(
            {
                "version": "{0.major}.{0.minor}.{0.micro}".format(sys.version_info),
                "implementation": implementation.name,
                "markers": {
                    "implementation_name": implementation.name,
                    "implementation_version": full_version(implementation.version),
                    "os_name": os.name,
                    "platform_machine": platform.machine(),
                    "platform_python_implementation": platform.python_implementation(),
                    "platform_release": platform.release(),
                    "platform_system": platform.system(),
                    "platform_version": platform.version(),
                    "python_full_version": platform.python_version(),
                    "python_version": ".".join(platform.python_version_tuple()[:2]),
                    "sys_platform": sys.platform,
                },
                "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
                "platform": sysconfig.get_config_var("MULTIARCH") or "",
                "bits": 64 if sys.maxsize > 2**32 else 32,
                "conda": os.path.isdir(os.path.join(sys.base_prefix, "conda-meta")),
                "prefix": sys.prefix,
                "base_prefix": sys.base_prefix,
                "site_packages": paths["platlib"],
            }
        )
    )


main()
