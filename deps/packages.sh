# Debian packages for ./dev: what is missing of deps/debian-<version>.txt is installed, and only that.
# Sourced; needs ROOT (the checkout) and `die`.

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "installing packages: not root and no sudo here: as root, run: apt-get install --no-install-recommends ${MISSING[*]}"
    fi
}

# The list for this Debian; nothing where this is another system.
packages_file() {
    local id="" version=""
    if [ -r /etc/os-release ]; then
        id=$(. /etc/os-release && printf %s "${ID:-}")
        version=$(. /etc/os-release && printf %s "${VERSION_ID:-}")
    fi
    [ "$id" = debian ] && [ -r "$ROOT/deps/debian-$version.txt" ] && printf %s "$ROOT/deps/debian-$version.txt"
}

packages_missing() { # KIND...
    local file=$1 kind package
    shift
    for kind in "$@"; do
        for package in $(sed -n "s/^$kind: *//p" "$file"); do
            case $(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null) in
            ?i*) ;;
            *) printf '%s\n' "$package" ;;
            esac
        done
    done
}

# While the packages of Redis and PostgreSQL unpack, nothing of theirs may start and no cluster of theirs be made:
# ours are private. What was there before is left alone; what we put there goes away again.
install_quietly() {
    local policy=/usr/sbin/policy-rc.d cluster=/etc/postgresql-common/createcluster.d/standpipe-dev.conf
    local own_policy="" status=0
    if [ ! -e "$policy" ] && [ ! -L "$policy" ]; then
        own_policy=1
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    local own_folder=""
    [ -d "${cluster%/*}" ] || own_folder=1
    as_root mkdir -p "${cluster%/*}"
    printf 'create_main_cluster = false\n' | as_root tee "$cluster" >/dev/null
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 \
            -o Dpkg::Options::=--force-confold install --no-install-recommends "$@" >"$ROOT/build/install.log" 2>&1 ||
        status=$?
    as_root rm -f "$cluster"
    [ -z "$own_folder" ] || as_root rmdir --ignore-fail-on-non-empty "${cluster%/*}"
    [ -z "$own_policy" ] || as_root rm -f "$policy"
    return "$status"
}

install_packages() { # KIND...
    local file
    if ! file=$(packages_file); then
        printf 'dev: this is neither Debian 12 nor 13: nothing is installed; deps/debian-13.txt says what is needed\n' >&2
        return 0
    fi
    mapfile -t MISSING < <(packages_missing "$file" "$@")
    [ "${#MISSING[@]}" -gt 0 ] || return 0
    printf 'dev: installing %s\n' "${MISSING[*]}" >&2
    mkdir -p "$ROOT/build"
    # An interrupt must not leave our two files behind: it counts only after apt is through.
    local interrupted=""
    trap 'interrupted=1' INT TERM
    if ! install_quietly "${MISSING[@]}"; then
        trap - INT TERM
        tail -n 20 "$ROOT/build/install.log" >&2 2>/dev/null || true
        die "installing packages: apt-get failed (build/install.log): is there a network, and do its sources work?"
    fi
    trap - INT TERM
    [ -z "$interrupted" ] || die "interrupted"
}
