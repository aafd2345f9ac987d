#!/bin/sh
# paddle-bootstrap bundle
# Run me:     sh FILE [--into DIR] [--allowed-signers FILE] [up|install|fetch] [its arguments]
# Judge me:   paddle-bootstrap bundle verify FILE        or, without the tool, before anything of me is run:
#   tail -c +65537 FILE | tar -xf - manifest.json manifest.json.sig      (tar stops early: that is fine)
#   ssh-keygen -Y verify -f ALLOWED -I WHO -n paddle-bootstrap -s manifest.json.sig < manifest.json
#   head -c 65536 FILE | sha256sum             # must be "head" in manifest.json; this script then judges the rest
for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8; do
    if "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
        exec "$python" -I -c '
import sys, types
with open(sys.argv[1], "rb") as file:
    text = file.read(65536).decode()
for name in ("paddle_bootstrap", "paddle_bootstrap.bundle"):
    sys.modules[name] = types.ModuleType(name)
for part in text.split("\n#--- ")[1:]:
    name, _, source = part.partition("\n")
    module = sys.modules[name] = types.ModuleType(name)
    setattr(sys.modules["paddle_bootstrap.bundle"], name.rpartition(".")[2], module)
    exec(compile(source, sys.argv[1] + " " + name, "exec"), module.__dict__)
sys.exit(module.main(sys.argv[1:]))
' "$0" "$@"
    fi
done
echo "error: python3 3.8 or newer is needed to unpack this bundle, and none is here" >&2
echo "next:  install it (Debian, Ubuntu: apt-get install python3), or unpack on another host" >&2
exit 10
