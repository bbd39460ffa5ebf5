#!/usr/bin/env bash
# The two commands where machines differ: paths, languages, homes, what is installed, who else is at work.
# On Linux, as root (it adds two users): tools/anywhere.sh [CASE ...]; a line per case, logs in the folder it names.
# Each case is a copy of the project that sets itself up, builds the book at toy size and runs the tests that touch files.
set -uo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d /tmp/anywhere.XXXX)
chmod 755 "$folder"
small="WIDTH=0.0625 STEPS=1 VANILLA_EPOCHS=1 PAT_EPOCHS=1 SOURCE_EPOCHS=1 EPOCHS=1 N_PAIRS=40 N_TEST=20 BATCH_SIZE=128"
tests="tests/book/test_book_build.py tests/study/test_records.py tests/training/test_datasets.py tests/training/test_image_folders.py"
both="make book $small && make test TESTS='$tests'"

copy() { git clone --quiet "$project" "$1"; }
without() { # a folder with links to all programs but those that are named
    local bin=$folder/without-$1
    mkdir -p "$bin"
    for program in $(IFS=:; for d in $PATH; do ls -d "$d"/* 2>/dev/null; done); do
        [[ " $* " == *" $(basename "$program") "* ]] || ln -s "$program" "$bin/" 2>/dev/null
    done
    echo "$bin"
}

path() { # spaces and umlauts
    copy "$folder/my copy (für Bücher)" && cd "$folder/my copy (für Bücher)" && sh -c "$both"
}
language() { copy "$folder/c" && cd "$folder/c" && LANG=C LC_ALL=C sh -c "$both"; }
avx2() { # a processor without AVX-512, where small convolutions take another path
    copy "$folder/avx2" && cd "$folder/avx2" && ONEDNN_MAX_CPU_ISA=AVX2 sh -c "$both"
}
nonpm() { copy "$folder/nonpm" && cd "$folder/nonpm" && PATH=$(without npm npx node) sh -c "$both"; }
archive() {
    mkdir "$folder/archive" && git -C "$project" archive HEAD | tar x -C "$folder/archive" && cd "$folder/archive" && sh -c "$both"
}
readonly() { # a home in which nobody can write, root included
    copy "$folder/home" && cd "$folder/home" && HOME=/sys sh -c "$both"
}
twice() { # the same command twice at the same time, setup included
    copy "$folder/twice" && cd "$folder/twice" || return
    sh -c "$both" >first.log 2>&1 & local first=$!
    sh -c "$both" >second.log 2>&1 & local second=$!
    wait $first && wait $second && grep -h "waits" first.log second.log
}
users() { # two users, one cache, one group: the second reads what the first one made, and goes on from it
    local user
    groupadd -f readers && mkdir -m 2775 "$folder/cache" && chgrp readers "$folder/cache" || return
    copy "$folder/reader1" && copy "$folder/reader2" || return
    make -C "$folder/reader1" setup PYTHON=/usr/bin/python3 && ln -s ../reader1/.venv "$folder/reader2/.venv" || return
    for user in reader1 reader2; do
        id $user >/dev/null 2>&1 || useradd -m -g readers $user
        chown -R $user "$folder/$user" && (cd "$folder/$user" && setpriv --reuid=$user --regid=readers --clear-groups \
            env HOME=/home/$user SNSLIB_CACHE="$folder/cache" sh -c "umask 002 && $both") || return
    done
    ! find "$folder/cache" -type f ! -perm -g=r | grep .
}

failed=0
for case in ${*:-path language avx2 nonpm archive readonly twice users}; do
    SECONDS=0
    if (set -e; "$case") >"$folder/$case.log" 2>&1 </dev/null; then outcome=passed; else outcome=FAILED failed=1; fi
    echo "$case: $outcome in $SECONDS s"
done
echo "logs: $folder/*.log"
exit $failed
