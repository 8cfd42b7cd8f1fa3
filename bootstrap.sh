#!/bin/sh
# bootstrap.sh - from a fresh clone on a fresh Debian to a working recd.
#
#   ./bootstrap.sh demo     build, then show the main job on a made-up data set
#                           (or on RECD_DEMO_DATA=FILE, any format that
#                           `recd import` reads)
#   ./bootstrap.sh check    build and run the tests
#   ./bootstrap.sh build    build only
#   ./bootstrap.sh tools    install what .ci/run needs beyond that
#
# The build goes to ./build-boot (BUILD=... chooses another folder).
set -eu
cd "$(dirname "$0")"

BUILD=${BUILD:-build-boot}
PACKAGES="gcc make autoconf automake libtool pkg-config libc6-dev
          liblmdb-dev libcsv-dev libsodium-dev libjansson-dev zlib1g-dev
          libcmocka-dev"
TOOLS="git clang clang-format libomp-dev libclang-rt-14-dev xz-utils"

say() { printf '%s\n' "$*"; }
headline() { printf '\n== %s\n' "$*"; }

# Run one step, its output in a file that is shown only when it fails.
quietly() {
    log=$1; shift
    if ! "$@" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        say "bootstrap.sh: '$*' failed; the whole output is in $log" >&2
        exit 1
    fi
}

missing_packages() {
    for p in "$@"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null |
            grep -q 'install ok installed' || printf '%s ' "$p"
    done
}

install_packages() {
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        say "bootstrap.sh: not a Debian system: please see to these yourself:"
        say "  $*" | tr -s ' \n' ' '; say ""
        return
    fi
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    say "Installing Debian packages: $missing"
    sudo=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            say "bootstrap.sh: run as root once: apt-get install $missing" >&2
            exit 1
        }
        sudo=sudo
    fi
    log=$(mktemp)
    quietly "$log" $sudo apt-get update
    # shellcheck disable=SC2086
    quietly "$log" $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends $missing
    rm -f "$log"
}

build() {
    # shellcheck disable=SC2086
    install_packages $PACKAGES
    mkdir -p "$BUILD"
    if [ ! -x configure ] || [ configure.ac -nt configure ] ||
       [ Makefile.am -nt Makefile.in ]; then
        say "Making configure ..."
        quietly "$BUILD/autoreconf.log" autoreconf -i
    fi
    if [ ! -f "$BUILD/Makefile" ] || [ configure -nt "$BUILD/Makefile" ]; then
        say "Configuring in $BUILD ..."
        (cd "$BUILD" && quietly configure.log ../configure -q)
    fi
    say "Building ..."
    quietly "$BUILD/make.log" make -C "$BUILD" -j"$(nproc)"
}

# Show a command as a person would type it, then run it.
show() {
    printf '\n$ recd %s\n' "$*"
    "$recd" "$@"
}

demo() {
    recd=$PWD/$BUILD/recd
    dir=$(mktemp -d "${TMPDIR:-/tmp}/recd-demo.XXXXXX")
    trap 'rm -rf "$dir/ratings.csv"' EXIT
    RECD_STORE=$dir/store
    export RECD_STORE
    headline "1. Data"
    if [ -n "${RECD_DEMO_DATA:-}" ]; then
        data=$RECD_DEMO_DATA
        say "taking $data"
    else
        data=$dir/ratings.csv
        show synth --users 6000 --items 3000 --interactions 500000 --seed 1 \
            --output "$data"
    fi
    headline "2. Import, and hold a fifth of each person's rows out as a test"
    show import "$data"
    show split --test 0.2
    show info
    headline "3. Train"
    show train --model pop
    show train --model ials --dim 64
    show train --model ease
    headline "4. Evaluate on the held-out rows"
    show evaluate --name pop --k 10,20
    show evaluate --name ials --k 10,20
    show evaluate --name ease --k 10,20
    headline "5. Recommend for one person"
    user=$("$recd" recommend --all -k 1 --name ease --format csv 2>/dev/null |
           sed -n 2p | cut -d, -f1)
    show recommend --user "$user" -k 10 --name ease
    headline "6. That person says: forget me"
    show forget user "$user"
    show certificate export 1 --output "$RECD_STORE.certificate.json"
    show verify "$RECD_STORE.certificate.json"
    headline "7. Is it true? Ask as an adversary would (a rehearsal with 100 others)"
    show audit forgotten --name ease --people 100 --references 4
    headline "8. And if people could choose what to disclose?"
    show simulate disclosure --model itemknn --mechanism blocks:8+prefix
    headline "What you saw"
    say "A file became a store ($RECD_STORE), three models were trained on the same"
    say "rows, judged on rows that they had not seen, and asked for one person's list."
    say "Then that person left records, models and disk, and an attack that tells people"
    say "in the original model from strangers could not tell them any more. At last,"
    say "simulated people chose which of their rows to show, and the model learnt from those."
    headline "Next"
    say "  export RECD_STORE=$RECD_STORE; PATH=$PWD/$BUILD:\$PATH"
    say "  recd list models                     what else can be trained"
    say "  recd train --help --model lightgcn   its options"
    say "  recd recommend --all --output lists.csv --format csv"
    say "  recd import YOUR-FILE                csv, tsv, MovieLens, RecBole, gz ..."
}

case ${1:-} in
demo)
    build
    demo
    ;;
check)
    build
    make -C "$BUILD" -j"$(nproc)" check
    ;;
build)
    build
    say "built: $BUILD/recd"
    ;;
tools)
    # shellcheck disable=SC2086
    install_packages $PACKAGES $TOOLS
    ;;
*)
    sed -n '2,12s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
