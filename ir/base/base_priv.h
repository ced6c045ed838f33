/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share: the inside of a session. */
#ifndef SC_BASE_PRIV_H
#define SC_BASE_PRIV_H

#include "ir/base/base.h"

/* One table interns everything: strings, terms, types, locations, attributes are plain bytes whose
 * pointers are interned themselves, so equal bytes are equal things. Nothing ever walks it, so
 * addresses in the hashed bytes decide no order. */
typedef struct ScInterned {
    uint64_t hash;
    const void *p; /* NULL: free */
    size_t n;
} ScInterned;

typedef struct ScSlot {
    const void *key; /* NULL: free */
    void *p;
} ScSlot;

typedef struct ScRead { /* a file that was read */
    uint64_t device, inode;
    const char *path; /* interned */
} ScRead;

typedef struct ScAtEnd {
    void (*end)(void *arg);
    void *arg;
    struct ScAtEnd *next;
} ScAtEnd;

typedef struct ScMapped {
    const char *p;
    size_t n;
    struct ScMapped *next;
} ScMapped;

struct ScCtx {
    ScArena *arena;

    ScInterned *interned; /* [interned_cap], a power of two */
    size_t n_interned, interned_cap;

    ScSlot *slot; /* [slot_cap], a power of two */
    size_t n_slot, slot_cap;

    ScRead *read;
    uint32_t n_read, read_cap;

    ScStage *stage;                                     /* the innermost */
    void (*watch)(void *arg, const ScStage *innermost); /* or NULL */
    void *watch_arg;

    ScAtEnd *at_end;  /* the last one first */
    ScMapped *mapped; /* the last one first */

    const ScTerm *poison; /* the term "overflow!", once made */

    ScDiag **diag;
    uint32_t n_diag, diag_cap;
    uint32_t n_error, n_warning; /* all of them, also those not recorded */
    ScDiag *last;                /* takes rows and notes; NULL when the last one was dropped */
    uint32_t row_cap, note_cap;
    const char *file;
};

#endif
