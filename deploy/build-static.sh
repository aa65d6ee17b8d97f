#!/usr/bin/env bash
# Builds the lean daemon as one static file, with the model inside.
#
#   deploy/build-static.sh [TARGET]        default: x86_64-unknown-linux-musl
#
# Needs the target's standard library (rustup target add TARGET) and a C compiler for it: musl-gcc (Debian's musl-tools),
# TARGET's own, or cargo-zigbuild with zig. Says size and engine of what came out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target="${1:-x86_64-unknown-linux-musl}"
architecture="${target%%-*}"
sysroot="$(rustc --print sysroot)"
[[ -d $sysroot/lib/rustlib/$target ]] || {
    echo "no standard library for $target: rustup target add $target" >&2
    exit 1
}

build=(build)
if command -v "$architecture-linux-musl-gcc" >/dev/null; then
    compiler="$architecture-linux-musl-gcc"
    name="${target//-/_}"
    export "CC_$name=$compiler"
    # Rust brings its own start files and libc for musl; the compiler is the linker's driver.
    export "CARGO_TARGET_${name^^}_LINKER=$compiler"
elif cargo zigbuild --version >/dev/null 2>&1; then
    build=(zigbuild)
else
    echo "no C compiler for $target: musl-tools, $architecture-linux-musl-gcc, or cargo-zigbuild with zig" >&2
    exit 1
fi
# Folds functions that are alike, of which generic code has many, and packs relocations: a fifth less. With the linker that comes
# with Rust, where it does for this machine.
host="$(rustc --print host-tuple)"
linkers="$sysroot/lib/rustlib/$host/bin/gcc-ld"
if [[ ${build[0]} == build && -x $linkers/ld.lld ]]; then
    flags=(-fuse-ld=lld "-B$linkers" -Wl,--icf=all -Wl,-z,pack-relative-relocs -Wl,--no-dynamic-linker)
    export "CARGO_TARGET_${name^^}_RUSTFLAGS=${flags[*]/#/-Clink-arg=}"
fi
cargo "${build[@]}" --profile dist --locked --no-default-features --bin forecastd --target "$target"

folder="$(cargo metadata --format-version 1 --no-deps |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')"
program="$folder/$target/dist/forecastd"
if command -v readelf >/dev/null && readelf --dynamic --program-headers "$program" 2>/dev/null | grep -qE 'NEEDED|INTERP'; then
    echo "$program needs libraries: it is not static" >&2
    exit 1
fi
size="$(stat --format %s "$program")"
echo "$program: $((size / 1048576)).$((size % 1048576 * 10 / 1048576)) MiB"
python3 deploy/third_party_notices.py >"$program.third-party-notices"
# What a router or a small image has room for.
if ((size > 25 * 1048576)); then
    echo "$program has more than 25 MiB" >&2
    exit 1
fi
