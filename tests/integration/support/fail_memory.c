/* Loaded into rum by LD_PRELOAD: the N-th allocation fails, N from RUM_TEST_FAIL_ALLOCATION,
 * counted over all threads. RUM_TEST_COUNT_ALLOCATIONS=PATH: writes their number there at exit.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);

static atomic_ulong made;
static unsigned long failing;

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
  if (atomic_fetch_add(&made, 1) + 1 != failing) return 0;
  errno = ENOMEM;
  return 1;
}

void* malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return fails() ? NULL : __libc_calloc(count, size); }
void* realloc(void* old, size_t size) { return fails() ? NULL : __libc_realloc(old, size); }
