#!/bin/sh
# beams.sh FOLDER COMMAND...: runs COMMAND on each file of FOLDER, as many at once as there are cores. The same as the library
# call in mod.rs, over `threadctl env`. Ends with 1 if one of them failed; the rest finish.
set -eu
folder=$1
shift
cores=$(threadctl cores)
count=$(find "$folder" -maxdepth 1 -type f | wc -l)
[ "$count" -gt 0 ] || exit 0
at_once=$((count < cores ? count : cores))
eval "$(threadctl env --jobs "$at_once")"
# xargs goes on after a failed job and ends with 123. A command that ends with 255 would stop it, so that becomes 1.
find "$folder" -maxdepth 1 -type f -print0 |
    xargs -0 -n 1 -P "$at_once" sh -c '
        for last; do :; done
        "$@" && exit
        echo "FAILED ($?): $last" >&2
        exit 1' job "$@" || exit 1
