# shellcheck shell=bash disable=SC2154
# The node is a process namespace and a mount namespace of its own. Every component and every container is
# in them, so ending the first process of the node ends all of them, and takes their mounts along.
# A record is a file with a process id and the time that process was started at; nothing else is ever ended.

started_at() { # PID
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # The name of the program is in brackets and may hold anything, so fields are counted after it.
    cut -d' ' -f20 <<<"${stat##*) }"
}

recorded_pid() { # NAME: fails when that process has ended
    local pid start
    read -r pid start 2>/dev/null <"$records/$1" || return 1
    [ "$(started_at "$pid")" = "$start" ] && ! is_gone "$pid" || return 1
    echo "$pid"
}

# Starts a program in the background that is recorded before it can start another one.
launch() { # NAME LOG COMMAND...
    local name=$1 log=$2
    shift 2
    # shellcheck disable=SC2016
    setsid bash -c '
        source "$1/lib/process.sh"
        echo "$$ $(started_at "$$")" >"$2"
        shift 2
        exec "$@"' launch "$here" "$records/$name" "$@" </dev/null >>"$log" 2>&1 9>&- &
    wait_until 30 "$name is started" recorded_pid "$name"
}

# `unshare` and `nsenter` stay outside the namespace and wait for their only child.
child_of() { # PID
    local child
    child=$(cat "/proc/$1/task/$1/children" 2>/dev/null) && [ -n "$child" ] && echo "${child%% *}"
}

component_pid() { # NAME
    local outer
    outer=$(recorded_pid "$1") && child_of "$outer"
}

node_pid() { component_pid node; }

node_is_alive() { node_pid >/dev/null 2>&1; }

# What the node's programs write to at fixed places, besides /run and /var/log, where every machine has a folder.
fixed_folders="/var/lib/kubelet /var/lib/cni"

start_node() {
    mkdir -p "$run/var-log"
    local folder
    for folder in $fixed_folders; do
        mkdir -p "$run/${folder##*/}"
        [ -d "$folder" ] || { echo "$folder" >>"$records/made-folders"; mkdir "$folder"; }
    done
    # shellcheck disable=SC2016,SC2086
    launch node "$logs/node.log" unshare --pid --mount --mount-proc --propagation slave --kill-child -- \
        bash -euc '
            mount --no-mtab --rbind "$1" /run
            mount --make-rshared /
            mount --bind /run/var-log /var/log
            shift
            for folder in "$@"; do mount --bind "/run/${folder##*/}" "$folder"; done
            exec /run/pause' node "$run" $fixed_folders
    wait_until 30 "the node's first process (see $logs/node.log)" node_runs_pause
}

node_runs_pause() { [ "$(cat "/proc/$(node_pid)/comm")" = pause ]; }

# The kernel ends the namespace before its first process is gone, so nothing runs after this. It waits for
# the parents of those in it, and one of them may have been stopped.
end_node() {
    local outer first name
    for name in $components; do
        if outer=$(recorded_pid "$name"); then
            kill -KILL "$outer" || true
        fi
    done
    if outer=$(recorded_pid node); then
        if first=$(child_of "$outer"); then
            kill -KILL "$first" || true
        fi
        wait_until 60 "the node has ended" is_gone "$outer"
    fi
    if [ -e "$records/made-folders" ]; then
        xargs rmdir <"$records/made-folders" || true
    fi
}

is_gone() { [ ! -e "/proc/$1" ] || [ "$(sed 's/.*) //' "/proc/$1/stat" | cut -c1)" = Z ]; }

in_node() {
    local pid
    pid=$(node_pid) || die "the node is not running"
    PATH="$bin:$PATH" nsenter --target "$pid" --mount --pid -- "$@"
}

# `nsenter` stops when its child does, and must go on to see how that ends.
signal_component() { # NAME SIGNAL
    local outer
    outer=$(recorded_pid "$1") || die "$1 is not running"
    kill -s "$2" "$(child_of "$outer")"
    [ "${2#SIG}" = STOP ] || kill -CONT "$outer"
}

stop_component() { # NAME
    local outer
    outer=$(recorded_pid "$1") || return 0
    signal_component "$1" TERM
    for _ in $(seq 300); do
        ! is_gone "$outer" || return 0
        sleep 0.1
    done
    say "$1 did not end within 30 s and is killed"
    signal_component "$1" KILL
    wait_until 10 "$1 has ended" is_gone "$outer"
}
