# Sourced by quickstart and test: makes a virtual environment that works, on machines that lack
# most of what that takes, without root and without touching anything outside of the clone.
#
# Set before sourcing: root (the clone's folder). POSIX sh; checked with shellcheck.
# shellcheck shell=sh

bootstrap=${root:?}/.cache/bootstrap
# Where a virtual environment has its programs.
case "$(uname -s)" in
    MINGW* | MSYS* | CYGWIN*) bin=Scripts ;;
    *) bin=bin ;;
esac

say() { printf '%s\n' "$*"; }

fail() {
    printf '\n' >&2
    printf '%s\n' "$@" >&2
    exit 1
}

# The Python to start from: $PYTHON, or the first of the usual names that is new enough.
find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python3.10 python}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            python=$candidate
            return
        fi
    done
    fail "Python 3.10 or newer is needed, and there is none (looked for: ${PYTHON:-python3, python3.10 and newer})." \
        "Install it (Debian, Ubuntu: apt-get install python3), or name one: PYTHON=/some/python3 $0"
}

# is_wanted PYTHON: whether it works, is new enough, and is what $PYTHON names, where that is set.
is_wanted() {
    version='import sys; print(sys.version_info >= (3, 10) and sys.version)'
    found=$("$1" -c "$version" 2>/dev/null) && [ "$found" != False ] || return 1
    [ -z "${PYTHON:-}" ] || [ "$found" = "$("$PYTHON" -c "$version" 2>/dev/null)" ]
}

# make_environment FOLDER: a virtual environment with pip, made anew only if there is none that works.
make_environment() {
    environment=$1
    if ! is_wanted "$environment/$bin/python"; then
        find_python
        "$python" -m venv --clear --without-pip "$environment" ||
            fail "A virtual environment could not be made in $environment (see above)." \
                "On Debian and Ubuntu: apt-get install python3-venv"
    fi
    if ! "$environment/$bin/python" -c 'import pip' 2>/dev/null; then
        install_pip "$environment/$bin/python"
    fi
}

# install_pip PYTHON: from Python's own copy, from another pip, or from Debian's package of the wheel.
install_pip() {
    "$1" -m ensurepip --default-pip >/dev/null 2>&1 && return
    python3 -m pip --python "$1" install --quiet pip >/dev/null 2>&1 && return
    if debian_package python3-pip-whl "This Python has no pip"; then
        for wheel in "$bootstrap"/python3-pip-whl/usr/share/python-wheels/pip-*.whl; do
            "$1" "$wheel/pip" install --quiet --no-index "$wheel" && return
        done
    fi
    fail "There is no pip here, and it could not be fetched. Install one package and run this again:" \
        "    Debian, Ubuntu: apt-get install python3-venv" \
        "    elsewhere: the package that brings Python's ensurepip, or pip itself"
}

# ensure_openmp FOLDER: the engine's wheel needs the system's libgomp.so.1. Where it is missing, put
# it into the environment's own lib folder; the engine's worker process looks there.
ensure_openmp() {
    [ "$(uname -s)" = Linux ] || return 0
    "$1/$bin/python" - <<'PYTHON' && return
import ctypes, os, sys
for path in ("libgomp.so.1", os.path.join(sys.prefix, "lib", "libgomp.so.1")):
    try:
        ctypes.CDLL(path)
    except OSError:
        continue
    sys.exit(0)
sys.exit(1)
PYTHON
    if debian_package libgomp1 "This system has no libgomp.so.1"; then
        for library in "$bootstrap"/libgomp1/usr/lib/*/libgomp.so.1; do
            [ -e "$library" ] && cp -L "$library" "$1/lib/libgomp.so.1" && return
        done
    fi
    fail "The engine needs the system library libgomp.so.1, and it could not be fetched." \
        "Install one package and run this again:" \
        "    Debian, Ubuntu: apt-get install libgomp1        Fedora: dnf install libgomp"
}

# debian_package NAME WHY: unpack a package of Debian's (or Ubuntu's) into .cache/bootstrap/NAME, from the
# sources that apt is set up with and checked by apt as always, but with lists of our own.
debian_package() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 || return 1
    say "    $2; fetching the package $1 (no root needed)."
    state=$bootstrap/apt
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/$1" || return 1
    (
        cd "$state/$1" || exit 1
        rm -f ./*.deb
        if [ ! -e "$state/updated" ]; then
            # It may end badly over one source of many, or over a hook meant for root; whether it was
            # enough is what the download shows.
            private_apt update >"$state/log" 2>&1
            : >"$state/updated"
        fi
        private_apt download "$1" >>"$state/log" 2>&1 || exit 1
        dpkg-deb -x ./*.deb "$bootstrap/$1"
    ) && return
    if [ -s "$state/log" ]; then
        say "    apt-get said:" && tail -n 3 "$state/log" | sed 's/^/        /'
    fi
    return 1
}

private_apt() {
    apt-get -q \
        -o Dir::State="$state" -o Dir::State::lists="$state/lists" \
        -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$state/cache" \
        -o Acquire::Languages=none -o APT::Sandbox::User= \
        "$@"
}

# The lists are large and of no use once the packages are here.
forget_lists() { rm -rf "$bootstrap/apt"; }
