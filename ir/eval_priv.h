/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the evaluator: eval.c runs graphs, eval_control.c those that are nested in a node.
 */
#ifndef SC_EVAL_PRIV_H
#define SC_EVAL_PRIV_H

#include "ir/op.h"

typedef struct ScRun { /* what all graphs of one evaluation share */
    ScCtx *cx;
    uint32_t n_env, cap_env;
    ScBinding *env;           /* grows at binders; each graph forgets its own at its end */
    const ScEvalOptions *opt; /* or NULL */
    const ScLoc *loc;         /* of the kernel that is run: nodes in it have none; or NULL */
} ScRun;

typedef struct ScFrame { /* one graph while it runs; the arrays are [n_value] */
    ScRun *run;
    const ScGraph *g;
    ScArena *a;
    ScrtTensor *t;
    bool *owned;
    uint32_t *last; /* index of the last node that reads it, or UINT32_MAX */
    uint32_t *pins; /* how many outputs and next states still have to take it */
    int64_t *exp;
    uint32_t depth;
    bool silent; /* an expansion: nobody is told of its values */
} ScFrame;

/* Runs g; in: [n_in], ret_out: [n_out], each data freed with scrt_free. Extents of inputs that are
 * symbols which nothing around g binds are bound to what the tensors have. False with an error. */
bool sc_eval_graph(ScRun *run, const ScGraph *g, const ScrtTensor *const *in, ScrtTensor *ret_out,
                   uint32_t depth, bool silent);
/* Runs node n of a row with control: the results of its nested graphs, [n_out]. */
bool sc_eval_control(ScFrame *f, const ScNode *n, const ScrtTensor *const *in, ScrtTensor *out);

#endif
