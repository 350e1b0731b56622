#!/bin/sh
# Install the real parts that the tests speak to, where they are missing and apt can bring them; with the word nightly
# also what only the night's tests need.
set -eu
missing=""
for pair in mosquitto:mosquitto mosquitto_pub:mosquitto-clients socat:socat mbpoll:mbpoll debootstrap:debootstrap gpg:gpg chromium:chromium promtool:prometheus; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || PATH="$PATH:/usr/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
[ "${1:-}" != nightly ] || command -v influxd >/dev/null 2>&1 || missing="$missing influxdb"
[ -e /usr/include/modbus/modbus.h ] || missing="$missing libmodbus-dev"
set -- "${1:-}" /usr/lib/postgresql/*/bin/initdb
[ -e "$2" ] || missing="$missing postgresql"
command -v gcc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "these parts are missing and there is no apt to install them:$missing" >&2
    exit 1
fi
run=""
[ "$(id -u)" -eq 0 ] || run="sudo"
echo "installing$missing"
$run apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $run apt-get install -y -qq --no-install-recommends $missing >/dev/null
