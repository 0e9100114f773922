# Installs packages with dnf or yum. Arguments: options, `install`, packages. From the environment:
# BASE_URL, and UPDATE_URL and GPG_URL, which may be empty.
program=$(command -v dnf || command -v yum)

# Debian's rpm keeps its database in the home of the user; no image has it there.
echo '%_dbpath /var/lib/rpm' >/root/.rpmmacros

repository() {
    [ -n "$3" ] || return 0
    printf '\n[%s]\nname=%s\nbaseurl=%s\nenabled=1\n' "$1" "$2" "$3"
    if [ -n "$GPG_URL" ]; then
        printf 'gpgcheck=1\ngpgkey=%s\n' "$GPG_URL"
    else
        printf 'gpgcheck=0\n'
    fi
}

mkdir -p "$root/etc"
{
    printf '[main]\ncachedir=/var/cache/yum-bootstrap\nkeepcache=0\nobsoletes=1\nplugins=0\n'
    printf 'reposdir=/dev/null\nlogfile=/var/log/yum.log\n'
    repository base 'Linux $releasever - $basearch' "$BASE_URL"
    repository updates 'Linux $releasever - $basearch updates' "$UPDATE_URL"
} >"$root/etc/bootstrap-yum.conf"

show_devices
"$program" --noplugins -y -c "$root/etc/bootstrap-yum.conf" --installroot "$root" "$@"
hide_devices
rm -rf "$root/var/cache/yum-bootstrap"
