# The probe: all that is read on one remote. Facts that are a line of some file are listed in machine_facts.py.
#
# It is sent to standard input of `exec /bin/sh -s`, after lines that set
#   NONCE  letters and digits that only this attempt knows; every marker carries it, so nothing else can pass for one
#   ROOT   the pid whose whole subtree is the checker's own (local connections), or nothing
#   PROC   where the process filesystem is: /proc
#   TOP    prefix of every other path: empty, or the folder of a recorded machine
#   UNITS  the systemd units that are asked for
#   JOURNAL  whether their last log lines are asked for, too: yes, or nothing
#   FILES  whether files are asked for: yes, or nothing
#   LOG_FILES  whether the files that processes write to are listed: yes, or nothing
#   LAST_LINES  whether the last lines of such files are asked for: yes, or nothing
#   HOURLY whether the hourly facts are read: yes, or nothing
#   LISTENERS  whether listening TCP ports are listed: yes, or nothing
# and after the functions `grep_facts` and `sysctl_facts`, which print the facts that are a line of some file or of
# sysctl, and `checks`, `files` and `logs`, which call `check`, `look_at` and `print_log` once for each. It prints a
# frame of sections, "[NONCE:name words" to "NONCE:name]". Nothing is written, nothing has to be installed, and the exit
# code is always 0, because 255 would read as a broken connection.
#
# Reads that cannot hang come first: a probe that is cut short still returns every section before the cut.
#
# POSIX sh and nothing more: dash, busybox ash, bash, ksh, mksh, the BSDs' sh. `echo` and not `printf`, because mksh
# and OpenBSD's sh have no builtin printf. Cheap: ten forks on a Linux remote with up to 400 processes and no checks;
# one less where there is no hardware to read. Eight more once an hour.

# The separator of two processes is in the environment of the command that prints the files. An argument may hold any
# byte but NUL, so the separator has to be secret.
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

kill_tree() { # pid - sends SIGSTOP until no new child appears, so that none can fork, then kills all
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
        # Not TERM: mksh loses one that comes before the sleep was started in its child, and then waits it out.
        kill -9 "$nap"
        exit "$code"
    ) </dev/null &
    worker=$!
    if wait "$nap"; then
        # Not waited for: a process in uninterruptible sleep ignores kill -9.
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
# not the SSH session. The exit code goes around the pipe. Its command is no argument, because it may hold a password,
# and arguments are shown to every user.
run_check() {
    {
        {
            REMOTESTATUS_CHECK=$1 /bin/sh -c 'eval "unset REMOTESTATUS_CHECK; $REMOTESTATUS_CHECK"' 2>&1 3>&-
            echo "$NONCE:exit $?" >&3
        } | {
            $cut_check
            cat >/dev/null
        }
    } 3>&1
}

read_linux() {
    echo "[$NONCE:linux"
    grep_facts
    echo "$NONCE:linux]"
    read_signs

    # Listed once, so that a process that starts just now is not found without its owner.
    set -- $PROC/[0-9]*
    processes=$*
    echo "[$NONCE:owners"
    in_batches print_owners status cgroup
    echo "$NONCE:owners]"

    # hidepid=2 leaves out other users' processes, hidepid=1 keeps their directories shut.
    hidden=
    [ -r "$PROC/1/stat" ] || hidden=hidden
    echo "[$NONCE:processes $hidden"
    in_batches print_files self/environ stat cmdline
    echo "$NONCE:processes]"
}

# Of the control groups only those of services: a process of a session belongs to no unit that could be asked about.
print_owners() { grep -E '^(Uid|VmRSS):|^(0:|1:name=systemd):.*\.service' /dev/null "$@"; }

