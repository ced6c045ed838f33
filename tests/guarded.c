/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/guarded.h"

#include "runtime/scrt.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILL 0xff /* NaN in every float format */

typedef struct Head { /* at the beginning of the first page */
    size_t mapped;
} Head;

static size_t page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* The head, the fill, the buffer; then a page that cannot be touched. */
static void *guarded_alloc(void *self, size_t bytes, size_t align)
{
    size_t p = page(), room;
    (void)self;
    while (align > 1 && bytes % align)
        align /= 2;
    if (bytes > PTRDIFF_MAX - 3 * p)
        return NULL;
    room = (bytes + sizeof(Head) + p - 1) / p * p;
    char *at = mmap(NULL, room + p, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    if (mprotect(at + room, p, PROT_NONE) != 0) {
        munmap(at, room + p);
        return NULL;
    }
    *(Head *)(void *)at = (Head){room + p};
    memset(at + sizeof(Head), FILL, room - bytes - sizeof(Head));
    return at + room - bytes;
}

static void guarded_free(void *self, void *buffer)
{
    size_t p = page();
    char *at = (char *)buffer - (uintptr_t)buffer % p;
    (void)self;
    if ((size_t)((char *)buffer - at) < sizeof(Head))
        at -= p;
    for (const char *c = at + sizeof(Head); c < (const char *)buffer; c++)
        if ((unsigned char)*c != FILL) {
            fprintf(stderr, "a buffer's memory was written %td bytes before its first\n",
                    (const char *)buffer - c);
            abort();
        }
    munmap(at, ((const Head *)(const void *)at)->mapped);
}

void sct_guard_memory(void)
{
    static const ScrtAllocator guarded = {guarded_alloc, guarded_free, NULL};
    scrt_set_allocator(&guarded);
}

#ifdef SCT_GUARD_ALWAYS
__attribute__((constructor)) static void from_the_start(void)
{
    sct_guard_memory();
}
#endif
