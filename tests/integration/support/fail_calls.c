/* Loaded into rum by LD_PRELOAD: makes system calls fail as a test asks, gives its connections
 * another source address, or shifts the clock.
 *
 *   RUM_TEST_FAIL=CALL=ERRNO/N[,...]  every N-th CALL fails with that errno,
 *   RUM_TEST_FAIL_WHEN=PATH           but only while this file exists;
 *   RUM_TEST_SOURCE=127.0.0.3         connect() over IPv4 binds to this address first;
 *   RUM_TEST_CLOCK=PATH               shifts the time of day by the seconds in PATH.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Whether this call must fail; sets errno. */
static int fails(const char* call, atomic_uint* count) {
  const char* rules = getenv("RUM_TEST_FAIL");
  const char* when = getenv("RUM_TEST_FAIL_WHEN");
  if (rules == NULL || when == NULL) return 0;
  size_t size = strlen(call);
  for (const char* rule = rules; rule != NULL; rule = strchr(rule, ',')) {
    if (*rule == ',') rule++;
    if (strncmp(rule, call, size) != 0 || rule[size] != '=') continue;
    char* end;
    int number = (int)strtol(rule + size + 1, &end, 10);
    unsigned every = *end == '/' ? (unsigned)strtoul(end + 1, NULL, 10) : 1;
    if (access(when, F_OK) != 0 || every == 0) return 0;
    if ((atomic_fetch_add(count, 1) + 1) % every != 0) return 0;
    errno = number;
    return 1;
  }
  return 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_OR(name, call)              \
  do {                                   \
    static atomic_uint count;            \
    static __typeof__(&name) real;       \
    if (real == NULL) real = REAL(name); \
    if (fails(#name, &count)) return -1; \
    return real call;                    \
  } while (0)

int socket(int domain, int type, int protocol) { FAIL_OR(socket, (domain, type, protocol)); }
int setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
  FAIL_OR(setsockopt, (fd, level, name, value, size));
}
int accept4(int fd, struct sockaddr* address, socklen_t* size, int flags) {
  FAIL_OR(accept4, (fd, address, size, flags));
}
int accept(int fd, struct sockaddr* address, socklen_t* size) {
  FAIL_OR(accept, (fd, address, size));
}
int epoll_ctl(int epoll, int what, int fd, struct epoll_event* event) {
  FAIL_OR(epoll_ctl, (epoll, what, fd, event));
}
int pipe2(int fds[2], int flags) { FAIL_OR(pipe2, (fds, flags)); }
ssize_t splice(int in, off64_t* in_at, int out, off64_t* out_at, size_t size, unsigned flags) {
  FAIL_OR(splice, (in, in_at, out, out_at, size, flags));
}
ssize_t recv(int fd, void* data, size_t size, int flags) { FAIL_OR(recv, (fd, data, size, flags)); }
ssize_t send(int fd, const void* data, size_t size, int flags) {
  FAIL_OR(send, (fd, data, size, flags));
}
ssize_t sendmsg(int fd, const struct msghdr* message, int flags) {
  FAIL_OR(sendmsg, (fd, message, flags));
}

static int really_connect(int fd, const struct sockaddr* address, socklen_t size) {
  FAIL_OR(connect, (fd, address, size));
}

int connect(int fd, const struct sockaddr* address, socklen_t size) {
  const char* source = getenv("RUM_TEST_SOURCE");
  if (source != NULL && address->sa_family == AF_INET) {
    struct sockaddr_in own = {.sin_family = AF_INET};
    if (inet_pton(AF_INET, source, &own.sin_addr) == 1) {
      static __typeof__(&bind) real_bind;
      if (real_bind == NULL) real_bind = REAL(bind);
      if (real_bind(fd, (struct sockaddr*)&own, sizeof own) != 0) return -1;
    }
  }
  return really_connect(fd, address, size);
}

/* Read for each call, by system calls: fopen() costs too much in a clock function. */
static long off(void) {
  const char* path = getenv("RUM_TEST_CLOCK");
  int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return 0;
  char text[32];
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  text[n > 0 ? n : 0] = '\0';
  return strtol(text, NULL, 10);
}

int clock_gettime(clockid_t clock, struct timespec* now) {
  static __typeof__(&clock_gettime) real;
  if (real == NULL) real = REAL(clock_gettime);
  int result = real(clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    now->tv_sec += off();
  }
  return result;
}

time_t time(time_t* where) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (where != NULL) *where = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval* restrict now, void* restrict zone) {
  struct timespec spec;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &spec);
  now->tv_sec = spec.tv_sec;
  now->tv_usec = spec.tv_nsec / 1000;
  return 0;
}
