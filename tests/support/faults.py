"""Calls that fail: the test's side of tests/support/faults, and what is swept.

A `Faults` is a file that the daemon maps when it is started with `environment()`; what is armed in
it fails from then on, at once, in the running daemon. Nothing of the daemon's is changed by it: its
own calls go through the shim, all others go where they always went.
"""
import errno
import functools
import mmap
import os
import struct
import subprocess
import tempfile

import lastcall

SHIM = os.path.join(os.path.dirname(lastcall.PROGRAM), 'tests/libfaults.so')
HEAD, ROWS, ROW, NAME = struct.Struct('iiqqq'), 128, struct.Struct('32sq'), 32
ALWAYS = 1 << 62
Z_MEM_ERROR, EAI_MEMORY, EAI_AGAIN = -4, -10, -3

# Every function that our objects call and that can fail, with the errors that it is made to fail
# with. Functions of libuv fail with UV_E*, the negative number; those of zlib with Z_*.
MEMORY = [errno.ENOMEM]
DESCRIPTORS = [errno.EMFILE]
ERRORS = {
    'accept4': [errno.EMFILE, errno.ECONNABORTED],
    'access': [errno.EACCES],
    'aligned_alloc': MEMORY,
    'asprintf': MEMORY,
    'calloc': MEMORY,
    'close': [errno.EIO],
    'connect': [errno.ECONNREFUSED],
    'deflate': [Z_MEM_ERROR],
    'deflateInit2_': [Z_MEM_ERROR],
    'deflateReset': [Z_MEM_ERROR],
    'dup3': [errno.EMFILE],
    'eventfd': DESCRIPTORS,
    'EVP_Digest': MEMORY,
    'EVP_MD_fetch': MEMORY,
    'fclose': [errno.ENOSPC],
    'fcntl': DESCRIPTORS,
    'fdopen': MEMORY,
    'fflush': [errno.ENOSPC],
    'fgets': [errno.EIO],
    'fopen': DESCRIPTORS,
    'fprintf': [errno.ENOSPC],
    'fputc': [errno.ENOSPC],
    'fputs': [errno.ENOSPC],
    'fstat': [errno.EIO],
    'fwrite': [errno.ENOSPC],
    'getaddrinfo': [EAI_MEMORY],
    'getnameinfo': [EAI_MEMORY],
    'getpeername': [errno.ENOBUFS, errno.ENOTCONN],
    'getrandom': [errno.ENOSYS],
    'getrlimit': [errno.EPERM],
    'getsockname': [errno.ENOBUFS],
    'getsockopt': [errno.ENOBUFS],
    'inflate': [Z_MEM_ERROR],
    'inflateInit2_': [Z_MEM_ERROR],
    'inflateReset': [Z_MEM_ERROR],
    'ioctl': [errno.EIO],
    'lstat': [errno.EIO],
    'malloc': MEMORY,
    'mg_write': [errno.EPIPE],
    'mmap': MEMORY,
    'nanosleep': [errno.EINTR],
    'open': DESCRIPTORS,
    'open_memstream': MEMORY,
    'opendir': DESCRIPTORS,
    'pipe2': DESCRIPTORS,
    'poll': [errno.ENOMEM, errno.EINTR],
    'posix_spawn': [errno.EAGAIN, errno.ENOEXEC],
    'pread': [errno.EIO, errno.EINTR],
    'pthread_create': [errno.EAGAIN],
    'putc': [errno.ENOSPC],
    'read': [errno.EIO, errno.EINTR],
    'readdir': [errno.EIO],
    'realloc': MEMORY,
    'recv': [errno.ECONNRESET, errno.ENOMEM, errno.EINTR],
    'rename': [errno.ENOSPC],
    'sched_getaffinity': [errno.EINVAL],
    'send': [errno.EPIPE, errno.ENOBUFS, errno.EINTR],
    'sendfile': [errno.EIO, errno.ENOMEM],
    'sendmsg': [errno.EPIPE, errno.ENOBUFS, errno.EINTR],
    'sendto': [errno.ECONNREFUSED],
    'setrlimit': [errno.EPERM],
    'setsockopt': [errno.ENOMEM],
    'shutdown': [errno.ENOTCONN],
    'signalfd': DESCRIPTORS,
    'socket': DESCRIPTORS,
    'socketpair': DESCRIPTORS,
    'stat': [errno.EIO],
    'strdup': MEMORY,
    'syscall': [errno.EMFILE],
    'sysconf': [errno.EINVAL],
    'unlink': [errno.EACCES],
    'uv_async_init': DESCRIPTORS,
    'uv_getaddrinfo': [errno.ENOMEM],
    'uv_loop_init': [errno.EMFILE, errno.ENOMEM],
    'uv_poll_init': [errno.ENOMEM],
    'uv_poll_init_socket': [errno.ENOMEM],
    'write': [errno.EIO, errno.EINTR],
}

