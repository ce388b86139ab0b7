#!/bin/sh
# The whole suite on Debian 13: newer compiler and libraries than those of Debian 12.
set -eu

usage() {
  cat <<'END'
Usage: sh cmake/test-debian13.sh [--root FOLDER] [--boost VERSION]... [--help] [--] [option of ctest]...

Makes a Debian 13 in FOLDER with debootstrap, from the package mirror of this machine, and runs
cmake/test.sh there: with g++ 14, Catch2 3, hiredis 1.2 and Redis 8, once for each version of Boost.
Needs root, and Debian's packages debootstrap and git. A Debian that is in FOLDER already is used again.

  --root FOLDER     where it goes, about 3 GB (default: build/debian13)
  --boost VERSION   1.83 or 1.88; may be repeated (default: both)
  --help            this text

Everything else goes to ctest, for example: sh cmake/test-debian13.sh --boost 1.88 -L unit
END
}

cd "$(dirname "$0")/.."
root=build/debian13
boosts=''
while [ $# -gt 0 ]; do
  case $1 in
    --root) root=${2:?a folder for --root}; shift ;;
    --boost)
      case ${2-} in
        1.83 | 1.88) boosts="$boosts $2" ;;
        *) echo "--boost: 1.83 or 1.88, not '${2-}'" >&2; exit 2 ;;
      esac
      shift ;;
    --help) usage; exit ;;
    --) shift; break ;;
    *) break ;;
  esac
  shift
done
boosts=${boosts:-1.83 1.88}

[ "$(id -u)" = 0 ] || { echo 'debootstrap and chroot need root' >&2; exit 1; }
for command in debootstrap git; do
  command -v $command >/dev/null || { echo "Please run: apt-get install $command" >&2; exit 1; }
done
mkdir -p "$root"
root=$(cd "$root" && pwd)

# In a mount namespace of its own, so that nothing stays mounted.
in_root() {
  # shellcheck disable=SC2016 # expanded by the inner shell
  unshare --mount sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$root" "$@"
}
install_packages() {
  in_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "$@"
}

if [ ! -e "$root/made" ]; then
  apt-get update -q # without lists it knows no mirror
  # shellcheck disable=SC2016 # apt-get's own variable
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' |
    head -n 1)
  debootstrap --variant=minbase trixie "$root" "${mirror:?no Debian mirror in /etc/apt}"
  touch "$root/made"
fi

# How this machine reaches its mirrors: proxies, options of apt, authorities.
cp /etc/resolv.conf "$root/etc/resolv.conf"
apt-config dump --no-empty Acquire | grep -E '^Acquire::(http|https|Check-|Retries)' \
  >"$root/etc/apt/apt.conf.d/50host" || true
in_root apt-get update -q
install_packages ca-certificates
cp -r /usr/local/share/ca-certificates "$root/usr/local/share/"
in_root update-ca-certificates >/dev/null

for boost in $boosts; do
  echo "==== Debian 13, Boost $boost"
  install_packages "libboost$boost-dev"
  # A tree for each, so that the next run builds only what has changed; without files that are gone.
  mkdir -p "$root/roost-$boost"
  find "$root/roost-$boost" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
  git ls-files -z --cached --others --exclude-standard |
    tar --null --files-from=- --ignore-failed-read -cf - | tar -xf - -C "$root/roost-$boost"
  in_root sh "/roost-$boost/cmake/test.sh" -- "$@"
done
echo "Passed on Debian 13 with Boost $boosts"
