# shellcheck shell=bash disable=SC2154
# Builds what the cluster runs: each part once, in a folder named after the content it is made from.
# The versions are those of the go.mod files and nowhere else.

go_flags=(-p 2 -trimpath -buildvcs=false -mod=readonly)

install_packages() {
    local wanted missing=() package
    wanted=$(grep -v '^#' "$here/packages")
    for package in $wanted; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } >&2
}

# The version of a module as a go.mod file requires it, without the v.
version_of() { # FOLDER MODULE
    sed -n "s,^[[:space:]]*\(require \)\?$2 v\([^ ]*\).*,\2,p" "$here/$1/go.mod"
}

check_go() {
    command -v go >/dev/null || die "building the cluster takes Go"
    local wanted have
    wanted=$(sed -n 's/^go //p' "$here/go.mod")
    have=$(go env GOVERSION)
    [ "$(printf '%s\n' "$wanted" "${have#go}" | sort -V | head -n 1)" = "$wanted" ] ||
        die "Go $wanted or newer is needed, this is ${have#go}"
}

# Runs build_NAME with the folder to fill, unless that was done with the same inputs.
part() { # NAME INPUT...
    local name=$1 hash folder
    shift
    hash=$({ cat "$@"; declare -f "build_$name"; printf '%s\n' "${go_flags[*]}" "$toolchain"; } | sha256sum)
    folder=$work/parts/$name-${hash:0:16}
    if [ ! -d "$folder" ]; then
        say "building $name"
        rm -rf "$work/parts/$name-"* "$work/parts/making-$name"
        mkdir -p "$work/parts/making-$name"
        "build_$name" "$work/parts/making-$name" >&2
        mv "$work/parts/making-$name" "$folder"
    fi
    if [ -d "$folder/bin" ]; then
        ln -sfn "$folder"/bin/* "$bin/"
    fi
}

build_kubernetes() {
    local version package=k8s.io/component-base/version name
    version=$(version_of . k8s.io/kubernetes)
    go build -C "$here" "${go_flags[@]}" -o "$1/bin/kubernetes" -ldflags "-s -w \
        -X $package.gitVersion=v$version -X $package.gitMajor=$(cut -d. -f1 <<<"$version") \
        -X $package.gitMinor=$(cut -d. -f2 <<<"$version") -X $package.gitTreeState=clean" ./kubernetes
    for name in etcd kubectl kubelet kube-{apiserver,controller-manager,proxy,scheduler}; do
        ln -s kubernetes "$1/bin/$name"
    done
}

build_containerd() {
    local module=github.com/containerd/containerd/v2
    CGO_ENABLED=0 go build -C "$here/containerd" "${go_flags[@]}" -tags no_btrfs -o "$1/bin/" \
        -ldflags "-s -w -X $module/version.Version=$(version_of containerd "$module")" \
        "$module"/cmd/{containerd,containerd-shim-runc-v2,ctr}
}

build_runc() {
    go build -C "$here/runc" "${go_flags[@]}" -tags seccomp -o "$1/bin/" -ldflags "-s -w" \
        github.com/opencontainers/runc
}

build_helm() {
    CGO_ENABLED=0 go build -C "$here/helm" "${go_flags[@]}" -o "$1/bin/" -ldflags "-s -w \
        -X helm.sh/helm/v3/internal/version.version=v$(version_of helm helm.sh/helm/v3)" helm.sh/helm/v3/cmd/helm
}

build_pause() {
    mkdir "$1/bin"
    gcc -Os -static -Wall -Wextra -Werror -o "$1/bin/pause" "$here/pause.c"
}

# A root filesystem for tests. Unpacked rather than installed: the machine's own busybox may be another one.
build_busybox() {
    mkdir -p "$1/root/tmp"
    chmod 1777 "$1/root/tmp"
    # As root, which a folder in someone's home may demand.
    (cd "$1" && apt-get download -q -o APT::Sandbox::User=root busybox-static)
    dpkg-deb -x "$1"/busybox-static_*.deb "$1/root"
    rm -rf "$1"/*.deb "$1/root/usr"
    chroot "$1/root" /bin/busybox --install -s /bin
}

build_all() {
    check_go
    toolchain=$(go version)
    mkdir -p "$bin" "$work/parts" "$work/images"
    find "$bin" -xtype l -delete
    part kubernetes "$here"/go.{mod,sum} "$here/kubernetes/main.go"
    part containerd "$here"/containerd/go.{mod,sum}
    part runc "$here"/runc/go.{mod,sum}
    part helm "$here"/helm/go.{mod,sum}
    part pause "$here/pause.c"
    part busybox /dev/null
    basic_images
}
