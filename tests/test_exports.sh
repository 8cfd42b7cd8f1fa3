#!/bin/sh
# tests/test_exports.sh - the shared library shows recd_... and nothing else.
lib=.libs/librecd.so
[ -f "$lib" ] || { echo "no shared library in this build"; exit 77; }
symbols=$(nm -D --defined-only "$lib" | awk '{print $3}' | grep -v -E '^_(init|fini|edata|end|_bss_start)$')
bad=$(printf '%s\n' "$symbols" | grep -v '^recd_')
[ -z "$bad" ] || { echo "exported besides recd_: $bad"; exit 1; }
wanted=$(sed -n 's/.*\(recd_[a-z_]*\)(.*/\1/p' "${srcdir:-.}/lib/recd.h" | grep -v '^recd_error())' | sort -u)
for name in recd_version recd_store_open recd_train recd_recommend recd_forget_users; do
    printf '%s\n' "$symbols" | grep -qx "$name" || { echo "$name is not exported"; exit 1; }
    printf '%s\n' "$wanted" | grep -qx "$name" || { echo "$name is not in recd.h"; exit 1; }
done
