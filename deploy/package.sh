#!/usr/bin/env bash
# Makes a Debian package of forecastd with cargo-deb (cargo install cargo-deb).
#
#   deploy/package.sh                              the lean daemon, for this machine
#   deploy/package.sh --features train             with the trainer, and the timer that runs it once a month
#   deploy/package.sh --target x86_64-unknown-linux-musl
#   deploy/package.sh --binary FILE …              of a program that is built already, for --target
#
# What follows "--" goes to cargo-deb, such as -- --deb-version 0.1.0-2. The package's path is the last line.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

binary="" features="" target="" rest=()
while [[ $# -gt 0 ]]; do
    case "$1" in
        --binary) binary="$2"; shift 2 ;;
        --features) features="$2"; shift 2 ;;
        --target) target="$2"; shift 2 ;;
        --) shift; rest=("$@"); break ;;
        *) echo "unknown option $1: see the head of $0" >&2; exit 2 ;;
    esac
done
cargo deb --version >/dev/null 2>&1 || { echo "cargo-deb is missing: cargo install cargo-deb" >&2; exit 1; }

if [[ -z $binary ]]; then
    build=(--profile dist --locked --no-default-features --features "$features" --bin forecastd)
    cargo build "${build[@]}" ${target:+--target "$target"} >&2
    folder="$(cargo metadata --format-version 1 --no-deps |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')"
    binary="$folder/${target:+$target/}dist/forecastd"
fi

# Everything that is not in the tree as it is installed. cargo-deb looks for it here (Cargo.toml).
staging=target/package
rm -rf "$staging"
mkdir -p "$staging/units" "$staging/completions"
cp "$binary" "$staging/forecastd"
for unit in systemd/forecastd.service systemd/forecastd-train.service systemd/forecastd-train.timer; do
    # From "[Unit]" on: the comment above says how to install by hand.
    { echo "# $(basename "$unit"): override with systemctl edit"; echo; sed -n '/^\[Unit\]/,$p' "$unit"; } |
        sed 's#/usr/local/bin/forecastd#/usr/bin/forecastd#g' >"$staging/units/$(basename "$unit")"
done

# As configuration file, the default with every key commented: an upgrade then brings new defaults, and does not ask about a
# file that only repeats the old ones. Journal and models lie where the unit has them, which a shell does not know by itself.
sed -e 's/^\([a-z_]* = \)/#\1/' -e 's#^\#folder = .*#folder = "/var/lib/forecastd/models.d"#' \
    -e '/^\[journal\]/,/^\[/s#^\#path = .*#path = "/var/lib/forecastd/forecastd.sqlite"#' \
    deploy/forecastd.toml >"$staging/forecastd.toml"

# The program makes its manual pages and completions itself, on a machine that can run it.
run=("$staging/forecastd")
case "${target:-$(uname -m)}" in
    "$(uname -m)"*) ;;
    aarch64-*) run=(qemu-aarch64-static -L /usr/aarch64-linux-gnu "$staging/forecastd") ;;
    *) echo "programs for $target cannot be run here, which the manual pages need" >&2; exit 1 ;;
esac
"${run[@]}" man "$staging/man"
gzip --best --no-name "$staging"/man/*
"${run[@]}" completions bash >"$staging/completions/forecastd.bash"
"${run[@]}" completions zsh >"$staging/completions/_forecastd"
"${run[@]}" completions fish >"$staging/completions/forecastd.fish"
python3 deploy/third_party_notices.py --features "$features" >"$staging/third-party-notices"
gzip --best --no-name "$staging/third-party-notices"

# Debian's own changelog has one entry: what changed stands in CHANGELOG.md.
version="$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)"
date="$(date --utc --rfc-email --date "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}")"
cat >"$staging/changelog" <<CHANGELOG
forecastd ($version-1) unstable; urgency=medium

  * Version $version: see CHANGELOG.md.

 -- forecastd contributors <forecastd@localhost>  $date
CHANGELOG

variant=()
[[ ",$features," == *,train,* ]] && variant=(--variant train)
cargo deb --quiet --no-build --profile dist ${target:+--target "$target"} "${variant[@]}" "${rest[@]}"
