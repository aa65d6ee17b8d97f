#!/usr/bin/env bash
# Fetches the ONNX Runtime library out of the Python package `onnxruntime`, for those who want engine = "onnxruntime".
#
#   deploy/fetch-onnxruntime.sh [FOLDER] [VERSION]
#
# FOLDER is where the library goes (target/onnxruntime by default); VERSION is a version of the package. pip compares the
# file with the checksum of the package index; then the library is loaded once and must say that version itself.
set -euo pipefail

readonly folder="${1:-target/onnxruntime}"
readonly version="${2:-1.24.4}"
readonly library="$folder/libonnxruntime.so.$version"

fail() {
    echo "fetch-onnxruntime: $*" >&2
    exit 1
}

# Loads the library and asks it for its version: OrtGetApiBase() gives a structure of two function pointers, the second
# of which returns the version as text.
verify() {
    python3 - "$1" "$version" <<'PYTHON'
import ctypes, sys

path, expected = sys.argv[1:]
library = ctypes.CDLL(path)
library.OrtGetApiBase.restype = ctypes.POINTER(ctypes.c_void_p * 2)
version = ctypes.CFUNCTYPE(ctypes.c_char_p)(library.OrtGetApiBase().contents[1])().decode()
if version != expected:
    sys.exit(f"the library says version {version}, expected {expected}")
PYTHON
}

# Unpacks the library, and nothing else, from the wheel.
extract() {
    python3 - "$1" "$2" <<'PYTHON'
import re, sys, zipfile

wheel, target = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    names = [name for name in archive.namelist() if re.fullmatch(r"onnxruntime/capi/libonnxruntime\.so\.[0-9.]+", name)]
    if len(names) != 1:
        sys.exit(f"the package holds {len(names)} libraries, expected one: {names}")
    with open(target, "wb") as output:
        output.write(archive.read(names[0]))
PYTHON
}

report() {
    local absolute
    absolute="$(cd "$folder" && pwd)/$(basename "$library")"
    echo "onnxruntime_library = \"$absolute\""
}

command -v python3 >/dev/null || fail "python3 is missing"
[[ "$(uname -s)" == Linux ]] || fail "only Linux has a libonnxruntime.so in the package"

if [[ -f "$library" ]] && verify "$library" 2>/dev/null; then
    report
    exit 0
fi

mkdir -p "$folder"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

pip=(python3 -m pip)
if ! "${pip[@]}" --version >/dev/null 2>&1; then
    python3 -m venv "$work/venv" || fail "python3 has neither pip nor venv (Debian: apt-get install python3-venv)"
    pip=("$work/venv/bin/python3" -m pip)
fi
# The library in the package is the same for every version of Python; 3.12 is one that every release is made for.
"${pip[@]}" download --quiet --disable-pip-version-check --no-deps --only-binary :all: --python-version 3.12 \
    --dest "$work" "onnxruntime==$version" >&2 </dev/null || fail "cannot download onnxruntime $version"

wheels=("$work"/onnxruntime-*.whl)
[[ -f "${wheels[0]}" ]] || fail "pip brought no package"
extract "${wheels[0]}" "$work/libonnxruntime.so" || fail "cannot unpack $(basename "${wheels[0]}")"
verify "$work/libonnxruntime.so" || fail "the library in $(basename "${wheels[0]}") does not work here"

chmod 644 "$work/libonnxruntime.so"
mv "$work/libonnxruntime.so" "$library"
ln -sf "$(basename "$library")" "$folder/libonnxruntime.so"
echo "onnxruntime $version is in $folder; in the configuration, under [model]:" >&2
report
