#!/usr/bin/env bash
# A full Blender with a window, in a folder of its own: Debian sid's Blender 5.2 and a virtual screen, for tests of the interface.
#
#   scripts/blender_window.sh build FOLDER                 needs root and apt; two minutes, 1.9 GB; installs debootstrap if it is missing
#   scripts/blender_window.sh run FOLDER SHARED COMMAND    runs COMMAND in it; the folder SHARED is there under its own path
#
# Mounts live in a namespace of their own, so nothing stays mounted on this machine.
set -euo pipefail

PACKAGES=(
    blender xvfb xauth imagemagick fonts-dejavu-core libgl1 libegl1 libgl1-mesa-dri
    python3-zmq python3-msgspec python3-numpy python3-requests python3-cattr python3-zstandard
)

inside() { # inside FOLDER SHARED COMMAND...
    unshare --mount bash -euc '
        folder=$1 shared=$2; shift 2
        mount --make-rprivate /
        mount --bind /proc "$folder/proc"
        mount --rbind /dev "$folder/dev"
        mount --bind /sys "$folder/sys"
        if [ -n "$shared" ]; then
            mkdir -p "$folder$shared"
            mount --bind "$shared" "$folder$shared"
        fi
        exec chroot "$folder" "$@"' inside "$@"
}

build() { # in a folder beside it first: one that is there is whole
    local folder=$1 part=$1.part mirror
    if [ -x "$folder/usr/bin/blender" ] && [ -x "$folder/usr/bin/xvfb-run" ]; then
        return
    fi
    if ! command -v debootstrap >/dev/null; then
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends debootstrap debian-archive-keyring
    fi
    if [ -e "$folder" ]; then
        echo "$folder is there and holds no Blender; remove it or name another folder" >&2
        exit 1
    fi
    rm -rf "$part"
    mkdir -p "$part"
    mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
    debootstrap --variant=minbase --include=ca-certificates sid "$part" "${mirror:-http://deb.debian.org/debian}"
    cp /etc/resolv.conf /etc/hosts "$part/etc/"
    printf 'APT::Install-Recommends "false";\nAcquire::Check-Valid-Until "false";\n' >"$part/etc/apt/apt.conf.d/99window"
    printf '#!/bin/sh\nexit 101\n' >"$part/usr/sbin/policy-rc.d" # no services are started in it
    chmod +x "$part/usr/sbin/policy-rc.d"
    inside "$part" "" apt-get update -q
    inside "$part" "" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "${PACKAGES[@]}"
    inside "$part" "" apt-get clean
    mv "$part" "$folder"
}

if [ "$(id -u)" != 0 ]; then
    echo "a folder with a Blender in it is entered by root only; run this as root" >&2
    exit 1
fi
case "${1:-}" in
build) build "$(realpath -m "$2")" ;;
run)
    folder=$(realpath "$2") shared=$(realpath "$3")
    shift 3
    inside "$folder" "$shared" "$@"
    ;;
*)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
