# shellcheck shell=bash disable=SC2154
# Images without a registry: an archive is made of a root filesystem, and imported into the node.

# The archive is the same for the same content, so importing it again changes nothing.
make_archive() { # FILE NAME:TAG FOLDER [CONFIG]
    local file=$1 name=$2 root=$3 config=${4:-{\}} made layer image
    made=$(mktemp -d "$work/images/making-XXXXXX")
    tar --create --file "$made/layer.tar" --directory "$root" --sort=name --mtime=@0 --numeric-owner .
    layer=$(sha256sum <"$made/layer.tar")
    printf '{"architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
        "$(dpkg --print-architecture)" "$config" "${layer%% *}" >"$made/config.json"
    image=$(sha256sum <"$made/config.json")
    image=${image%% *}.json
    mv "$made/config.json" "$made/$image"
    printf '[{"Config":"%s","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$image" "$name" >"$made/manifest.json"
    tar --create --file "$made/archive" --directory "$made" --mtime=@0 manifest.json "$image" layer.tar
    mv "$made/archive" "$file"
    rm -rf "$made"
}

# Packs again only when the content of the folder's part has changed, which its name says.
basic_image() { # NAME PART PATH-IN-PART CONFIG
    local folder
    folder=$(echo "$work/parts/$2-"*)
    [ "$(cat "$work/images/$1.from" 2>/dev/null)" = "$folder $4" ] && return
    make_archive "$work/images/$1.tar" "localhost/carrel-$1:1" "$folder/$3" "$4"
    echo "$folder $4" >"$work/images/$1.from"
}

basic_images() {
    basic_image pause pause bin '{"Entrypoint":["/pause"],"User":"65532:65532"}'
    basic_image test busybox root \
        '{"Env":["PATH=/bin"],"Cmd":["sleep","1000000"],"User":"65532:65532","WorkingDir":"/tmp"}'
}

import_image() { # NAME:TAG FILE
    local file=$2
    if [ "$file" != - ]; then
        [ -f "$file" ] || die "there is no archive $file"
        # The node sees the machine's files, but for /run and /var/log.
        file=$(realpath "$file")
    fi
    in_node ctr --namespace k8s.io images import "$file" >>"$logs/images.log" 2>&1 ||
        die "importing $2 failed (see $logs/images.log)"
    in_node ctr --namespace k8s.io images ls --quiet "name==$1" 2>/dev/null | grep -qxF "$1" ||
        die "$2 has no image $1"
}
