# Installs packages with zypper. Arguments: the addresses of repositories, `--`, packages. From the
# environment: OS_VERSION, and for SLE PRODUCT, REG_CODE, REG_USER, REG_URL, MODULES, PRODUCT_PGP;
# each may be empty.

# What SUSE's own packages expect; Debian's rpm has its database elsewhere.
echo '%_dbpath /usr/lib/sysimage/rpm' >/root/.rpmmacros
mkdir -p "$root/var/lib" "$root/usr/lib/sysimage/rpm"
ln -s ../../usr/lib/sysimage/rpm "$root/var/lib/rpm"

in_root() { zypper --root "$root" --non-interactive --gpg-auto-import-keys "$@"; }

if [ -n "$PRODUCT_PGP" ]; then
    printf '%s\n' "$PRODUCT_PGP" >/tmp/product.asc
    rpm --root "$root" --import /tmp/product.asc
fi
if [ -n "$PRODUCT" ]; then
    # In a file, for arguments can be seen by others.
    (umask 077 && printf 'regcode: %s\n' "$REG_CODE" >/etc/SUSEConnect)
    product=$PRODUCT/$OS_VERSION/$(uname -m)
    SUSEConnect --root "$root" --product "$product" ${REG_URL:+--url "$REG_URL"} \
        ${REG_USER:+--email "$REG_USER"}
    for module in $MODULES; do
        SUSEConnect --root "$root" --product "$module/$OS_VERSION/$(uname -m)"
    done
    rm /etc/SUSEConnect
fi

number=0
while [ "$1" != -- ]; do
    number=$((number + 1))
    in_root addrepo --gpgcheck-allow-unsigned "$1" "repository-$number"
    shift
done
shift
in_root refresh

show_devices
status=0
in_root ${OS_VERSION:+--releasever "$OS_VERSION"} install --auto-agree-with-licenses \
    --download-in-advance "$@" || status=$?
hide_devices
rm -rf "$root/var/cache/zypp"
# Packages are installed, but a script of one of them failed.
[ "$status" -eq 107 ] || exit "$status"
