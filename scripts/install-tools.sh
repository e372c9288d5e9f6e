#!/usr/bin/env bash
# Installs what the tests need on Debian 12: qemu-user to run arm64 and arm binaries, gcc for the race detector, binutils for asmgen.
set -euo pipefail
need=()
command -v qemu-aarch64-static >/dev/null || need+=(qemu-user-static)
command -v gcc >/dev/null || need+=(gcc libc6-dev)
command -v objdump >/dev/null || need+=(binutils)
command -v zstd >/dev/null || need+=(zstd)
[ ${#need[@]} -eq 0 ] && exit 0
if ! command -v apt-get >/dev/null; then
  echo "install-tools: please install ${need[*]} (no apt-get here)" >&2
  exit 1
fi
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
$sudo apt-get -o APT::Sandbox::User=root update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