# What our objects call too, and why it is not made to fail: (pattern of names, why).
LEFT_OUT = [
    (r'_\w*(cxa|errno|gmon|ITM|libc_start|stack_chk|ctype|cpucount)\w*', 'the compiler\'s'),
    (r'__(asan|tsan|ubsan|lsan|sanitizer|interceptor)_\w+', 'a sanitizer\'s'),
    (r'(__)?(mem|st[pr])\w+|(__)?v?sn?printf(_chk)?|\w*scanf|gmtime_r|timegm|qsort|inet_\w+|'
     r'EVP_EncodeBlock|EVP_sha\w+', 'computes, and touches nothing else'),
    (r'_exit|clock_gettime|closedir|free|freeaddrinfo|munmap|getenv|getpid|isatty|signal|sig\w+|'
     r'time|unsetenv|waitpid|optarg|optind|in6addr_\w+|deflateEnd|inflateEnd|json_delete',
     'cannot fail, or it does not matter that it does'),
    (r'posix_spawn_file_actions_\w+|posix_spawnattr_\w+|realpath',
     'fails when malloc of libc does, and is dealt with like posix_spawn and malloc'),
    (r'kill|prctl|waitid', 'cannot fail, or it does not matter that it does'),
    (r'pthread_(cond|condattr|detach|mutex|join|once|self)\w*', 'fails only where the program is wrong'),
    (r'(__)?printf(_chk)?|puts|putchar|getopt_long', 'what -h, -t and -T print, before anything runs'),
    (r'uv_async_send', 'libuv ends the process itself when this fails'),
    (r'uv_(cancel|close|freeaddrinfo|hrtime|loop_alive|loop_close|now|poll_start|prepare_\w+|run|'
     r'stop|timer_\w+|update_time|walk)', 'fails only where the program is wrong'),
    (r'json_\w+', 'fails when malloc of libjansson does, and that is made to fail'),
    (r'OPENSSL_init_crypto|OSSL_LIB_CTX_get0_global_default',
     'fails when malloc of libcrypto does, and that is made to fail'),
    (r'ini_parse_stream', 'takes no memory from the system: inih works on the stack'),
    (r'mg_\w+', 'fails when calls of CivetWeb do: docs/faults.md'),
]

# Libraries whose memory is made to fail, because ours has to deal with what they then return.
LIBRARIES = ['libjansson', 'libz']


@functools.cache
def places():
    """The shim's functions: {name: place}. It writes them into the file of any program."""
    with tempfile.TemporaryDirectory(prefix='lastcall-test-') as directory:
        faults = Faults(os.path.join(directory, 'faults'), {})
        subprocess.run(['/bin/true'], env={**os.environ, **faults.environment()}, check=True)
        names = [faults.row(place)[0] for place in range(ROWS)]
        return {name: place for place, name in enumerate(names) if name}


class Faults:
    def __init__(self, path, known=None):
        self.path = path
        with open(path, 'wb') as file:
            file.truncate(HEAD.size + ROWS * ROW.size)
        with open(path, 'r+b') as file:
            self.map = mmap.mmap(file.fileno(), 0)
        self.places = places() if known is None else known
        self.disarm()

    def environment(self, of=''):
        """What a daemon is started with; `of`: whose calls fail, as a file's name begins."""
        if not os.path.exists(SHIM):
            raise AssertionError(f'{SHIM} is not there: build it')
        return {'LD_PRELOAD': SHIM, 'FAULTS': self.path, 'FAULTS_OBJECT': of,
                'ASAN_OPTIONS': 'verify_asan_link_order=0'}

    def row(self, place):
        name, made = ROW.unpack_from(self.map, HEAD.size + place * ROW.size)
        return name.rstrip(b'\0').decode(), made

    def arm(self, function, first, last, error):
        """The calls from `first` to `last`, counted from now on, fail with `error`."""
        place = self.places[function]
        self.disarm()
        struct.pack_into('q', self.map, HEAD.size + place * ROW.size + NAME, 0)
        struct.pack_into('i', self.map, 4, error)
        struct.pack_into('qqq', self.map, 8, first, last, 0)
        struct.pack_into('i', self.map, 0, place)

    def disarm(self):
        struct.pack_into('i', self.map, 0, -1)

    def reached(self):
        """How many calls have failed."""
        return HEAD.unpack_from(self.map)[4]

    def made(self):
        """How often each function was called: {name: times}."""
        return dict(self.row(place) for place in self.places.values())
