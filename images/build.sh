#!/usr/bin/env bash
# Builds an image as a docker-archive, without a registry and without a container engine:
#
#   images/build.sh control  FILE     operator and shim       localhost/carrel:VERSION
#   images/build.sh executor FILE     what runs in sandboxes  localhost/carrel-executor:VERSION
#
# FILE may be -, the standard output.
#
# The same inputs as the Containerfile: the two package lists, executor/python and the binaries of `cargo build
# --release`. The first layer is Debian and Python, kept by what it is made of; the second holds the binaries, so
# that a change of the code makes a small layer only. Needs root (file owners), mmdebstrap and network.
set -euo pipefail
# A layer is made in a command substitution, which would go on after an error.
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/.." && pwd)
store=$top/target/images
suite=trixie
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$top/Cargo.toml" | head -n 1)
# Nothing in a layer is younger than this, so the same content makes the same layer.
epoch=1767225600
export SOURCE_DATE_EPOCH=$epoch

say() { printf 'images: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

packages() { grep -v '^#' "$here/$1.packages" | paste -sd,; }

debian() { # VARIANT NAME ROOT [OPTION...]
    local variant=$1 name=$2 root=$3
    shift 3
    # No documentation and no translations; copyright files stay.
    mmdebstrap --quiet --variant="$variant" --include="$(packages "$name")" \
        --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        "$@" "$suite" "$root"
}

# Extracted only: two programs need no shell, no package manager and no maintainer scripts.
control_base() { # ROOT
    debian extract control "$1"
    ln -s usr/lib "$1/lib"
    ln -s usr/lib64 "$1/lib64"
    mkdir -p "$1/etc/ssl/certs" "$1/tmp"
    cat "$1"/usr/share/ca-certificates/mozilla/*.crt >"$1/etc/ssl/certs/ca-certificates.crt"
    echo 'carrel:x:65532:65532:carrel:/nonexistent:/sbin/nologin' >"$1/etc/passwd"
    echo 'carrel:x:65532:' >"$1/etc/group"
    rm -rf "$1"/var/{cache,lib/{apt,dpkg},log}
}

executor_base() { # ROOT
    debian minbase executor "$1"
    echo 'sandbox:x:65532:65532:sandbox:/tmp:/bin/bash' >>"$1/etc/passwd"
    echo 'sandbox:x:65532:' >>"$1/etc/group"
    python_environment "$1"
    rm -rf "$1"/var/{cache,log}/* "$1"/var/lib/apt/lists/* "$1"/tmp/* "$1/etc/resolv.conf" "$1/etc/hostname"
    # A cache of fonts is believed only while their folders have the age they had, so these get the last one first.
    find "$1"/usr/{,local/}share/fonts -newermt "@$epoch" -exec touch --no-dereference --date="@$epoch" {} +
    chroot "$1" fc-cache --system-only
}

# The packages are fetched from outside, where the network is set up; only what compiles and warms runs inside.
python_environment() { # ROOT
    local root=$1 minor site uv=$top/target/python/bin/uv
    [ -x "$uv" ] || die "target/python is missing: make build"
    minor=$(chroot "$root" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    site=$root/opt/carrel/python/lib/python$minor/site-packages
    chroot "$root" python3 -m venv --without-pip /opt/carrel/python
    # --target refuses to run without an interpreter of that version; resolving is done, hashes hold what is taken.
    "$uv" pip install --quiet --no-deps --only-binary :all: --require-hashes --link-mode copy \
        --python "$top/target/python/bin/python" --python-version "$minor" --target "$site" \
        --requirements "$top/executor/python/requirements.lock"
    mv "$site/bin/uv" "$root/opt/carrel/python/bin/uv"
    # The commands of packages, which name the folder they were made in, and a second ffmpeg.
    rm -rf "${site:?}/bin" "$site"/imageio_ffmpeg/binaries/ffmpeg-*
    sed -i '/^bin\//d' "$site"/*.dist-info/RECORD
    # Unchecked hashes instead of times, and one order of sets: the byte code of the same source is the same file.
    chroot "$root" env PYTHONHASHSEED=0 /opt/carrel/python/bin/python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        "/opt/carrel/python/lib/python$minor/site-packages"
    chroot "$root" env PYTHONHASHSEED=0 MPLCONFIGDIR=/opt/carrel/python/mplconfig MPLBACKEND=Agg /opt/carrel/python/bin/python3 -s -P -c \
        'import io; from matplotlib import pyplot; pyplot.title("warm"); pyplot.savefig(io.BytesIO())'
}

control_binaries() { # ROOT
    install -D -m 0755 -t "$1/usr/bin" "$top"/target/release/carrel-operator "$top"/target/release/carrel-api-shim
}

executor_binaries() { # ROOT
    install -D -m 0755 "$top/target/release/executor" "$1/usr/bin/carrel-executor"
    install -D -m 0755 -t "$1/opt/carrel/bin" "$here"/programs/*
}

config() { # NAME
    case $1 in
        control) echo '{"User":"65532:65532","Env":["PATH=/usr/bin"],"WorkingDir":"/tmp"}' ;;
        executor) echo '{"User":"65532:65532","WorkingDir":"/tmp","Entrypoint":["/usr/bin/carrel-executor"],' \
            '"Env":["PATH=/opt/carrel/python/bin:/opt/carrel/bin:/usr/bin:/bin","CARREL_PYTHON=/opt/carrel/python/bin/python3",' \
            '"CARREL_MPLCONFIGDIR=/opt/carrel/python/mplconfig","CARREL_ENV_IMAGEIO_FFMPEG_EXE=/usr/bin/ffmpeg"]}' ;;
    esac
}

tag() {
    case $1 in
        control) echo "localhost/carrel:$version" ;;
        executor) echo "localhost/carrel-executor:$version" ;;
    esac
}

layer() { # ROOT FILE
    tar --create --file "$2" --directory "$1" --sort=name --mtime="@$epoch" --clamp-mtime --numeric-owner \
        --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime --one-file-system .
}

# What the first layer is made of, as a name.
base_key() { # NAME
    { echo "$suite"; cat "$here/build.sh" "$here/$1.packages"; [ "$1" = control ] || cat "$top"/executor/python/*.lock; } |
        sha256sum | cut -c1-16
}

base_layer() { # NAME, prints the file
    local file making
    file=$store/$1-$(base_key "$1").tar
    if [ ! -f "$file" ]; then
        say "making the base of $1, one to four minutes the first time"
        making=$(mktemp -d "$store/making-XXXXXX")
        "$1_base" "$making/root" >&2
        layer "$making/root" "$making/layer.tar"
        # Those that came before it are of no use any more, and large.
        rm -f "$store/$1"-*.tar "$store/$1"-*.tar.sha256
        mv "$making/layer.tar" "$file"
        rm -rf "$making"
    fi
    echo "$file"
}

digest() { sha256sum "$1" | cut -d' ' -f1; }

# The digest of a file that does not change any more.
kept_digest() {
    [ -f "$1.sha256" ] || digest "$1" >"$1.sha256"
    cat "$1.sha256"
}

pack() { # NAME FILE
    local name=$1 file=$2 base made image
    base=$(base_layer "$name")
    made=$(mktemp -d "$store/packing-XXXXXX")
    "$name"_binaries "$made/root"
    layer "$made/root" "$made/top.tar"
    ln "$base" "$made/base.tar"
    printf '{"architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s","sha256:%s"]}}' \
        "$(dpkg --print-architecture)" "$(config "$name")" "$(kept_digest "$base")" "$(digest "$made/top.tar")" \
        >"$made/config.json"
    image=$(digest "$made/config.json").json
    mv "$made/config.json" "$made/$image"
    printf '[{"Config":"%s","RepoTags":["%s"],"Layers":["base.tar","top.tar"]}]' "$image" "$(tag "$name")" \
        >"$made/manifest.json"
    say "packing $(tag "$name"), $(du -hc "$made"/*.tar | tail -n 1 | cut -f1)"
    tar --create --file "$file" --directory "$made" --mtime="@$epoch" manifest.json "$image" base.tar top.tar
    rm -rf "$made"
}

[ $# -eq 2 ] || die "usage: images/build.sh control|executor FILE"
case $1 in control | executor) ;; *) die "there is no image $1" ;; esac
[ "$(id -u)" -eq 0 ] || die "only root can make files of other owners"
command -v mmdebstrap >/dev/null || die "mmdebstrap is missing (Debian: apt-get install mmdebstrap)"
mkdir -p "$store"
pack "$1" "$2"
