#!/bin/bash
# Installs the Debian packages that the tests need. Quick if all of them are installed.
set -eu

packages=(
    aardvark-dns catatonit containerd crun curl docker-buildx docker-cli docker-compose docker-registry docker.io
    golang-github-containers-common iproute2 iptables mount netavark passt podman procps qemu-user qemu-user-binfmt runc skopeo uidmap util-linux
    # A second registry and a second client, which Debian has as Go sources.
    golang-github-google-go-containerregistry-dev golang-go oras
    # For the base images; one of them has a CPython for musl, linked from the objects of the other one.
    binutils dpkg-dev gcc libc6-dev mmdebstrap musl-dev musl-tools patchelf perl xz-utils
    # A browser for a web page.
    chromium chromium-driver
    # For tests that compare our work with that of other programs.
    bubblewrap git gpg php-cli ruby umoci
)

there() { dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null | sed -n 's/^installed //p'; }
readarray -t lacking < <(comm -23 <(printf '%s\n' "${packages[@]}" | sort) <(there | sort))
[ "${#lacking[@]}" -eq 0 ] && exit 0

export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet
apt-get install --quiet --yes --no-install-recommends "${lacking[@]}"
