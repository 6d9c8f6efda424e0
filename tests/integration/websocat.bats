#!/usr/bin/env bats
# What a person with websocat sees.

load ../support/helper

@test "a line comes back from /echo" {
    start_daemon
    run --separate-stderr "$WEBSOCAT" -n1 "$URL/echo" <<<'hello'
    [ "$status" -eq 0 ]
    [ "$output" = hello ]
    stop_daemon 0
}

@test "several lines come back in their order" {
    start_daemon
    client talker /echo
    client_says one
    client_says two
    client_says three
    wait_for 10 has_line "$DIRECTORY/talker.out" '^three$'
    [ "$(cat "$DIRECTORY/talker.out")" = $'one\ntwo\nthree' ]
    client_input_ends
    client_ends
    wait_log 'session closed .*received=3 sent=3 .*code=1005 outcome=handshake'
    stop_daemon 0
}

@test "binary data comes back as it was" {
    start_daemon
    head -c 50000 /dev/urandom >"$DIRECTORY/sent"
    client talker -b /echo
    cat "$DIRECTORY/sent" >&"$INPUT"
    same() { cmp -s "$DIRECTORY/sent" "$DIRECTORY/talker.out"; }
    wait_for 10 same
    client_input_ends
    client_ends
    stop_daemon 0
}

@test "a message of 60000 bytes comes back" {
    start_daemon
    head -c 45000 /dev/urandom | base64 -w 0 >"$DIRECTORY/line"
    client talker /echo
    client_says "$(cat "$DIRECTORY/line")"
    same() { cmp -s <(cat "$DIRECTORY/line"; echo) "$DIRECTORY/talker.out"; }
    wait_for 10 same
    client_input_ends
    client_ends
    stop_daemon 0
}

@test "a path that is no route is refused" {
    start_daemon
    run "$WEBSOCAT" -n1 "$URL/nowhere" <<<'hello'
    [ "$status" -ne 0 ]
    wait_log 'refused .*status=404'
    stop_daemon 0
}

@test "at SIGTERM a client sees 1001 and the reason, and one that leaves without an answer is gone" {
    start_daemon
    client guest -E /echo
    kill -TERM "$DAEMON"
    client_ends
    grep -q 1001 "$DIRECTORY/guest.err"
    grep -q 'server shutting down' "$DIRECTORY/guest.err"
    end_daemon 0
    grep -qE 'info stopped .*open=1 handshake=0 gone=1 forced=0' "$LOG"
}

@test "a client that answers the Close is closed by handshake" {
    start_daemon
    client guest /echo
    kill -TERM "$DAEMON"
    wait_for 10 has_line "$DIRECTORY/guest.err" 1001
    client_input_ends
    end_daemon 0
    client_ends
    grep -qE 'session closed .*code=1001 outcome=handshake' "$LOG"
    grep -qE 'info stopped .*open=1 handshake=1 gone=0 forced=0' "$LOG"
}

@test "a client that stays silent is forced after close_timeout, and the status is 1" {
    start_daemon -s shutdown.close_timeout=600ms
    client guest /echo
    stop_daemon 1
    grep -qE 'session closed .*code=1001 outcome=forced' "$LOG"
    grep -qE 'warning stopped .*drain=forced .*forced=1' "$LOG"
    client_ends
}

@test "the configured code and reason reach the client" {
    start_daemon -s shutdown.close_code=1012 -s 'shutdown.close_reason=back in a minute'
    client guest -E /echo
    kill -TERM "$DAEMON"
    client_ends
    grep -q 1012 "$DIRECTORY/guest.err"
    grep -q 'back in a minute' "$DIRECTORY/guest.err"
    end_daemon 0
}

@test "twenty clients are all told and all gone with status 0" {
    start_daemon
    for number in $(seq 20); do
        client "guest$number" -E /echo
    done
    kill -TERM "$DAEMON"
    end_daemon 0
    for number in $(seq 20); do
        wait_for 10 has_line "$DIRECTORY/guest$number.err" 1001
    done
    grep -qE 'info stopped .*open=20 .*forced=0' "$LOG"
}

@test "Ctrl-C is as good as SIGTERM" {
    start_daemon
    client guest -E /echo
    kill -INT "$DAEMON"
    end_daemon 0
    client_ends
    grep -q 1001 "$DIRECTORY/guest.err"
}
