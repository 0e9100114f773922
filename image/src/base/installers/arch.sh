# Installs packages with pacman. Arguments: packages. From the environment: CONFIGURATION, the text
# of pacman.conf.
mkdir -p /etc/pacman.d "$root/var/lib/pacman" "$root/var/log" "$root/etc"
printf '%s' "$CONFIGURATION" >/etc/pacman.conf
echo 'Server = https://geo.mirror.pkgbuild.com/$repo/os/$arch' >/etc/pacman.d/mirrorlist

keys=/tmp/pacman-keys
mkdir -m 700 "$keys"
if [ -d /usr/share/pacman/keyrings ]; then
    pacman-key --gpgdir "$keys" --init
    pacman-key --gpgdir "$keys" --populate
fi

show_devices
pacman --config /etc/pacman.conf --root "$root" --dbpath "$root/var/lib/pacman" \
    --cachedir /var/tmp/pacman --logfile "$root/var/log/pacman.log" --hookdir \
    "$root/etc/pacman.d/hooks" --gpgdir "$keys" --noconfirm --disable-download-timeout \
    --sync --refresh -- "$@"
if [ -x "$root/usr/bin/pacman-key" ] && [ -d "$root/usr/share/pacman/keyrings" ]; then
    chroot "$root" pacman-key --init
    chroot "$root" pacman-key --populate
fi
hide_devices
rm -rf "$keys" /var/tmp/pacman
