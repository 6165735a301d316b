#!/usr/bin/env bash
# Installs what the tests need besides Go: a real memcached and a real proxy to
# compare with, libmemcached's conformance tool, and real client libraries: of Perl
# and PHP, and of Python in an environment of their own (.venv). What is there
# already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH=$PATH:/usr/sbin:/sbin # where nutcracker and ip are

say() { printf 'setup: %s\n' "$*"; }

# package to install : program that shows that it is there
packages=()
need() { command -v "$2" >/dev/null 2>&1 || packages+=("$1"); }
need memcached memcached
need libmemcached-tools memccapable
need nutcracker nutcracker # a proxy that is known to show old values
need iproute2 ip # links between network namespaces
need systemd systemd-analyze # says whether the unit of the README is one
need gcc gcc # for the race detector
need python3 python3
need perl perl
need php-cli php
module() { "${@:2}" >/dev/null 2>&1 || packages+=("$1"); }
module libcache-memcached-perl perl -MCache::Memcached -e 1
module libcache-memcached-fast-perl perl -MCache::Memcached::Fast -e 1
module php-memcached php -r 'exit(class_exists("Memcached") ? 0 : 1);'
if ! python3 -c 'import venv, ensurepip' >/dev/null 2>&1; then
	packages+=(python3-venv)
fi

# install runs apt-get as root, through sudo if need be.
install() {
	local as=()
	if [ "$(id -u)" != 0 ]; then
		as=(sudo -n)
	fi
	if ! command -v apt-get >/dev/null 2>&1; then
		say "there is no apt-get; please install by hand: $*" >&2
		return 1
	fi
	if [ "${#as[@]}" != 0 ] && ! sudo -n true 2>/dev/null; then
		say "neither root nor sudo without a password; please install: apt-get install $*" >&2
		return 1
	fi
	# A package that starts a server of its own would take the port.
	"${as[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends "$@" ||
		{ "${as[@]}" apt-get update -q && "${as[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends "$@"; }
}

if [ "${#packages[@]}" != 0 ]; then
	say "installing ${packages[*]}"
	install "${packages[@]}"
fi

venv=${HOLDFAST_VENV:-.venv}
modules='pymemcache pylibmc django'
if ! "$venv/bin/python" -c 'import pymemcache, pylibmc, django' >/dev/null 2>&1; then
	say "installing $modules into $venv"
	python3 -m venv "$venv"
	# Binary packages do; if there is none for this Python, pylibmc is compiled.
	if ! "$venv/bin/pip" install -q --disable-pip-version-check --only-binary=:all: $modules; then
		install libmemcached-dev zlib1g-dev python3-dev gcc
		"$venv/bin/pip" install -q --disable-pip-version-check $modules
	fi
fi
say "$(memcached -V), memccapable, nutcracker, $modules, perl, php: ready"
