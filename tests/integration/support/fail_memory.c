/* Loaded into rum by LD_PRELOAD: the N-th allocation fails, N from RUM_TEST_FAIL_ALLOCATION,
 * counted over all threads. RUM_TEST_COUNT_ALLOCATIONS=PATH: writes their number there at exit.
 * What runs before main() belongs to libraries and to their headers, and is not counted.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);

typedef int Main(int argc, char** argv, char** environment);
typedef int Start(Main* main, int argc, char** argv, void (*init)(void), void (*fini)(void),
                  void (*loader_fini)(void), void* stack_end);

static atomic_ulong made;
static atomic_int in_main;
static unsigned long failing;
static Main* main_of_rum;

static int begin_main(int argc, char** argv, char** environment) {
  atomic_store(&in_main, 1);
  return main_of_rum(argc, argv, environment);
}

int __libc_start_main(Main* main, int argc, char** argv, void (*init)(void), void (*fini)(void),
                      void (*loader_fini)(void), void* stack_end) {
  Start* start = (Start*)dlsym(RTLD_NEXT, "__libc_start_main");
  main_of_rum = main;
  return start(begin_main, argc, argv, init, fini, loader_fini, stack_end);
}

__attribute__((constructor)) static void begin(void) {
  const char* number = getenv("RUM_TEST_FAIL_ALLOCATION");
  failing = number ? strtoul(number, NULL, 10) : 0;
}

__attribute__((destructor)) static void end(void) {
  const char* path = getenv("RUM_TEST_COUNT_ALLOCATIONS");
  FILE* file = path ? fopen(path, "w") : NULL;
  if (file == NULL) return;
  fprintf(file, "%lu\n", atomic_load(&made));
  fclose(file);
}

static int fails(void) {
  if (!atomic_load(&in_main) || atomic_fetch_add(&made, 1) + 1 != failing) return 0;
  errno = ENOMEM;
  return 1;
}

void* malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return fails() ? NULL : __libc_calloc(count, size); }
void* realloc(void* old, size_t size) { return fails() ? NULL : __libc_realloc(old, size); }
