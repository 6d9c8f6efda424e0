#!/usr/bin/env bats
# The command line: options, exit statuses, and what they print where.

load ../support/helper

ECHO=$'[route /echo]\nhandler = echo'

# A port that nobody listens on at this moment.
free_port() {
    /usr/bin/python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

@test "-V prints the version on standard output" {
    run --separate-stderr "$LASTCALL" -V
    [ "$status" -eq 0 ]
    [[ "$output" =~ lastcall\ [0-9]+\.[0-9]+ ]]
    [ -z "$stderr" ]
}

@test "-h prints every option on standard output" {
    run --separate-stderr "$LASTCALL" -h
    [ "$status" -eq 0 ]
    for option in -c -s -t -T --health -V -h; do
        [[ "$output" == *"$option"* ]]
    done
    [ -z "$stderr" ]
}

@test "the long forms --test and --dump are known" {
    printf '%s\n' "$ECHO" >"$CONFIG"
    "$LASTCALL" -c "$CONFIG" --test
    "$LASTCALL" -c "$CONFIG" --dump | grep -q '^handler = echo$'
}

@test "an unknown option is 64 and named" {
    run "$LASTCALL" -Z
    [ "$status" -eq 64 ]
    [[ "$output" == *Z* ]]
    run "$LASTCALL" --nonsense
    [ "$status" -eq 64 ]
    [[ "$output" == *nonsense* ]]
}

@test "an option without its argument is 64" {
    run "$LASTCALL" -c
    [ "$status" -eq 64 ]
    run "$LASTCALL" -s
    [ "$status" -eq 64 ]
}

@test "an argument too many is 64 and named" {
    run "$LASTCALL" some.ini
    [ "$status" -eq 64 ]
    [[ "$output" == *some.ini* ]]
}

@test "a file that is not there is 78 and named" {
    run "$LASTCALL" -c "$DIRECTORY/none.ini" -t
    [ "$status" -eq 78 ]
    [[ "$output" == *none.ini* ]]
}

@test "a mistake is shown as FILE:LINE: message and the status is 78" {
    printf '[limits]\nconections = 5\n%s\n' "$ECHO" >"$CONFIG"
    run "$LASTCALL" -c "$CONFIG" -t
    [ "$status" -eq 78 ]
    [[ "$output" == *"$CONFIG:2: "* ]]
    [[ "$output" == *connections* ]]
}

@test "every root that is not there is shown as FILE:LINE: message, by a check and by a start" {
    printf '[route %s]\nhandler = static\nroot = %s\n' '/a/*' "$DIRECTORY/none" \
        '/b/*' "$DIRECTORY/nothing" >"$CONFIG"
    for option in -t ''; do
        run "$LASTCALL" -c "$CONFIG" ${option:+"$option"}
        [ "$status" -eq 78 ]
        [[ "${lines[0]}" == "$CONFIG:"[123]": "*"$DIRECTORY/none"* ]]
        [[ "${lines[1]}" == "$CONFIG:"[456]": "*"$DIRECTORY/nothing"* ]]
    done
}

@test "a port that is in use is 69 and the address and the reason are named" {
    start_daemon
    address=${URL#ws://}
    run "$LASTCALL" -c "$CONFIG" -s log.level=error -s "server.listen=$address"
    [ "$status" -eq 69 ]
    [[ "$output" =~ "$address: "[^:]*"Address already in use" ]]
    stop_daemon 0
}

@test "of several addresses the one that is in use is named with the reason" {
    start_daemon
    address=${URL#ws://}
    run "$LASTCALL" -c "$CONFIG" -s log.level=error \
        -s "server.listen=127.0.0.2:0, $address, 127.0.0.3:0"
    [ "$status" -eq 69 ]
    [[ "$output" =~ "$address: "[^:]*"Address already in use" ]]
    stop_daemon 0
}

@test "an address that this machine does not have is 69, and named with the reason" {
    printf '%s\n' "$ECHO" >"$CONFIG"
    run "$LASTCALL" -c "$CONFIG" -s log.level=error -s server.listen=203.0.113.7:8080
    [ "$status" -eq 69 ]
    [[ "$output" == *203.0.113.7:8080*"Cannot assign requested address"* ]]
}

@test "--health is 0 while the daemon serves and 1 when it does not" {
    port=$(free_port)
    printf '[server]\nlisten = 127.0.0.1:%s\n[route /health/*]\nhandler = health\n%s\n' \
        "$port" "$ECHO" >"$CONFIG"
    run "$LASTCALL" -c "$CONFIG" --health
    [ "$status" -eq 1 ]
    [[ "$output" == *"$port"* ]]
    start_daemon
    "$LASTCALL" -c "$CONFIG" --health
    stop_daemon 0
    run "$LASTCALL" -c "$CONFIG" --health
    [ "$status" -eq 1 ]
}

@test "--health finds a daemon that listens on every address" {
    printf '[server]\nlisten = *:%s\n[route /health/*]\nhandler = health\n%s\n' \
        "$(free_port)" "$ECHO" >"$CONFIG"
    start_daemon
    "$LASTCALL" -c "$CONFIG" --health
    stop_daemon 0
}

@test "without a file it serves the page, echo, health and metrics" {
    "$LASTCALL" -s server.listen=127.0.0.1:0 >/dev/null 2>"$LOG" 3>&- 4>&- &
    DAEMON=$!
    wait_log 'info ready '
    URL=ws://$(sed -n 's/.*info listening address=\([^ ]*\).*/\1/p' "$LOG")
    run --separate-stderr "$WEBSOCAT" -n1 "$URL/echo" <<<'hello'
    [ "$output" = hello ]
    for path in / /health/live /metrics; do
        /usr/bin/python3 - "${URL/ws/http}$path" <<-'END'
		import sys, urllib.request
		assert urllib.request.urlopen(sys.argv[1], timeout=10).status == 200
		END
    done
    stop_daemon 0
}

@test "a dump without a file loads again as it is" {
    "$LASTCALL" -T >"$CONFIG"
    grep -qx 'handler = page' "$CONFIG"
    "$LASTCALL" -c "$CONFIG" -T | cmp - "$CONFIG"
}

@test "logs go to standard error and nothing to standard output" {
    printf '[server]\nlisten = 127.0.0.1:0\n%s\n' "$ECHO" >"$CONFIG"
    "$LASTCALL" -c "$CONFIG" >"$DIRECTORY/stdout" 2>"$LOG" 3>&- 4>&- &
    # shellcheck disable=SC2034  # stop_daemon reads it
    DAEMON=$!
    wait_log 'info ready '
    stop_daemon 0
    [ ! -s "$DIRECTORY/stdout" ]
    [[ "$(tail -n 1 "$LOG")" == *'stopped status=0'* ]]
}
