# Shell functions that deploy/ and tests/ share: messages, Debian packages, subordinate ids.
# To be sourced by POSIX sh or bash.

say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
is_root() { [ "$(id -u)" -eq 0 ]; }

# Prints those of the given Debian packages that are not installed.
missing_packages() {
    for package in "$@"; do
        dpkg-query --show --showformat '${Status}\n' "$package" 2>/dev/null |
            grep -q 'ok installed' || printf '%s ' "$package"
    done
}

# Installs those of the given Debian packages that are missing, and starts no service of theirs.
install_packages() {
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    say "installing Debian packages: $missing"
    forbid_database_cluster
    refuse_service_starts
    status=0
    apt-get update --quiet=2 >&2 || status=$?
    # shellcheck disable=SC2086 # one word for each package
    [ "$status" -ne 0 ] || DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 \
        --no-install-recommends -o DPkg::Lock::Timeout=300 $missing >&2 || status=$?
    allow_service_starts
    [ "$status" -eq 0 ] || die "apt-get ended with status $status; its messages are above"
}

# Debian makes and starts a database cluster when Postgres is installed, unless told not to.
forbid_database_cluster() {
    [ -z "$(missing_packages postgresql-common)" ] && return 0
    mkdir -p /etc/postgresql-common/createcluster.d
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/cooperage.conf
}

POLICY=/usr/sbin/policy-rc.d

refuse_service_starts() {
    [ ! -e "$POLICY" ] || return 0
    printf '#!/bin/sh\n# made by cooperage while it installs packages\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
}

# To be called in the EXIT trap of who installs packages: a second trap here would replace theirs.
allow_service_starts() {
    if grep -qs 'made by cooperage' "$POLICY"; then rm -f "$POLICY"; fi
}

# Gives a user 65536 subordinate user and group ids that nobody else has, unless it has some.
give_subordinate_ids() {
    if grep -qs "^$1:" /etc/subuid && grep -qs "^$1:" /etc/subgid; then return 0; fi
    touch /etc/subuid /etc/subgid
    first=$(cat /etc/subuid /etc/subgid | awk -F: '
        BEGIN { free = 100000 }
        $2 + $3 > free { free = $2 + $3 }
        END { print free }')
    last=$((first + 65535))
    usermod --add-subuids "$first-$last" --add-subgids "$first-$last" "$1"
}

# Runs a command as another user with nothing of root's environment but PATH.
# In a subshell: sh has global variables only, and callers have a $user of their own.
as_user() (
    user=$1
    shift
    exec setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups --reset-env \
        env PATH="$PATH" "$@"
)
