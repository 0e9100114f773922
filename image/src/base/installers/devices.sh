# Packages expect a few devices, and a user namespace cannot make any: the sandbox's own are shown.
set -eu
root=$1
shift
devices='null zero full random urandom tty'

show_devices() {
    mkdir -p "$root/dev"
    for name in $devices; do
        : >"$root/dev/$name"
        mount --bind "/dev/$name" "$root/dev/$name"
    done
}

hide_devices() {
    for name in $devices; do
        umount --lazy "$root/dev/$name"
        rm -f "$root/dev/$name"
    done
}

