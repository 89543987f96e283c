# Sourced by the scripts that install tools: where tools go, and how a pinned Python package gets there.

source "$(dirname "${BASH_SOURCE[0]}")/../../deploy/usage.sh"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=$root/target/tools

# True when `$1` was installed from exactly this pin file before.
installed() {
  cmp -s "$root/tests/tools/$1.txt" "$tools/$1/installed"
}

# Installs what tests/tools/$1.txt pins into target/tools/$1, whole or not at all; further words are pip's.
pip_install() {
  local staged
  installed "$1" && return
  mkdir -p "$tools"
  staged=$(mktemp -d "$tools/.$1.XXXXXX")
  chmod 0755 "$staged"
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
    --only-binary :all: --require-hashes --target "$staged" "${@:2}" -r "$root/tests/tools/$1.txt" || {
    rm -rf "$staged"
    return 1
  }
  cp "$root/tests/tools/$1.txt" "$staged/installed"
  rm -rf "${tools:?}/$1"
  mv "$staged" "$tools/$1"
}

# Installs Debian packages, as root, on machines that have apt.
apt_install() {
  command -v apt-get >/dev/null || {
    echo "missing: $* (and there is no apt-get here); install them and try again" >&2
    return 1
  }
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >&2
}
