/* Makes the n-th call of a kind on files below a folder fail, or kills the process there. Loaded with LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPEN, WRITE, FSYNC, RENAME, CLOSE, KINDS, ANY = KINDS };

static char folder[PATH_MAX];
static int kind_armed = -1, number_armed, error_armed, signal_armed, stays;
static int counts[KINDS + 1];

/* error: what errno becomes; signal: what the process is sent instead; stay: whether all later calls fail too. */
void fault_arm(const char *below, int kind, int number, int error, int signal, int stay) {
    strncpy(folder, below, sizeof folder - 1);
    kind_armed = kind;
    number_armed = number;
    error_armed = error;
    signal_armed = signal;
    stays = stay;
    memset(counts, 0, sizeof counts);
}

int fault_count(int kind) { return counts[kind]; }

static int is_below(const char *path) {
    size_t length = strlen(folder);
    return length && !strncmp(path, folder, length) && path[length] == '/';
}

static int below_at(int at, const char *path) {
    char whole[PATH_MAX], base[PATH_MAX];
    if (!path) return 0;
    if (path[0] == '/') return is_below(path);
    if (at == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) return 0;
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t size = readlink(link, base, sizeof base - 1);
        if (size < 0) return 0;
        base[size] = 0;
    }
    if ((size_t)snprintf(whole, sizeof whole, "%s/%s", base, path) >= sizeof whole) return 0;
    return is_below(whole);
}

static int fd_below(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return is_below(path);
}

/* Whether this call is the one; if a signal is to be sent, it is. */
static int hit(int kind) {
    int any = ++counts[ANY], count = ++counts[kind];
    if (kind_armed == ANY) count = any;
    if ((kind != kind_armed && kind_armed != ANY) || !number_armed) return 0;
    if (stays ? count < number_armed : count != number_armed) return 0;
    if (signal_armed) {
        raise(signal_armed);
        return 0;
    }
    errno = error_armed;
    return 1;
}

#define NEXT(name) __typeof__(&name) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t size) {
    NEXT(write);
    if (!fd_below(fd)) return next(fd, data, size);
    if (!hit(WRITE)) return next(fd, data, size);
    int error = errno;
    if (size > 1 && next(fd, data, size / 2) < 0) { /* part of it lands on the disk */ }
    errno = error;
    return -1;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    NEXT(pwrite64);
    return fd_below(fd) && hit(WRITE) ? -1 : next(fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    NEXT(pwrite);
    return fd_below(fd) && hit(WRITE) ? -1 : next(fd, data, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    NEXT(writev);
    return fd_below(fd) && hit(WRITE) ? -1 : next(fd, parts, count);
}

int fsync(int fd) {
    NEXT(fsync);
    return fd_below(fd) && hit(FSYNC) ? -1 : next(fd);
}

int fdatasync(int fd) {
    NEXT(fdatasync);
    return fd_below(fd) && hit(FSYNC) ? -1 : next(fd);
}

int rename(const char *from, const char *to) {
    NEXT(rename);
    return below_at(AT_FDCWD, to) && hit(RENAME) ? -1 : next(from, to);
}

int renameat(int a, const char *from, int b, const char *to) {
    NEXT(renameat);
    return below_at(b, to) && hit(RENAME) ? -1 : next(a, from, b, to);
}

int close(int fd) {
    NEXT(close);
    if (!fd_below(fd) || !hit(CLOSE)) return next(fd);
    int error = errno;
    next(fd);
    errno = error;
    return -1;
}

#define OPENED(name, at, ...)                                                                                  \
    NEXT(name);                                                                                                \
    mode_t mode = 0;                                                                                           \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                                                     \
        va_list rest;                                                                                          \
        va_start(rest, flags);                                                                                 \
        mode = va_arg(rest, mode_t);                                                                           \
        va_end(rest);                                                                                          \
    }                                                                                                          \
    if ((flags & O_ACCMODE) != O_RDONLY && below_at(at, path) && hit(OPEN)) return -1;                         \
    return next(__VA_ARGS__, mode);

int open(const char *path, int flags, ...) { OPENED(open, AT_FDCWD, path, flags) }
int open64(const char *path, int flags, ...) { OPENED(open64, AT_FDCWD, path, flags) }
int openat(int at, const char *path, int flags, ...) { OPENED(openat, at, at, path, flags) }
int openat64(int at, const char *path, int flags, ...) { OPENED(openat64, at, at, path, flags) }
