#!/usr/bin/env bash
# Instructions per multiply-add of core::nn on a Cortex-M4F: runs the image `count` (examples/firmware, `--profile fast`) in QEMU's
# time, in which every instruction takes the same. Fails where a count of a known loop is not exact (but for 4 instructions of the
# calls around it, which a compiler may place otherwise), and above the limits:
# 4 with f32 weights, 5 with f16, 3 with int8, each over all instructions of an evaluation.
#
# tests/firmware.sh builds the image and calls this with its path.
set -euo pipefail
image=${1:?the image: tests/firmware.sh builds it and calls this}
output=$(timeout 120 qemu-system-arm -cpu cortex-m4 -machine mps2-an386 -nographic -icount shift=6 \
    -semihosting-config enable=on,target=native -kernel "$image" </dev/null)
echo "$output"
awk '
    BEGIN { limit["dense f32"] = 4; limit["network f32"] = 4; limit["network f16"] = 5; limit["network int8"] = 3 }
    $1 == "loop" { loops++; off = $3 - $2; if (off < -4 || off > 4) { print "a loop of " $2 " instructions is counted as " $3; bad = 1 } }
    ($1 " " $2) in limit { seen++; if ($3 > limit[$1 " " $2]) { print $1 " " $2 ": " $3 " instructions per multiply-add, over " limit[$1 " " $2]; bad = 1 } }
    END { if (loops != 2 || seen != 4) { print "counts are missing"; bad = 1 } exit bad }' <<<"$output"
