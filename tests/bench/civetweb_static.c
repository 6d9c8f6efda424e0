/*
 * civetweb_static: the benchmark's peer for files: CivetWeb serves a folder by itself, as it does
 * by default, on as many threads as lastcall has. Says where it listens, and ends with 0 at
 * SIGTERM.
 */
#include <civetweb.h>
#include <signal.h>
#include <stdio.h>

int main(int argc, char *argv[])
{
    if (argc != 3) {
        fputs("usage: civetweb_static FOLDER THREADS\n", stderr);
        return 64;
    }
    const char *settings[] = {
        "listening_ports", "127.0.0.1:0", "document_root", argv[1], "num_threads", argv[2], NULL,
    };
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL); /* before its threads, which inherit it */

    struct mg_callbacks callbacks = {0};
    struct mg_server_port port;
    mg_init_library(0);
    struct mg_context *context = mg_start(&callbacks, NULL, settings);
    if (context == NULL || mg_get_server_ports(context, 1, &port) != 1) {
        fputs("civetweb_static: CivetWeb does not start\n", stderr);
        return 69;
    }
    fprintf(stderr, "info listening address=127.0.0.1:%d\ninfo ready\n", port.port);
    int signal;
    sigwait(&signals, &signal);
    mg_stop(context);
    mg_exit_library();
    return 0;
}
