/* Preloaded: counts, and attacks, every change of files below a folder, whoever in the process
   makes it: Python, DuckDB, Arrow or TensorFlow. torture/attack.py arms it through `torture_arm`.

   A change is a call that creates, writes, renames, links, removes, truncates or syncs. Each gets a
   number. A log has a line for each that succeeded: kind, path, second path, bytes in the file.
   Not seen are C's FILE and mapped memory; torture/matrix.py notices a change that is not in the log. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH 8192
#define REAL(name) ((__typeof__(&name))real(#name))

enum { OFF, COUNT, KILL, TEAR, FAIL, FULL, SLOW };

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH], kept[PATH];
static int mode = OFF, error_number, log_file = -1;
static long at, number, pause_us;

static void *real(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) abort();
    return function;
}

/* `keep`: folder for hard links to what is replaced or removed, or "". `how`: errno, or microseconds. */
void torture_arm(const char *folder, const char *log, const char *keep, int what, long when, long how) {
    pthread_mutex_lock(&turn);
    snprintf(root, PATH, "%s", folder);
    snprintf(kept, PATH, "%s", keep);
    log_file = *log ? REAL(open)(log, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600) : -1;
    mode = what; at = when; number = 0;
    error_number = (int)how; pause_us = how;
    pthread_mutex_unlock(&turn);
}

static void absolute(int folder, const char *path, char *result) {
    char start[PATH] = "", link[64];
    if (path[0] == '/') { snprintf(result, PATH, "%s", path); return; }
    if (folder == AT_FDCWD) { if (!getcwd(start, PATH)) start[0] = 0; }
    else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, start, PATH - 1);
        start[length > 0 ? length : 0] = 0;
    }
    if (snprintf(result, PATH, "%s%s%s", start, *path ? "/" : "", path) >= PATH) result[0] = 0;
}

static int below(const char *path) {
    size_t length = strlen(root);
    return !strncmp(path, root, length) && (path[length] == '/' || !path[length]);
}

static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

static int takes_space(const char *kind) {
    return strcmp(kind, "unlink") && strcmp(kind, "rmdir") && strcmp(kind, "utime");
}

/* -1: not ours. 0: go on, then `end`. Else the errno to fail with. */
static int begin(const char *kind, const char *path, const char *other) {
    if (mode == OFF || !(below(path) || below(other))) return -1;
    if (mode == SLOW) usleep((useconds_t)pause_us);
    pthread_mutex_lock(&turn);
    int now = ++number == at;
    if (mode == KILL && now) die();
    if (mode == TEAR && now && strcmp(kind, "write")) die();
    if ((mode == FAIL && now) || (mode == FULL && number >= at && takes_space(kind))) {
        pthread_mutex_unlock(&turn);
        return error_number;
    }
    if (*kept && (!strcmp(kind, "unlink") || !strcmp(kind, "rename"))) {
        const char *gone = *kind == 'u' ? path : other;
        char name[PATH + 32];
        snprintf(name, sizeof name, "%s/%ld", kept, number);
        REAL(linkat)(AT_FDCWD, gone, AT_FDCWD, name, 0);
    }
    return 0;
}

static void end(int succeeded, const char *kind, const char *path, const char *other, int file) {
    int saved = errno;
    if (succeeded && log_file >= 0) {
        struct stat about = {0};
        if (file >= 0) fstat(file, &about);
        dprintf(log_file, "%ld\t%s\t%s\t%s\t%ld\n", number, kind, path, other, (long)about.st_size);
    }
    pthread_mutex_unlock(&turn);
    errno = saved;
}

#define GUARD(kind, path, other, file, call)                         \
    do {                                                             \
        int state = begin(kind, path, other);                        \
        if (state > 0) { errno = state; return -1; }                 \
        __typeof__(call) result = call;                              \
        if (state == 0) end(result >= 0, kind, path, other, file);   \
        return result;                                               \
    } while (0)

/* ---- opened to be written */

static int opened(int folder, const char *name, int flags, mode_t rights) {
    char path[PATH];
    absolute(folder, name, path);
    int is_new = (flags & O_CREAT) && faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW);
    if (!is_new && !(flags & O_TRUNC)) return REAL(openat)(folder, name, flags, rights);
    GUARD(is_new ? "create" : "truncate", path, "", -1, REAL(openat)(folder, name, flags, rights));
}

#define RIGHTS \
    mode_t rights = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { va_list more; va_start(more, flags); rights = va_arg(more, mode_t); va_end(more); }

int open(const char *name, int flags, ...) { RIGHTS return opened(AT_FDCWD, name, flags, rights); }
int open64(const char *name, int flags, ...) { RIGHTS return opened(AT_FDCWD, name, flags, rights); }
int openat(int folder, const char *name, int flags, ...) { RIGHTS return opened(folder, name, flags, rights); }
int openat64(int folder, const char *name, int flags, ...) { RIGHTS return opened(folder, name, flags, rights); }
int creat(const char *name, mode_t rights) { return opened(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, rights); }

/* ---- written */

#define OF_FILE(kind, file, call) \
    do { char path[PATH]; if (mode == OFF) return call; absolute(file, "", path); GUARD(kind, path, "", file, call); } while (0)
/* A torn write ends after half of its bytes. */
#define WRITE(file, size, half, call) \
    do { \
        if (mode == TEAR && number + 1 == at) { \
            char path[PATH]; absolute(file, "", path); \
            if (below(path)) { (void)!half; die(); } \
        } \
        OF_FILE("write", file, call); \
    } while (0)

