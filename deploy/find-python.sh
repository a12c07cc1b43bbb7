#!/bin/sh
# Prints the Python that suits the platform best: the newest on the PATH that the locked wheels are made for and that can
# make a virtual environment. Prints nothing where there is none.
#
# Of several of one version the quickest: where the interpreter is a shared library that was built without
# -fno-semantic-interposition, as version managers often build it, it calls its own functions through a table, and
# plain Python takes a sixth to a third longer.

check='
import importlib.util, sys, sysconfig
if sys.version_info < (3, 11) or importlib.util.find_spec("ensurepip") is None:
    sys.exit(1)
try:
    maps = open("/proc/self/maps").read()
except OSError:
    maps = ""
flags = " ".join(str(sysconfig.get_config_var(name)) for name in ("PY_CFLAGS", "PY_CFLAGS_NODIST"))
sys.exit(3 if "libpython" in maps and "no-semantic-interposition" not in flags else 0)
'

for name in python3.13 python3.12 python3.11 python3; do
  slow=
  IFS=:
  for folder in $PATH; do
    python=$folder/$name
    [ -x "$python" ] || continue
    # It must really run: some names are only pointers of a version manager.
    "$python" -c "$check" 2>/dev/null
    case $? in
      0) echo "$python"; exit ;;
      3) slow=${slow:-$python} ;;
    esac
  done
  unset IFS
  if [ -n "$slow" ]; then
    echo "$slow"
    exit
  fi
done
