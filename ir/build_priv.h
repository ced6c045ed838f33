/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the builder. */
#ifndef SC_BUILD_PRIV_H
#define SC_BUILD_PRIV_H

#include "ir/op.h"

typedef struct ScBuildOut {
    ScVal v;
    const char *name;
} ScBuildOut;

typedef struct ScBuildSlot { /* of the table of shared nodes */
    uint32_t hash;
    uint32_t node; /* 1 + its index; 0: free */
} ScBuildSlot;

typedef struct ScBuildPriv {
    ScArena *arena;   /* becomes the graph's */
    ScArena *scratch; /* ends with the builder; this structure lies in it */
    const char *name, *file, *source;
    uint32_t flags;

    ScNode *node;
    ScValue *value;
    uint32_t n_node, node_cap, n_value, value_cap;

    ScBuildSlot *table; /* [table_cap], a power of two */
    uint32_t n_table, table_cap;

    ScBuildOut *out;
    ScState *state;
    ScGraph **owned;
    uint32_t n_out, out_cap, n_state, state_cap, n_owned, owned_cap;

    ScGuards guards;
    bool guarded_outside; /* a kernel's graph: rules record nothing */
    bool one_type;        /* a model's: operands of products have one */

    uint32_t errors_before;
    bool failed; /* a mistake was reported, even if the report was dropped as a double */
    const ScType *poison, *absent;
} ScBuildPriv;

/* Reports a mistake that is not a node's. */
void sc_build_mistake(ScBuild *b, ScDiagId id, const char *what, const char *name);

#endif