ssize_t write(int file, const void *data, size_t size) {
    WRITE(file, size, REAL(write)(file, data, size / 2), REAL(write)(file, data, size));
}
ssize_t pwrite(int file, const void *data, size_t size, off_t place) {
    WRITE(file, size, REAL(pwrite)(file, data, size / 2, place), REAL(pwrite)(file, data, size, place));
}
ssize_t pwrite64(int file, const void *data, size_t size, off64_t place) { return pwrite(file, data, size, place); }
ssize_t pwritev(int file, const struct iovec *parts, int count, off_t place) {
    WRITE(file, 0, REAL(pwritev)(file, parts, count / 2, place), REAL(pwritev)(file, parts, count, place));
}
ssize_t pwritev64(int file, const struct iovec *parts, int count, off64_t place) { return pwritev(file, parts, count, place); }
ssize_t writev(int file, const struct iovec *parts, int count) {
    WRITE(file, 0, REAL(writev)(file, parts, count / 2), REAL(writev)(file, parts, count));
}
ssize_t sendfile(int file, int from, off_t *place, size_t size) {
    WRITE(file, size, ((ssize_t(*)(int, int, off_t *, size_t))real("sendfile"))(file, from, place, size / 2),
          ((ssize_t(*)(int, int, off_t *, size_t))real("sendfile"))(file, from, place, size));
}
ssize_t sendfile64(int file, int from, off64_t *place, size_t size) { return sendfile(file, from, place, size); }
ssize_t copy_file_range(int from, off64_t *a, int file, off64_t *b, size_t size, unsigned flags) {
    WRITE(file, size, REAL(copy_file_range)(from, a, file, b, size / 2, flags),
          REAL(copy_file_range)(from, a, file, b, size, flags));
}
int ftruncate(int file, off_t size) { OF_FILE("truncate", file, REAL(ftruncate)(file, size)); }
int ftruncate64(int file, off64_t size) { return ftruncate(file, size); }
int fallocate(int file, int how, off_t place, off_t size) { OF_FILE("truncate", file, REAL(fallocate)(file, how, place, size)); }
int fallocate64(int file, int how, off64_t place, off64_t size) { return fallocate(file, how, place, size); }
int fsync(int file) { OF_FILE("fsync", file, REAL(fsync)(file)); }
int fdatasync(int file) { OF_FILE("fsync", file, REAL(fdatasync)(file)); }
int fchmod(int file, mode_t rights) { OF_FILE("chmod", file, REAL(fchmod)(file, rights)); }

/* ---- named, renamed, removed */

#define ONE(kind, folder, name, call) \
    do { char path[PATH]; absolute(folder, name, path); GUARD(kind, path, "", -1, call); } while (0)
#define TWO(kind, folder, name, into, other, call) \
    do { \
        char path[PATH], second[PATH]; \
        absolute(folder, name, path); absolute(into, other, second); \
        GUARD(kind, path, second, -1, call); \
    } while (0)

int truncate(const char *name, off_t size) { ONE("truncate", AT_FDCWD, name, REAL(truncate)(name, size)); }
int unlinkat(int folder, const char *name, int flags) {
    ONE(flags & AT_REMOVEDIR ? "rmdir" : "unlink", folder, name, REAL(unlinkat)(folder, name, flags));
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
int remove(const char *name) {
    struct stat about;
    return unlinkat(AT_FDCWD, name, !lstat(name, &about) && S_ISDIR(about.st_mode) ? AT_REMOVEDIR : 0);
}
int mkdirat(int folder, const char *name, mode_t rights) { ONE("mkdir", folder, name, REAL(mkdirat)(folder, name, rights)); }
int mkdir(const char *name, mode_t rights) { return mkdirat(AT_FDCWD, name, rights); }
int utimensat(int folder, const char *name, const struct timespec times[2], int flags) {
    ONE("utime", folder, name, REAL(utimensat)(folder, name, times, flags));
}
int fchmodat(int folder, const char *name, mode_t rights, int flags) {
    ONE("chmod", folder, name, REAL(fchmodat)(folder, name, rights, flags));
}
int chmod(const char *name, mode_t rights) { return fchmodat(AT_FDCWD, name, rights, 0); }

int renameat2(int folder, const char *name, int into, const char *other, unsigned flags) {
    const char *kind = flags & RENAME_EXCHANGE ? "exchange" : "rename";
    TWO(kind, folder, name, into, other, REAL(renameat2)(folder, name, into, other, flags));
}
int renameat(int folder, const char *name, int into, const char *other) { return renameat2(folder, name, into, other, 0); }
int rename(const char *name, const char *other) { return renameat2(AT_FDCWD, name, AT_FDCWD, other, 0); }
int linkat(int folder, const char *name, int into, const char *other, int flags) {
    TWO("link", folder, name, into, other, REAL(linkat)(folder, name, into, other, flags));
}
int link(const char *name, const char *other) { return linkat(AT_FDCWD, name, AT_FDCWD, other, 0); }
int symlinkat(const char *target, int folder, const char *name) {
    ONE("symlink", folder, name, REAL(symlinkat)(target, folder, name));
}
int symlink(const char *target, const char *name) { return symlinkat(target, AT_FDCWD, name); }

/* Of the system calls that are made by number only renameat2 changes files. */
long syscall(long which, ...) {
    long a[6];
    va_list more;
    va_start(more, which);
    for (int i = 0; i < 6; i++) a[i] = va_arg(more, long);
    va_end(more);
    if (which == SYS_renameat2)
        return renameat2((int)a[0], (const char *)a[1], (int)a[2], (const char *)a[3], (unsigned)a[4]);
    return ((long (*)(long, ...))real("syscall"))(which, a[0], a[1], a[2], a[3], a[4], a[5]);
}