# Facts from the existence of files, with shell tests only.
read_signs() {
    echo "[$NONCE:signs"
    container=
    for file in /.dockerenv /run/.containerenv /run/systemd/container; do
        [ -e "$TOP$file" ] && container=yes
    done
    [ -n "$container" ] && echo container
    [ -e "$TOP/run/reboot-required" ] || [ -e "$TOP/var/run/reboot-required" ] && echo reboot-required
    # The running kernel's modules are gone and another's are there: it was replaced by an update.
    if [ -z "$container" ] && read -r kernel rest <"$PROC/sys/kernel/osrelease"; then
        for folder in "$TOP"/lib/modules/*/modules.dep; do
            [ -e "$folder" ] && ! [ -e "$TOP/lib/modules/$kernel" ] && echo modules-gone && break
        done
    fi
    [ -d "$TOP/run/systemd/system" ] && echo systemd
    echo "$NONCE:signs]"
}

# A broken sensor may take its time, so the hardware comes after the processes. Only sensors of the processor and board:
# reading a disk's may wake it.
read_hardware() {
    set --
    for sensor in "$TOP"/sys/class/hwmon/hwmon*; do
        name=
        read -r name rest <"$sensor/name" || continue
        case $name in
            rpi_volt) set -- "$@" "$sensor"/in*_lcrit_alarm ;;
            coretemp | k10temp | zenpower | cpu_thermal | cpu-thermal | soc_thermal | cputemp* | scpi_sensors)
                set -- "$@" "$sensor"/temp*_input
                ;;
        esac
    done
    for file in "$TOP"/sys/class/thermal/thermal_zone*/temp "$TOP"/sys/block/mmcblk*/device/life_time \
        "$TOP"/sys/block/mmcblk*/device/pre_eol_info; do
        [ -e "$file" ] && set -- "$@" "$file"
    done
    [ $# -gt 0 ] || return
    echo "[$NONCE:hardware"
    grep -E '^[-0-9]' /dev/null "$@"
    echo "$NONCE:hardware]"
}

read_elsewhere() {
    echo "[$NONCE:sysctl"
    sysctl_facts
    echo "$NONCE:sysctl]"
    echo "[$NONCE:mounts"
    limit 3 mount
    echo "$NONCE:mounts]"
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
# -l and is asked again without. The share of inodes comes in a table of its own (-i), which some df do not know.
read_disks() {
    for only in l ''; do
        echo "[$NONCE:disks"
        limit 5 print_disks
        code=$?
        echo "$NONCE:exit $code"
        echo "$NONCE:disks]"
        case $code in 0 | 124) return ;; esac
    done
}

print_disks() {
    df -Pk$only
    code=$?
    [ -r "$PROC/self/stat" ] || return $code
    echo "$NONCE:inodes"
    df -Pi$only
    return $code
}

# systemctl can hang when systemd does, so it has its own timeout.
read_units() {
    [ -d "$TOP/run/systemd/system" ] || return
    [ -n "$UNITS$HOURLY" ] || return
    echo "[$NONCE:units"
    limit 5 print_units
    echo "$NONCE:exit $?"
    echo "$NONCE:units]"
}

print_units() {
    set -f
    systemctl list-units --state=failed --plain --no-legend --no-pager || return
    [ -n "$UNITS" ] || return 0
    echo "$NONCE:show"
    # shellcheck disable=SC2086 # a list of words
    systemctl show --no-pager -p Id -p LoadState -p ActiveState -p SubState -p Result -p NRestarts -p ExecMainCode \
        -p ExecMainStatus -p TriggeredBy -p Type -p StateChangeTimestampMonotonic -- $UNITS
}

# The last log lines of ended services, if the account may read the journal (systemd-journald(8)); only their own lines,
# because systemd's are known from above.
read_journal() {
    [ -n "$JOURNAL" ] && [ -d "$TOP/run/systemd/system" ] || return
    echo "[$NONCE:journal"
    limit 5 print_journal
    echo "$NONCE:journal]"
}

print_journal() {
    set -f
    for unit in $UNITS; do
        echo "$NONCE:unit"
        { journalctl -q --no-pager -o cat -n 3 "_SYSTEMD_UNIT=$unit" && print_log_file "$unit"; } | $cut_check
    done
}

# systemctl(1) shows only that its output goes to a file, and not to which: StandardOutput=append:/var/log/capture.log
print_log_file() { # unit
    file=$(systemctl cat "$1" | sed -n 's/^StandardOutput=[a-z]*:\//\//p' | tail -n 1)
    [ -f "$file" ] && tail -n 3 "$file"
}

# Whether the clock is synchronized. timedatectl starts a service to find out.
read_synchronised() {
    [ -n "$HOURLY" ] || return
    echo "[$NONCE:synchronised"
    limit 5 print_synchronised
    echo "$NONCE:synchronised]"
}

print_synchronised() {
    [ -d "$TOP/run/systemd/system" ] && timedatectl show -p NTPSynchronized && return
    adjtimex || busybox adjtimex
}

# The newest file of a pattern. [ -nt ] is no fork, and a folder may hold thousands.
look_at() { # name in hexadecimal, pattern
    case $2 in '~/'*) pattern=$HOME/${2#'~/'} ;; *) pattern=$2 ;; esac
    newest= count=0 IFS=
    # shellcheck disable=SC2086 # the pattern is meant to be expanded, but not split
    for file in $pattern; do
        [ -e "$file" ] || continue
        count=$((count + 1))
        if [ -z "$newest" ] || [ "$file" -nt "$newest" ]; then newest=$file; fi
    done
    IFS=$spaces
    seen=
    # A shell that cannot compare two files says so with another code than 1.
    [ / -nt / ]
    if [ $? != 1 ] && [ "$count" -gt 1 ]; then
        newest=
    elif [ "$count" != 0 ]; then
        seen=$(stat -Lc '%Y %s' "$newest" || stat -Lf '%m %z' "$newest" || date -r "$newest" +%s)
    elif is_hidden "$pattern"; then
        seen=hidden
    fi
    echo "$1 $count ${seen:-?}"
}

# Whether the pattern's folder is not readable: then the result is unknown, not missing.
is_hidden() { # pattern
    folder=$1
    while [ "$folder" != "${folder%/*}" ]; do
        folder=${folder%/*}
        case $folder in *[*?[]*) continue ;; esac
        if [ -d "${folder:-/}" ]; then
            [ -r "${folder:-/}" ] && [ -x "${folder:-/}" ] && return 1
            return 0
        fi
    done
    return 1
}

read_files() {
    [ -n "$FILES" ] || return
    echo "[$NONCE:files"
    limit 10 files
    echo "$NONCE:exit $?"
    echo "$NONCE:files]"
}

# The files that processes write to: where their standard output goes, or else their standard error. Only the process's
# user and root can see that.
read_log_files() {
    [ -n "$LOG_FILES" ] || return
    echo "[$NONCE:written"
    limit 5 in_batches print_log_files fd/1 fd/2
    echo "$NONCE:written]"
}

# Only what is a file here, too: not deleted, and not one of a container, which has another file at that path. With -n no
# name service is asked whose the links are.
print_log_files() {
    ls -ln "$@" | while read -r line; do
        link=${line#*" $PROC/"} file=${line#*" -> "}
        case $link in [0-9]*/fd/[12]" -> /"*) link=${link%%" -> "*} ;; *) continue ;; esac
        case $file in *\\*) continue ;; esac
        [ -f "$file" ] && [ -r "$file" ] || continue
        [ "$PROC/$link" -ef "$file" ]
        # posh cannot tell, and says so with another code.
        [ $? = 1 ] || echo "$link $file"
    done
}

