set -eu
umask 022
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true
export LC_ALL=C.UTF-8 LANG=C.UTF-8 HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin
unset TMPDIR LANGUAGE || :
cd /
scratch=/.takelage-bootstrap

# A preinst script of a package whose files already lie at their places, in the surroundings that dpkg gives it.
preinst() {
    while read -r stem name architecture version <&3; do
        env DEBCONF_PACKAGE="$name" DPKG_MAINTSCRIPT_PACKAGE="$name" DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_ARCH="$architecture" \
            DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_MAINTSCRIPT_DEBUG=0 DPKG_ADMINDIR=/var/lib/dpkg DPKG_ROOT= \
            "/var/lib/dpkg/info/$stem.preinst" install </dev/null || {
            status=$?
            echo "the preinst script of $name $version failed with status $status" >&2
            exit "$status"
        }
    done 3<"$1"
}

policy=/usr/sbin/policy-rc.d
if [ -e "$policy" ] || [ -L "$policy" ]; then
    policy=
else
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

dpkg='dpkg --force-unsafe-io --force-confold'

# dpkg waits for the disk at each step of each package, so that a power failure leaves a consistent database. Nobody needs half
# of this file system: the journal goes to memory where the container has some.
journal=/var/lib/dpkg/updates
memory=/dev/shm/takelage-dpkg-updates
if [ -w /dev/shm ] && mkdir "$memory" 2>/dev/null && rmdir "$journal"; then
    ln -s "$memory" "$journal"
else
    memory=
fi

preinst "$scratch/preinst-essential"
# Essential packages depend on one another in circles and, before all are configured, on what is not.
$dpkg --force-depends --configure $(cat "$scratch/essential") </dev/null

preinst "$scratch/preinst-rest"
if [ -n "$(ls "$scratch/debs")" ]; then
    $dpkg --force-depends --unpack "$scratch"/debs/*.deb </dev/null
fi
$dpkg --configure --pending </dev/null

# Byte code of Python before 3.11 has sets in the order of their hashes, which differ from run to run, and Debian's compiler of it
# does not look at the environment. The same files are compiled once more, in the same order, with the same hashes.
for python in /usr/bin/python3.[0-9] /usr/bin/python3.10; do
    [ -x "$python" ] || continue
    PYTHONHASHSEED=0 "$python" - <<'PYTHON'
import os, py_compile, sys

end = "." + sys.implementation.cache_tag + ".pyc"
for directory, below, names in os.walk("/usr"):
    below.sort()
    above, last = os.path.split(directory)
    for name in sorted(names) if last == "__pycache__" else ():
        source = os.path.join(above, name[: -len(end)] + ".py")
        if name.endswith(end) and os.path.isfile(source):
            py_compile.compile(source, os.path.join(directory, name), doraise=True)
PYTHON
done

if [ -n "$memory" ]; then
    rm "$journal"
    mkdir "$journal"
    rm -rf "$memory"
fi
rm -rf "$scratch"
if [ -n "$policy" ]; then
    rm -f "$policy"
fi
