/* SPDX-License-Identifier: Apache-2.0 */
/* The packed constants of a module. While kernels are emitted and buffers planned, constants are
 * entered and only their places decided; then all are written, each thread one at a time: into
 * memory straight to where it stays, into a file from memory that is freed then. So no more of them
 * is in memory than those that are being packed. */
#ifndef SC_CODEGEN_WEIGHTS_H
#define SC_CODEGEN_WEIGHTS_H

#include "codegen/codegen.h"

typedef struct CgModule CgModule;

/* Makes the packed form of a constant. t is the operand's tensor, row-major, of the operand's
 * dtype; its data need not be aligned. out: zeroed, CgPack.bytes. */
typedef void (*CgPackFn)(const ScrtTensor *t, const void *arg, unsigned char *out);
typedef struct CgPack {
    CgPackFn fn;     /* NULL: raw, as stored */
    const void *arg; /* plain data in the module's arena, compared as bytes */
    size_t n_arg;
    size_t bytes; /* of the packed form, where fn is given */
} CgPack;

typedef struct CgWeights {
    uint64_t n;            /* bytes of all entries so far */
    struct CgEntry *entry; /* [n_entry] by offset */
    uint32_t n_entry, cap_entry;
    uint32_t *table; /* [cap_table] 1 + entry, 0: free; a power of two, at most half full */
    uint32_t cap_table;
    /* Once written: */
    unsigned char *p; /* in memory, aligned to 128; NULL: in the file */
    uint64_t hash;    /* scrt_hash */
} CgWeights;

/* The place of a `const` node's data in the weights, aligned to 64, where it is large to 128:
 * packed by *pack, or as stored where it is NULL. Equal data, packed alike, has one place,
 * whichever kernels read it, on any level; levels: 1 << each that does. False after sc_fail. */
bool cg_weights_enter(CgModule *m, uint32_t levels, const ScGraph *g, const ScNode *n,
                      const CgPack *pack, uint64_t *ret_offset);
/* Bytes of what a level reads, with those that align it: of one that reads all, all there are. */
uint64_t cg_weights_of(const CgWeights *w, uint32_t level);
/* Writes all that was entered: into memory, or into the caller's file where there are more bytes
 * than are embedded. False after sc_fail. */
bool cg_weights_write(CgModule *m);
void cg_weights_done(CgWeights *w); /* takes one that is zero */

#endif
