#include "server/tcp.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum {
    UNSENT_MOST = 16384, /* less makes no difference: so much is allocated at once */
    PROBES = 3,
};

void tcp_bound_buffers(int socket, size_t receive_buffer)
{
    setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &(int){UNSENT_MOST}, sizeof(int));
    if (receive_buffer > 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &(int){(int)receive_buffer}, sizeof(int));
}

static int seconds(int64_t milliseconds)
{
    return milliseconds < 1000 ? 1 : (int)(milliseconds / 1000);
}

void tcp_keep_alive(int socket, int64_t interval, int64_t timeout)
{
    const int idle = seconds(interval);
    const int each = seconds(timeout / PROBES);
    setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &each, sizeof each);
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &(int){PROBES}, sizeof(int));
}

void tcp_forget(int socket)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

static struct tcp_info tcp_info_of(int socket)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0)
        info = (struct tcp_info){0};
    return info;
}

uint64_t tcp_bytes_received(int socket)
{
    return tcp_info_of(socket).tcpi_bytes_received;
}

uint64_t tcp_bytes_acknowledged(int socket)
{
    return tcp_info_of(socket).tcpi_bytes_acked;
}
