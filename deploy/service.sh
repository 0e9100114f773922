# Shell functions of deploy/up and deploy/down: the hub as a service, of systemd or without it.
# Expects $here, $data, $user, and for a start $program and $options.

UNIT=/etc/systemd/system/cooperage.service

has_systemd() { is_root && [ -d /run/systemd/system ]; }

restart_service() {
    stop_service
    if has_systemd; then start_with_systemd; else start_in_background; fi
}

start_with_systemd() {
    sed -e "s|@PROGRAM@|$program|; s|@DATA@|$data|g; s|@USER@|$user|; s|@OPTIONS@|$options|" \
        "$here/cooperage.service" >"$UNIT"
    systemctl daemon-reload
    systemctl enable --quiet --now cooperage.service
}

# Root binds the ports, then the hub becomes its user by itself.
start_in_background() {
    as=''
    if is_root; then as="--user $user"; fi
    run_as_service touch "$data/hub.log"
    [ ! -L "$data/hub.log" ] || die "$data/hub.log is a link; remove it"
    # shellcheck disable=SC2086 # options are words
    setsid "$program" up --data "$data" $options $as >>"$data/hub.log" 2>&1 </dev/null &
    echo $! | write_as_service "$data/hub.pid"
}

stop_service() {
    if has_systemd && [ -e "$UNIT" ]; then systemctl stop cooperage.service; fi
    [ -s "$data/hub.pid" ] || return 0
    process=$(cat "$data/hub.pid")
    if is_the_hub "$process"; then
        say "stopping the hub (process $process)"
        kill "$process"
        for _ in $(seq 60); do
            is_the_hub "$process" || break
            sleep 0.5
        done
        ! is_the_hub "$process" || die "the hub did not end within 30 seconds of being asked"
    fi
    rm -f "$data/hub.pid"
}

# Whether the hub that was started is gone already; systemd would have started it again.
has_ended() { [ -s "$data/hub.pid" ] && ! kill -0 "$(cat "$data/hub.pid")" 2>/dev/null; }

# Whether a process is the hub of this data folder: a pid alone may be somebody else's by now.
is_the_hub() {
    cat "/proc/$1/cmdline" 2>/dev/null | tr '\0' ' ' | grep -qF "cooperage up --data $data "
}

# The hub's own user and no more of root's environment.
run_as_service() {
    if is_root; then as_user "$user" "$@"; else "$@"; fi
}

# Writes a file of the data folder. Root must not: the folder's owner could make it a link.
write_as_service() {
    rm -f "$1"
    run_as_service tee "$1" >/dev/null
}

show_log() {
    if has_systemd; then
        journalctl --unit cooperage.service --lines 50 --no-pager >&2
    else
        tail -n 50 "$data/hub.log" >&2
    fi
}

log_command() {
    if has_systemd; then echo 'journalctl -f -u cooperage'; else echo "tail -f $data/hub.log"; fi
}
