#!/usr/bin/env bash
# Installs what foreplan needs to build, by apt, as root or through sudo. Does nothing, and leaves
# the network alone, when all of it is there.
#
#   tools/setup.sh [--with-tests]
set -euo pipefail

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}

packages=(
  g++ cmake ninja-build pkg-config python3
  libboost-dev libeigen3-dev nlohmann-json3-dev libcli11-dev libfmt-dev libdnnl-dev
  ocl-icd-opencl-dev # libdnnl-dev's CMake files ask for OpenCL
)
case "${1-}" in
  --with-tests) packages+=(libgtest-dev libgmock-dev libbenchmark-dev) ;;
  '') ;;
  *) fail "expected nothing or --with-tests, got '$1'" ;;
esac

installed() {
  [[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  fail "this is not Debian or Ubuntu (no apt); install by hand what corresponds to: ${packages[*]}"
fi

missing=()
for package in "${packages[@]}"; do
  installed "$package" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || fail "needs root or sudo to install: ${missing[*]}"
  as_root=(sudo)
fi
as_root+=(env DEBIAN_FRONTEND=noninteractive)

say "installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq >&2 || fail "apt-get update failed; see above"
"${as_root[@]}" apt-get install --yes -qq --no-install-recommends "${missing[@]}" >&2 ||
  fail "apt-get could not install: ${missing[*]}"
say "done"
