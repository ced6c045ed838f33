/* SPDX-License-Identifier: Apache-2.0 */
/* The words that idioms are written in: what a value is, said about the new graph, upward from an
 * idiom's last node. Each word that looks through a node adds where the node came from to the
 * location of what will be built. */
#ifndef SC_MATCH_H
#define SC_MATCH_H

#include "passes/passes_priv.h"

typedef struct ScMatch {
    ScBuild b; /* the new graph */
    const ScGraph *g;
    ScVal *env;
    ScUses use;
    const ScVal *plain; /* [g->n_value] see sc_view_plain_bases */
    const ScNode *n;    /* the idiom's last node, in the old graph */
    const ScVal *in;    /* its operands in the new graph */
} ScMatch;

/* An idiom: what its last node n may become, or SC_POISON. What it took apart stays if somebody
 * else uses it. */
typedef struct ScIdiom {
    const char *what;
    const ScOp *op; /* of the last node */
    ScVal (*apply)(ScMatch *m);
} ScIdiom;
/* The families, each ended by one without an op. */
extern const ScIdiom sc_idioms_activations[], sc_idioms_attention[], sc_idioms_bias[],
    sc_idioms_blocks[], sc_idioms_channels[], sc_idioms_gelu[], sc_idioms_integers[],
    sc_idioms_norms[], sc_idioms_one_hot[], sc_idioms_rotary[], sc_idioms_softmax[],
    sc_idioms_stored[];

/* Starts to match, or starts again after a match that came to nothing: the location is n's. */
void match_begin(ScMatch *m);
/* v's node is of this row; *ret is a copy of it, for building moves nodes. */
bool match_is(ScMatch *m, ScVal v, const ScOp *op, ScNode *ret);
const ScType *match_type(const ScMatch *m, ScVal v);
/* x is c as far as the type of the idiom's result can say it: to a unit or two of a 16-bit type, to
 * 1e-5 in f32, where c rounded to f16 or bf16 counts too. */
bool match_near(const ScMatch *m, double x, double c);
/* v is a float constant that is about c everywhere. */
bool match_about(const ScMatch *m, ScVal v, double c);
/* v is op of *ret and a constant about c; in either order where op commutes. */
bool match_with_const(ScMatch *m, ScVal v, const ScOp *op, double c, ScVal *ret);
/* Of the axes of what has this rank, those that are named: bit d for axis d. */
uint32_t match_axes(const ScAttr *axes, uint32_t rank);
/* v reduces *ret_x over axes that stay, or come back by a reshape. */
bool match_reduces(ScMatch *m, ScVal v, const ScOp *op, ScVal *ret_x, const ScAttr **ret_axes);
/* v is 1 / *ret. */
bool match_inverse(ScMatch *m, ScVal v, ScVal *ret);
/* All extents of t, aligned with `to` at the last one, are 1 but that at axis (of `to`), which is
 * to's. */
bool match_along(const ScType *t, const ScType *to, uint32_t axis);
/* Old operand i of n has no other use. */
bool match_used_once(const ScMatch *m, uint32_t i);

/* raise_stored.c: v, of f32, is *ret_by times *ret_codes, which are stored in FP8. */
bool match_stored(ScMatch *m, ScVal v, ScVal *ret_codes, double *ret_by);
/* The extent of weights of type w, operand 1 of product n, that is the result's channels;
 * UINT32_MAX where there is none. */
uint32_t match_channel_axis(const ScGraph *g, const ScNode *n, const ScType *w);
/* What is of type s has one number for each channel of w and is 1 elsewhere. */
bool match_by_channel(const ScGraph *g, const ScNode *n, const ScType *s, const ScType *w);
/* c, one number for each channel of the result y, as it lies beside y. */
ScVal match_beside(ScMatch *m, ScVal y, ScVal c);
/* y plus the bias that the node had. */
ScVal match_with_bias(ScMatch *m, ScVal y, ScVal bias);

#define SC_MAX_FACTORS 8

/* The factors of a product that are no constants, and the product of those that are. `whole` is not
 * taken apart, though it be a product itself. */
typedef struct ScProduct {
    ScVal whole;
    ScVal factor[SC_MAX_FACTORS];
    uint32_t n;
    double c;
} ScProduct;
/* Adds the factors of v, nested products and quotients by constants, to p, which begins with c = 1;
 * depth begins with 0. */
void match_product(ScMatch *m, ScVal v, ScProduct *p, uint32_t depth);

/* raise_causal.c: the diagonal of attention's row, where masks [.., queries, keys] say that key j
 * of query i is seen only if j <= i + diagonal, else NULL. *addend is added to the scores, and
 * those outside *keep are `fill`; both become what they say beside the diagonal, or absent. */
const ScTerm *match_causal(ScMatch *m, const ScTerm *queries, const ScTerm *keys, double fill,
                           ScVal *addend, ScVal *keep);

#endif
