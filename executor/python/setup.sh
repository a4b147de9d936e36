#!/bin/sh
# Makes the Python environment that programs run in: a virtual environment in TARGET_DIR with
# exactly what requirements.lock names, and a warm Matplotlib font cache in TARGET_DIR/mplconfig.
#
#   setup.sh TARGET_DIR          PYTHON=/path/to/python3 chooses the interpreter
#
# Running it again is instant while nothing has changed. The stamp is written last, so that an
# interrupted run is done again.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
lock="$here/requirements.lock"

say() { printf 'python: %s\n' "$*" >&2; }
die() { printf 'python: error: %s\n' "$*" >&2; exit 1; }

[ $# -eq 1 ] || die "usage: setup.sh TARGET_DIR"
target=$1

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    found=$("${PYTHON:-python3}" --version 2>&1) || found="no ${PYTHON:-python3}"
    die "Python 3.11 or newer is needed, found: $found.
Install it (Debian, Ubuntu: apt-get install python3 python3-venv; Fedora: dnf install python3),
or name another one: PYTHON=/path/to/python3"
}

python=$(find_python)
"$python" -c 'import ensurepip, venv' 2>/dev/null || die "$python cannot make virtual environments.
Install its venv module (Debian, Ubuntu: apt-get install python3-venv)"

wanted=$({ cat "$lock" "$0"; "$python" -VV; echo "$python"; } | cksum)
if [ "$(cat "$target/.stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

say "making the environment in $target with $("$python" --version)"
# Only what this script makes is removed: the folder may hold something else by mistake.
for made in .stamp bin include lib lib64 share mplconfig uv.lock pyvenv.cfg; do
    rm -rf "${target:?}/$made"
done
"$python" -m venv "$target"
inside="$target/bin/python"

say "installing uv"
uv_lock="$target/uv.lock"
awk '/^[A-Za-z0-9]/ { wanted = /^uv==/ } wanted' "$lock" > "$uv_lock"
"$inside" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
    --require-hashes -r "$uv_lock"

# Runs never write byte code, so it is made here; without it every import would compile.
say "installing $(grep -c '^[A-Za-z0-9].*==' "$lock") packages, a minute or two the first time"
"$target/bin/uv" pip sync --python "$inside" --only-binary :all: --require-hashes \
    --compile-bytecode "$lock"

say "warming the font cache"
mkdir -p "$target/mplconfig"
MPLCONFIGDIR="$target/mplconfig" MPLBACKEND=Agg "$inside" -I -c '
import io
import matplotlib.pyplot as pyplot

pyplot.title("warm")
pyplot.savefig(io.BytesIO())
'

printf '%s\n' "$wanted" > "$target/.stamp"
say "ready"
