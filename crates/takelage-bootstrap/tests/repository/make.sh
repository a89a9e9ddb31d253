#!/bin/sh
# Makes the small signed archive that the tests use, in this directory. Needs dpkg-deb, gpg and xz; run by hand, once.
set -eu
cd "$(dirname "$0")"
rm -rf debian keys
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GNUPGHOME="$work/gnupg" SOURCE_DATE_EPOCH=1700000000
mkdir -m 700 "$GNUPGHOME"
mkdir -p keys debian/pool debian/dists

package() { # NAME FIELDS, and the tree in $work/NAME
    mkdir -p "$work/$1/DEBIAN"
    printf 'Package: %s\nVersion: 1.0-1\nMaintainer: Nobody <nobody@example.org>\n%bDescription: for tests\n' "$1" "$2" \
        >"$work/$1/DEBIAN/control"
    find "$work/$1" -exec touch --no-dereference --date=@1600000000 {} +
    dpkg-deb --root-owner-group -Zxz --build "$work/$1" debian/pool >/dev/null
}
put() { mkdir -p "$(dirname "$work/$1")"; printf '%b' "$2" >"$work/$1"; }

put base-files/etc/debian_version '12.0\n'
put base-files/DEBIAN/conffiles '/etc/debian_version\n'
package base-files 'Architecture: amd64\nEssential: yes\nPriority: required\nPre-Depends: awk\nDepends: usrmerge | usr-is-merged\n'
put shell/bin/sh 'not a shell\n'
put shell/DEBIAN/preinst '#!/bin/sh\ntrue\n'; chmod 755 "$work/shell/DEBIAN/preinst"
put shell/DEBIAN/triggers 'interest-noawait /usr/share/shells\nactivate-noawait other\n'
package shell 'Architecture: amd64\nEssential: yes\nPriority: required\nDepends: libshell (>= 1.0)\n'
put libshell/usr/lib/x86_64-linux-gnu/libshell.so.1 'library\n'
package libshell 'Architecture: amd64\nMulti-Arch: same\nPriority: optional\n'
put mawk/usr/bin/mawk 'awk\n'
package mawk 'Architecture: amd64\nPriority: required\nProvides: awk\n'
put gawk/usr/bin/gawk 'awk\n'
package gawk 'Architecture: amd64\nPriority: optional\nProvides: awk (= 5)\n'
package usr-is-merged 'Architecture: all\nPriority: optional\n'
package usrmerge 'Architecture: all\nPriority: optional\nDepends: gawk\nProvides: usr-is-merged\n'
put apt/usr/bin/apt 'apt\n'
package apt 'Architecture: amd64\nPriority: important\nDepends: libshell\n'
put diverter/usr/bin/diverter 'x\n'
put diverter/DEBIAN/preinst '#!/bin/sh\ndpkg-divert --add /bin/sh\n'; chmod 755 "$work/diverter/DEBIAN/preinst"
package diverter 'Architecture: all\nPriority: optional\n'
put taker/usr/bin/mawk 'better\n'
package taker 'Architecture: all\nPriority: optional\nReplaces: mawk\nDepends: awk (>= 4) | mawk:any, shell\n'
put clash/usr/bin/mawk 'worse\n'
package clash 'Architecture: all\nPriority: optional\n'
package rival 'Architecture: all\nPriority: optional\nConflicts: taker (<< 2)\n'
package lonely 'Architecture: all\nPriority: optional\nDepends: taker (>= 2)\n'

binary=main/binary-amd64
release() { # SUITE CODENAME MORE
    directory="debian/dists/$1"
    mkdir -p "$directory/$binary"
    (
        cd debian
        for deb in pool/*.deb; do
            dpkg-deb --field "$deb"
            printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' \
                "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d' ' -f1)"
        done
    ) | xz >"$directory/$binary/Packages.xz"
    index="$directory/$binary/Packages.xz"
    printf 'Origin: Test\nSuite: %s\nCodename: %s\nDate: Tue, 14 Nov 2023 22:13:20 UTC\n%bArchitectures: all amd64\nComponents: main\nSHA256:\n %s %s %s\n' \
        "$1" "$2" "$3" "$(sha256sum "$index" | cut -d' ' -f1)" "$(stat -c %s "$index")" "$binary/Packages.xz" >"$work/Release"
}
sign() { gpg --batch --quiet --yes --faked-system-time "$1!" --local-user "$2" --output "$3" --clear-sign "$work/Release"; }
key() { # NAME LIFETIME
    gpg --batch --quiet --passphrase '' --faked-system-time 20230101T000000! --quick-generate-key "$1 <$1@example.org>" ed25519 "sign,cert" "$2"
    gpg --batch --quiet --export "$1@example.org" >"keys/$1.gpg"
}
key archive 2y
key stranger 2y
# Signed by a key that has expired since, which is fine, and by one that had expired already, which is not.
release test tester ''
sign 20231115T000000 archive@example.org debian/dists/test/InRelease
sign 20231115T000000 stranger@example.org debian/dists/test/InRelease.stranger
# The key as exported above had expired by then; its owner has a prolonged one.
gpg --batch --quiet --faked-system-time 20240101T000000! --quick-set-expire \
    "$(gpg --batch --quiet --with-colons --list-keys archive@example.org | sed -n '/^fpr/{s/^fpr:*//;s/:$//;p;q}')" 10y
sign 20250601T000000 archive@example.org debian/dists/test/InRelease.late
release old older 'Valid-Until: Wed, 15 Nov 2023 22:13:20 UTC\n'
sign 20240102T000000 archive@example.org debian/dists/old/InRelease
rm -rf debian/dists/old/main
