#!/usr/bin/env bash
# Makes the two base images of the Dockerfile without a container registry, by buildah: Debian from
# debootstrap, and the same with a compiler and this machine's Rust toolchain, at the places where
# the public rust image has it. This machine's certificates come along, for it may need them to
# reach crates.io and PyPI.
#
#   docker/debootstrap.sh        makes localhost/lab-debian and localhost/lab-rust
set -euo pipefail

MIRROR=${MIRROR:-http://deb.debian.org/debian}
sysroot=$(rustc --print sysroot)
# As rustup names a toolchain of one version.
name=$(rustc --version --verbose | sed -n 's/^release: //p')-$(rustc --version --verbose | sed -n 's/^host: //p')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

debootstrap --variant=minbase --include=ca-certificates bookworm "$work/debian" "$MIRROR"
rm -rf "$work"/debian/var/cache/apt/archives/*.deb "$work"/debian/var/lib/apt/lists/*

debian=$(buildah from scratch)
buildah copy --quiet "$debian" "$work/debian" /
buildah commit --quiet --rm "$debian" localhost/lab-debian

rust=$(buildah from localhost/lab-debian)
# Of what the public image has, the part that the lab's build uses.
buildah run --isolation chroot "$rust" -- sh -c \
    'apt-get update -qq && apt-get install -y -qq --no-install-recommends g++ python3'
root=$(buildah mount "$rust")
toolchain=$root/usr/local/rustup/toolchains/$name
mkdir -p "$toolchain" "$root/usr/local/cargo/bin"
tar -C "$sysroot" --exclude=./share/doc -cf - . | tar -C "$toolchain" -xf -
cp "$(command -v rustup)" "$root/usr/local/cargo/bin/rustup"
for proxy in cargo rustc rustdoc; do ln -s rustup "$root/usr/local/cargo/bin/$proxy"; done
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
buildah config --env RUSTUP_HOME=/usr/local/rustup --env CARGO_HOME=/usr/local/cargo \
    --env PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    --env PIP_CERT=/etc/ssl/certs/ca-certificates.crt "$rust"
buildah run --isolation chroot "$rust" -- rustup default "$name"
buildah commit --quiet --rm "$rust" localhost/lab-rust
