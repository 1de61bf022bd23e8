# The probe: all that is read on one remote.
#
# Comes in on standard input of `exec /bin/sh -s`, after lines that set
#   NONCE  letters and digits that only this attempt knows; every marker carries it, so nothing else can pass for one
#   ROOT   the pid whose whole subtree is the checker's own (local connections), or nothing
#   PROC   where the process filesystem is: /proc
# and after the function `checks`, which calls `check` once for each check. Goes out on standard output: a frame of
# sections, "[NONCE:name words" to "NONCE:name]". Nothing is written, nothing has to be installed, and the exit code
# is always 0, because 255 would read as a broken connection.
#
# The rule: what cannot hang comes first. A probe that is cut short still gives every section that ended before.
#
# POSIX sh and nothing more: dash, busybox ash, bash, ksh, mksh, the BSDs' sh. `echo` and not `printf`, because mksh
# and OpenBSD's sh have no builtin printf. Cheap: eight forks on a Linux remote with up to 400 processes and no checks.

# A marker of its own for each process: the environment of the very command that prints the files. An argument may
# hold any byte but NUL, so only something that nobody else knows can stand between two processes.
print_files() {
    env -i "S=$NONCE:process" $cut "$@"
}

in_batches() { # command file... - each file of each process; every exec stays far below any limit on arguments
    command=$1 count=0 batch=
    shift
    for process in $processes; do
        for file; do
            case $file in self/*) batch="$batch $PROC/$file" ;; *) batch="$batch $process/$file" ;; esac
        done
        count=$((count + 1))
        [ "$count" = 400 ] || continue
        $command $batch
        count=0 batch=
    done
    [ "$count" = 0 ] || $command $batch
}

kill_tree() { # pid - stops what it finds until it finds no more, so that nothing can fork away, then kills it all
    tree=" $1 " before=
    kill -STOP "$1"
    while [ "$tree" != "$before" ]; do
        before=$tree
        if [ -r "$PROC/self/stat" ]; then
            for stat in $PROC/[0-9]*/stat; do
                read -r line <"$stat" || continue
                pid=${line%% *}
                set -- ${line##*") "}
                adopt "$pid" "$2"
            done
        else
            set -- $(ps -A -o pid= -o ppid=)
            while [ $# -ge 2 ]; do
                adopt "$1" "$2"
                shift 2
            done
        fi
    done
    kill -9 $tree
}

adopt() { # pid parent
    case $tree in *" $1 "*) return ;; esac
    case $tree in *" $2 "*) ;; *) return ;; esac
    kill -STOP "$1"
    tree="$tree$1 "
}

# Not timeout(1): macOS has none, older busybox has another syntax, and busybox's kills only the one process, whose
# children would then hold standard output, and with it the SSH session, open.
limit() { # seconds command... - the command's exit code, or 124 when its time was over
    sleep "$1" </dev/null >/dev/null &
    nap=$!
    shift
    (
        "$@"
        code=$?
        kill "$nap"
        exit "$code"
    ) </dev/null &
    worker=$!
    if wait "$nap"; then
        # Not waited for: what hangs in the kernel does not even die of kill -9.
        kill_tree "$worker"
        return 124
    fi
    wait "$worker"
}

moment() {
    if read -r up rest <"$PROC/uptime"; then echo "$NONCE:at $up"; else echo "$NONCE:at $(date +%s)"; fi
}

check() { # name in hexadecimal, seconds, command
    echo "[$NONCE:check $1"
    moment
    limit "$2" run_check "$3"
    moment
    echo "$NONCE:check]"
}

# The check's own output goes through a pipe: a flood is cut, and a daemon that it leaves behind holds that pipe and
# not the SSH session. The exit code goes around the pipe.
run_check() {
    {
        {
            /bin/sh -c "$1" 2>&1 3>&-
            echo "$NONCE:exit $?" >&3
        } | {
            $cut_check
            cat >/dev/null
        }
    } 3>&1
}

read_linux() {
    echo "[$NONCE:linux"
    kept='[0-9]|btime |cpu[0-9]|Mem(Total|Free|Available):|Buffers:|Cached:|Swap(Total|Free):'
    grep -E "^($kept|[^:]*:[^:]*:[0-9]+:)" \
        "$PROC/uptime" "$PROC/loadavg" "$PROC/meminfo" "$PROC/stat" /etc/passwd
    echo "$NONCE:linux]"

    # Listed once, so that a process that starts just now is not found without its owner.
    set -- $PROC/[0-9]*
    processes=$*
    echo "[$NONCE:owners"
    in_batches print_owners status
    echo "$NONCE:owners]"

    # hidepid=2 leaves out other users' processes, hidepid=1 keeps their directories shut.
    hidden=
    [ -r "$PROC/1/stat" ] || hidden=hidden
    echo "[$NONCE:processes $hidden"
    in_batches print_files self/environ stat cmdline
    echo "$NONCE:processes]"
}