read_last_lines() {
    [ -n "$LAST_LINES" ] && limit 5 logs
}

print_log() { # name in hexadecimal, path
    echo "[$NONCE:log $1"
    [ -f "$2" ] && print_last_lines "$2" <"$2" | $cut_check
    echo
    echo "$NONCE:log]"
}

# The file is open already. Another account that may write to its folder may have linked it to a private file of this
# one.
print_last_lines() { # path
    case $(ls -ln "$PROC/self/fd/0") in *" -> $1") tail -n 3 ;; esac
}

# The owner of a port is in /proc/PID/fd, which only the process's user and root can read.
read_listeners() {
    [ -n "$LISTENERS" ] && [ -r "$PROC/self/net/tcp" ] || return
    echo "[$NONCE:listeners"
    limit 5 print_listeners
    echo "$NONCE:exit $?"
    echo "$NONCE:listeners]"
}

# Sockets that listen (0A), and connections (01) on which something was sent again, because the other end is silent.
print_listeners() {
    again='01 [0-9A-F:]+ [0-9A-F]+:[0-9A-F]+ 0*[1-9A-F]'
    grep -hE "^ *[0-9]+: [0-9A-F]+:[0-9A-F]+ [0-9A-F]+:[0-9A-F]+ (0A|$again)" \
        "$PROC/self/net/tcp" "$PROC/self/net/tcp6"
    set -- "$PROC/self/fd"
    for process in $processes; do
        [ -r "$process/fd" ] && set -- "$@" "$process/fd"
    done
    # ls names the folders as soon as there are two.
    [ $# -gt 1 ] && ls -l "$@" | grep -E '^/|socket:\['
    return 0
}

probe() {
    LC_ALL=C
    PATH=$PATH:/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin:/usr/local/sbin:/usr/pkg/bin:/opt/bin
    PATH=$PATH:/usr/lib/nagios/plugins:/usr/lib64/nagios/plugins:/usr/lib/monitoring-plugins:/usr/local/libexec/nagios
    export LC_ALL PATH
    unset POSIXLY_CORRECT BLOCKSIZE BLOCK_SIZE DF_BLOCK_SIZE
    unset GREP_OPTIONS GREP_COLOR PS_FORMAT PS_PERSONALITY COLUMNS ENV
    spaces=' 	
'
    IFS=$spaces
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
        read_hardware
    else
        read_elsewhere
    fi
    checks
    read_listeners
    read_files
    read_log_files
    read_last_lines
    read_units
    read_journal
    read_synchronised
    read_disks
    echo "[$NONCE:ended"
    moment
    echo "$NONCE:ended]"
    echo "$NONCE:frame]"
}

# No standard error from here on: bash reports killed jobs even after the function has ended.
exec 2>/dev/null
probe </dev/null
exit 0
