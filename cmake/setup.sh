# shellcheck shell=sh
# Sourced by the other scripts here (POSIX sh), which define `usage`: reads the options that
# all know, and has install_missing. Something is missing if it is really not there - a command, a
# header, a module - whatever a list of packages says.

install=yes ours=yes
for argument do
  shift
  case $ours$argument in
    yes--no-install) install=no ;;
    yes--help) usage; exit ;;
    yes--) ours=no ;;
    *) set -- "$@" "$argument" ;;
  esac
done

# have_command <name>...: one of them is there.
have_command() {
  for command do
    command -v "$command" >/dev/null 2>&1 && return 0
  done
  return 1
}

# have_header <condition> <header>...: the compiler finds one of the headers, and the condition
# of the preprocessor holds once it is included.
have_header() {
  condition=$1
  shift
  for header do
    printf '#include <%s>\n#if !(%s)\n#error too old\n#endif\n' "$header" "$condition" |
      "${CXX:-c++}" -E -x c++ - >/dev/null 2>&1 && return 0
  done
  return 1
}

# Debian's own python3: its modules are the packages below.
have_python_module() { /usr/bin/python3 -c "import $1" >/dev/null 2>&1; }

missing=""
packages=""
need() { # <Debian package> <what it is> <test>...
  package=$1 what=$2
  shift 2
  "$@" && return
  missing="$missing
  $what"
  packages="$packages $package"
}

# The system's own Boost if it is new enough, else the second one that Debian 12 has.
boost_package() {
  version=$(apt-cache policy libboost-dev | sed -n 's/^ *Candidate: //p')
  if dpkg --compare-versions "${version:-0}" ge 1.81; then
    echo libboost-dev
  else
    echo libboost1.81-dev
  fi
}

have_libfuzzer() {
  echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, long) { return 0; }' |
    clang++ -fsanitize=fuzzer,address -x c++ - -o /dev/null >/dev/null 2>&1
}
# That of the clang that is here, else of Debian's.
clang_runtime_package() {
  version=$(clang++ -dumpversion 2>/dev/null || apt-cache depends clang | sed -n 's/.*Depends: clang-//p')
  echo "libclang-rt-${version%%.*}-dev"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install_missing [tests|benchmarks|fuzzers|soak|docs|clang|tidy]: makes sure of all that the build
# needs, and of what these need; the docs build nothing.
install_missing() {
  [ $install = yes ] || return 0
  if [ "${1-}" = docs ]; then
    need doxygen 'the doxygen command' have_command doxygen
    install_packages
    return
  fi
  need g++ 'a C++20 compiler (g++ 12 or clang 14, or later)' have_command "${CXX:-c++}"
  need cmake 'CMake 3.24 or later' have_command cmake
  need ninja-build 'Ninja' have_command ninja
  need boost 'Boost 1.81 or later (headers)' have_header 'BOOST_VERSION >= 108100' boost/version.hpp
  need libssl-dev 'OpenSSL (headers), for TLS' have_header 1 openssl/ssl.h
  need nlohmann-json3-dev 'nlohmann/json 3.9 or later (headers)' have_header 1 nlohmann/json.hpp
  need libhiredis-dev 'hiredis (headers), for Redis' have_header 1 hiredis/hiredis.h
  need prometheus-cpp-dev 'prometheus-cpp, for metrics' have_header 1 prometheus/collectable.h
  if [ "${1-}" = tests ]; then
    need libspdlog-dev 'spdlog' have_header 1 spdlog/version.h
    need catch2 'Catch2, version 2 or 3' have_header 1 catch2/catch_all.hpp catch2/catch.hpp
    need openssl 'the openssl command' have_command openssl
    need redis-server 'the redis-server command' have_command redis-server
    need redis-tools 'the redis-cli command' have_command redis-cli
    need git 'the git command' have_command git
    need pkgconf 'the pkg-config command' have_command pkg-config pkgconf
    need python3-redis "Python's redis, for /usr/bin/python3" have_python_module redis
    need python3-yaml "Python's yaml, for /usr/bin/python3" have_python_module yaml
    need iproute2 'the ip command' have_command ip
    need python3-websockets "Python's websockets, for /usr/bin/python3" have_python_module websockets
    need nginx-light 'the nginx command' have_command nginx /usr/sbin/nginx
    need haproxy 'the haproxy command' have_command haproxy /usr/sbin/haproxy
    need nodejs 'Node.js 18 or later' have_command node
    need npm 'the npm command' have_command npm
    need chromium 'the chromium command' have_command chromium chromium-browser google-chrome
  fi
  if [ "${1-}" = benchmarks ]; then
    need libbenchmark-dev 'Google Benchmark' have_header 1 benchmark/benchmark.h
    need openssl 'the openssl command' have_command openssl
    need redis-server 'the redis-server command' have_command redis-server
    need redis-tools 'the redis-benchmark command' have_command redis-benchmark
    need valgrind 'valgrind' have_command valgrind
    need python3 'Python, as /usr/bin/python3' have_command /usr/bin/python3
  fi
  if [ "${1-}" = clang ] || [ "${1-}" = tidy ]; then
    need clang 'clang 14 or later' have_command "${CLANGXX:-clang++}"
    need libspdlog-dev 'spdlog' have_header 1 spdlog/version.h
  fi
  if [ "${1-}" = tidy ]; then
    need clang-tidy 'clang-tidy 14 or later' have_command "${CLANG_TIDY:-clang-tidy}"
  fi
  if [ "${1-}" = fuzzers ]; then
    need clang 'clang 14 or later' have_command clang++
    need "$(clang_runtime_package)" 'the runtime of libFuzzer' have_libfuzzer
  fi
  if [ "${1-}" = soak ]; then
    need redis-server 'the redis-server command' have_command redis-server
    need python3 'Python, as /usr/bin/python3' have_command /usr/bin/python3
  fi
  install_packages
}

# install_packages: those that are missing.
install_packages() {
  [ -n "$packages" ] || return 0

  echo "roost needs packages that are missing:$missing"
  if ! have_command apt-get; then
    echo 'There is no apt-get here: please install it, then run this again.' >&2
    exit 1
  fi
  if [ "$(id -u)" != 0 ] && ! have_command sudo; then
    echo "Please run, as root: apt-get install$packages, with libboost1.81-dev or later for boost" >&2
    exit 1
  fi

  echo 'Updating the list of packages: apt-get update'
  as_root apt-get update -q
  case $packages in
    *' boost'*) packages="${packages%% boost*} $(boost_package)${packages#* boost}" ;;
  esac
  echo "Installing: apt-get install$packages"
  # --no-remove: rather stop than take away another version of a library.
  # shellcheck disable=SC2086 # a list of words
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends --no-remove $packages
  missing='' packages=''
}