print_owners() { grep -E '^(Uid|VmRSS):' /dev/null "$@"; }

read_elsewhere() {
    echo "[$NONCE:sysctl"
    sysctl kern.boottime vm.loadavg hw.ncpu
    echo "$NONCE:sysctl]"
    read_ps pid ppid user stat rss etime args -ww ||
        read_ps pid ppid user s rss etime args ||
        read_ps pid ppid user stat rss args ||
        read_ps pid ppid user args ||
        read_ps pid user stat args
}

# Columns differ: Solaris knows no stat, AIX no rss, a small busybox only four columns. The first list that ps takes
# wins.
read_ps() { # columns... [-ww]
    columns= options=-A
    for word; do
        case $word in -*) options="$options $word" ;; *) columns="$columns -o $word" ;; esac
    done
    echo "[$NONCE:ps $*"
    ps $options $columns
    code=$?
    echo "$code"
    echo "$NONCE:ps]"
    return $code
}

# Users that are not in /etc/passwd (LDAP, Active Directory) are asked for by number, and only where there can be any:
# the whole list would take such a server minutes.
read_names() {
    [ -r /etc/nsswitch.conf ] || return
    sources=
    while read -r key sources; do
        [ "$key" = passwd: ] && break
    done </etc/nsswitch.conf
    case $sources in
        *sss* | *ldap* | *winbind* | *nis* | *lsass* | *extrausers* | *centrify* | *vas*) ;;
        *) return ;;
    esac
    numbers=' '
    for number in $(in_batches print_uids status); do
        case $numbers in *" $number "*) ;; *) numbers="$numbers$number " ;; esac
    done
    echo "[$NONCE:names"
    limit 3 getent passwd $numbers
    echo "$NONCE:names]"
}

print_uids() { grep -hE '^Uid:' "$@" | cut -f 2; }

# Only local filesystems (-l): a dead NFS server would hang df, and its disks are not this remote's. busybox knows no
# -l and is asked again without.
read_disks() {
    echo "[$NONCE:disks"
    limit 5 df -Pkl
    code=$?
    echo "$NONCE:exit $code"
    echo "$NONCE:disks]"
    case $code in 0 | 124) return ;; esac
    echo "[$NONCE:disks"
    limit 5 df -Pk
    echo "$NONCE:exit $?"
    echo "$NONCE:disks]"
}

probe() {
    LC_ALL=C
    PATH=$PATH:/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin:/usr/local/sbin:/usr/pkg/bin:/opt/bin
    PATH=$PATH:/usr/lib/nagios/plugins:/usr/lib64/nagios/plugins:/usr/lib/monitoring-plugins:/usr/local/libexec/nagios
    export LC_ALL PATH
    unset POSIXLY_CORRECT BLOCKSIZE BLOCK_SIZE DF_BLOCK_SIZE
    unset GREP_OPTIONS GREP_COLOR PS_FORMAT PS_PERSONALITY COLUMNS ENV
    IFS=' 	
'
    set +eu
    set +f

    echo
    echo "[$NONCE:frame"
    echo "[$NONCE:began"
    moment
    echo "$NONCE:began]"
    echo "[$NONCE:self $$ $PPID ${ROOT:-0}"
    echo "$NONCE:self]"
    echo "[$NONCE:clock"
    date +%s
    echo "$NONCE:clock]"

    # By its path, because `env -i` takes PATH away too.
    for head in /usr/bin/head /bin/head ''; do [ -x "$head" ] && break; done
    [ -n "$head" ] || head=$(command -v head)
    cut="$head -q -c 32768" cut_check="$head -c 4096"
    if ! $cut /dev/null; then
        for cut in /bin/cat /usr/bin/cat cat; do [ -x "$cut" ] && break; done
        cut_check=$cut
    fi

    if [ -r "$PROC/self/stat" ] && [ -r "$PROC/self/environ" ] && [ -r "$PROC/uptime" ]; then
        read_linux
        read_names
    else
        read_elsewhere
    fi
    checks
    read_disks
    echo "[$NONCE:ended"
    moment
    echo "$NONCE:ended]"
    echo "$NONCE:frame]"
}

# From here on nothing is said: bash reports the jobs that were killed even after the function has ended.
exec 2>/dev/null
probe </dev/null
exit 0
