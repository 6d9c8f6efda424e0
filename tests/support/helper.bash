# For bats files: the daemon on a free port, websocat, and waits for log lines.
# $LASTCALL names the program, $WEBSOCAT the client, $TIME_FACTOR stretches every time limit.

bats_require_minimum_version 1.5.0

ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
LASTCALL=${LASTCALL:-$ROOT/build/release/lastcall}
TIME_FACTOR=${TIME_FACTOR:-1}
WEBSOCAT=${WEBSOCAT:-$(command -v websocat || echo "$ROOT/tests/support/websocat")}

setup() {
    DIRECTORY=$(mktemp -d)
    CONFIG=$DIRECTORY/lastcall.ini
    LOG=$DIRECTORY/log
    DAEMON=
    CLIENTS=()
}

# What a test left running is ended by its pid; a daemon must then end with 0 all the same.
teardown() {
    local client status=0
    for client in "${CLIENTS[@]}"; do
        kill "$client" 2>/dev/null || true
    done
    if [ -n "$DAEMON" ]; then
        stop_daemon 0 || status=1
    fi
    if [ -z "${BATS_TEST_COMPLETED:-}" ] || [ "$status" -ne 0 ]; then
        tail -n 60 "$LOG" 2>/dev/null | sed 's/^/log: /' || true
    fi
    rm -rf "$DIRECTORY"
    return "$status"
}

# Seconds, as a whole number of waits of 50 ms on this machine and build.
waits() {
    awk -v seconds="$1" -v factor="$TIME_FACTOR" 'BEGIN { printf "%d", seconds * factor * 20 + 1 }'
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
    local left
    left=$(waits "$1")
    shift
    until "$@"; do
        left=$((left - 1))
        if [ "$left" -le 0 ]; then
            echo "not within its time: $*"
            return 1
        fi
        sleep 0.05
    done
}

has_line() {
    grep -qE -- "$2" "$1" 2>/dev/null
}

# wait_log PATTERN: until a line of the daemon's log matches.
wait_log() {
    wait_for 10 has_line "$LOG" "$1"
}

# start_daemon [ARGUMENT...]: with $CONFIG if it was written, else with the base below; sets $URL.
start_daemon() {
    if [ ! -e "$CONFIG" ]; then
        cat >"$CONFIG" <<-END
		[server]
		listen = 127.0.0.1:0
		[log]
		level = debug
		[route /echo]
		handler = echo
		[route /health/*]
		handler = health
		END
    fi
    "$LASTCALL" -c "$CONFIG" "$@" >/dev/null 2>"$LOG" 3>&- 4>&- &
    DAEMON=$!
    wait_log 'info ready '
    local address
    address=$(sed -n 's/.*info listening address=\([^ ]*\).*/\1/p' "$LOG" | head -n 1)
    URL=ws://$address
}

# end_daemon STATUS: waits for the end of a daemon that was signalled and checks its exit status.
end_daemon() {
    local expected=$1 status=0 pid=$DAEMON
    DAEMON=
    if ! wait_for 20 is_over "$pid"; then
        kill -KILL "$pid"
        return 1
    fi
    wait "$pid" || status=$?
    if [ "$status" -ne "$expected" ]; then
        echo "exit status $status instead of $expected"
        return 1
    fi
}

# A process that has ended is a zombie until it is waited for.
is_over() {
    ! grep -q '^State:[[:space:]][^ZX]' "/proc/$1/status" 2>/dev/null
}

stop_daemon() {
    kill -TERM "$DAEMON" 2>/dev/null || true
    end_daemon "$1"
}

# client NAME [OPTION...] PATH: websocat in the background. Its input is a pipe that stays open
# until client_input_ends; its output is $DIRECTORY/NAME.out and .err. Returns once it is open.
client() {
    local name=$1 path=${*: -1}
    mkfifo "$DIRECTORY/$name.in"
    "$WEBSOCAT" "${@:2:$#-2}" -vv "$URL$path" <"$DIRECTORY/$name.in" \
        >"$DIRECTORY/$name.out" 2>"$DIRECTORY/$name.err" 3>&- 4>&- &
    CLIENTS+=("$!")
    exec {INPUT}>"$DIRECTORY/$name.in"
    wait_for 10 has_line "$DIRECTORY/$name.err" 'Connected to ws'
}

client_says() {
    printf '%s\n' "$1" >&"$INPUT"
}

client_input_ends() {
    exec {INPUT}>&-
}

client_ends() {
    wait_for 10 is_over "${CLIENTS[-1]}"
}
