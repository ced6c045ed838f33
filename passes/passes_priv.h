/* SPDX-License-Identifier: Apache-2.0 */
/* What passes share with each other: the frame of a rebuild, questions about values, and the pieces
 * of one pass that another calls. */
#ifndef SC_PASSES_PRIV_H
#define SC_PASSES_PRIV_H

#include "passes/passes.h"

/* --- The frame of a pass --------------------------------------------------------------------- */

/* Declares the builder b and the map env, old value -> new value, in a scratch arena of the pass.
 * Poison, absent, the inputs and the states are mapped already (with their old exponents); the
 * pass maps the results of every other node: rows marked SC_BARRIER are to be passed over. The new
 * graph gets the flags of the old one: sc_build_flags sets others. */
#define SC_PASS(cx, in, b, env)                                                                    \
    ScBuild b;                                                                                     \
    ScVal *env = sc_pass_begin(&b, (cx), (in))
ScVal *sc_pass_begin(ScBuild *b, ScCtx *cx, const ScGraph *in);
/* Builds outputs and next states from env, frees env and its arena. NULL with errors in cx. */
ScGraph *sc_pass_end(ScBuild *b, ScVal *env);
/* The same with n outputs more behind those of the old graph. */
ScGraph *sc_pass_end_with(ScBuild *b, ScVal *env, uint32_t n, const ScVal *more);
/* The same, whose outputs, [n_out] of the old graph, are these new values. */
ScGraph *sc_pass_end_as(ScBuild *b, ScVal *env, const ScVal *out, uint32_t n, const ScVal *more);
/* Ends the pass without a graph; returns NULL. */
ScGraph *sc_pass_drop(ScBuild *b, ScVal *env);
/* Memory that lives until sc_pass_end. */
ScArena *sc_pass_scratch(const ScVal *env);
/* Runs a pass on the graphs that are nested in g's nodes, kernels apart: what it makes of each, of
 * the same interface, takes its place. Takes g over; NULL with errors in cx, and where g is NULL.
 * Every pass ends so. */
ScGraph *sc_pass_nested(ScCtx *cx, ScGraph *g,
                        ScGraph *(*run)(ScCtx *cx, const ScGraph *g, void *arg), void *arg);
/* The same for a pass that tells nested graphs what it is told. */
ScGraph *sc_pass_inside(ScCtx *cx, ScGraph *g,
                        ScGraph *(*run)(ScCtx *cx, const ScGraph *g, const ScPassEnv *env),
                        const ScPassEnv *env);
/* The operands of n in the new graph, [n->n_in]; lives until sc_pass_end. */
const ScVal *sc_map(const ScVal *env, const ScNode *n);

/* --- Questions ------------------------------------------------------------------------------- */

/* A float of 8 bits with a mantissa: products read it as it is stored. */
static inline bool sc_is_fp8(ScrtDtype t)
{
    return scrt_dtype_is_low(t) && scrt_dtype_bits(t) == 8 && scrt_format(t)->man_bits > 0;
}
/* The blob of a value that is a constant, else NULL. */
const ScBlob *sc_built_blob(const ScBuild *b, ScVal v);
/* True and the number where v is a float or integer constant whose elements are all the same (one
 * element or a million); the number is what the constant stands for, before its exponent. */
bool sc_built_splat(const ScBuild *b, ScVal v, double *ret);
/* The constant v, of another builder or graph, on b: without name, location or annotations. */
ScVal sc_const_again(ScBuild *b, const ScNode *def, const ScValue *v);
/* v, given the exponent of `like` and what is known of the size of its data (g, amax): for what has
 * the same elements, in whatever order. */
ScVal sc_annotated(ScBuild *b, ScVal v, const ScValue *like);
/* x with the elements in their order and these extents, at x's exponent: x itself, a constant of
 * another shape, or a node of row reshape. The count must be the same. */
ScVal sc_reshaped(ScBuild *b, ScVal x, uint32_t rank, const ScTerm *const *dim);
/* The attribute of that name, which the row must have. */
const ScAttr *sc_attr_named(const ScNode *n, const char *name);

/* --- Pieces ---------------------------------------------------------------------------------- */

/* kernels.c: checks that every kernel keeps the contract of passes/README.md. False with
 * SC_E_VERIFY errors that name the kernel's node and the clause. */
bool sc_verify_kernels(const ScGraph *g);

/* simplify.c: the identities alone; takes g over (NULL is absorbed). NULL with errors in cx. */
ScGraph *sc_identities(ScCtx *cx, ScGraph *g);
/* g with the expansions of those nodes that have one and that keep answers false for, until none is
 * left; g must have no exponents. Takes g over; NULL with errors in cx. */
ScGraph *sc_expand_rows(ScCtx *cx, ScGraph *g,
                        bool (*keep)(void *arg, const ScGraph *g, const ScNode *n), void *arg);

/* raise_blocks.c: n dequantizes codes by blocks, and raise lets a product read them instead. */
bool sc_is_read_as_codes(const ScGraph *g, const ScUses *use, const ScNode *n);

/* raise_integers.c: n dequantizes weights of 8 bits, and raise lets all the products that read them
 * read the integers. constant: [g->n_value] computed from constants alone. */
bool sc_is_read_as_integers(const ScGraph *g, const ScUses *use, const bool *constant,
                            const ScNode *n);

/* turned.c: g with views of weights of 8 bits below what dequantizes these; NULL where there are
 * none, or with errors in cx. constant: as above. */
ScGraph *sc_turn_weights(ScCtx *cx, const ScGraph *g, const bool *constant);

/* simplify_slice.c: outer, a slice of inner, a slice of in, as one slice of in; poison where one
 * cannot say it. */
ScVal sc_slice_of_slice(ScBuild *b, const ScNode *outer, const ScNode *inner, ScVal in);

/* widen.c: no value within a graph, nested ones apart, is of elements of fewer than 8 bits, but
 * what row `convert` makes of them. Takes g over (NULL is absorbed); NULL with errors in cx. */
ScGraph *sc_widen(ScCtx *cx, ScGraph *g);

/* splice.c: node n of g, on operands in of the new graph, without control where nothing is left to
 * decide; false where something is. */
bool sc_splice(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in, ScVal *ret_out);

/* view.c: a value's own buffer, row-major, as a view of itself. */
void sc_view_of(ScCtx *cx, const ScType *t, ScView *ret);
/* The elements in their order, without gaps, from offset 0. */
bool sc_view_is_plain(ScCtx *cx, const ScView *v);
bool sc_is_view(const ScNode *n);
/* Views that stand on an input of a kernel, one on the other. Where more follow each other some of
 * them are stored; but chains that long are no idiom, for the views of an idiom are few and those
 * that cancel are gone. */
#define SC_MAX_VIEWS 16
/* Composes a chain of view nodes, the last one first, over base; false where strides cannot say
 * it. */
bool sc_view_chain(const ScGraph *g, ScVal base, uint32_t n_chain, const uint32_t *chain,
                   ScView *ret);
/* Of each value the first one, in the graph's order, that is made of views of the same buffer and
 * has the same elements in the same order, so that the value is at most a reshape of it; itself
 * where there is none. [n_value], in a. */
const ScVal *sc_view_plain_bases(const ScGraph *g, ScArena *a);

/* fuse_group.c: what becomes one kernel. A group that is grown has its root's results only. */
#define SC_GROUP_MAX 64 /* members: beyond it a kernel lacks registers, not passes over memory */
typedef struct ScGroup {
    uint32_t root;    /* node: the last member that was grown; the kernel stands in its place */
    ScClass cls;      /* SC_MAP, SC_REDUCE, or that of the leader */
    uint32_t n;       /* members; 0: it has become part of another group */
    uint32_t *member; /* [n] nodes, ascending */
    uint32_t n_result;
    ScVal *result;             /* [n_result] ascending */
    const ScType *space, *low; /* the iteration space; with the reduced axes at extent 1, or NULL */
    ScReduce over;             /* SC_REDUCE: axes of the iteration space */
} ScGroup;
typedef struct ScGroups {
    uint32_t n;
    ScGroup *group;
    uint32_t *of; /* [n_node] the node's group, or UINT32_MAX: sources and views */
} ScGroups;
ScGroups sc_fuse_groups(const ScGraph *g, ScArena *a);
/* Whether what the group's elementwise members read from outside, and its results, are few enough
 * for an epilogue; of: as in ScGroups, where the group is `id`. */
bool sc_group_reads_few(const ScGraph *g, const uint32_t *of, uint32_t id, const ScGroup *k);
/* fuse_prepare.c: it reduces no axes, or the last ones. */
bool sc_group_is_trailing(const ScGroup *k);
/* fuse_join.c: groups that read another's result become part of it, whose results are then several.
 */
void sc_fuse_join(const ScGraph *g, ScGroups *gs, ScArena *a);

/* What fuse rewrites before it groups, in this order, so that more nodes fit into a group; every
 * result keeps its bits. NULL with errors in cx. */
/* fuse_prepare.c: reductions keep extents of 1; concatenations have few operands. */
ScGraph *sc_fuse_forms(ScCtx *cx, const ScGraph *g);
/* fuse_prepare.c, also after the next one: elementwise nodes go before views. */
ScGraph *sc_fuse_hoist(ScCtx *cx, const ScGraph *g);
/* fuse_rows.c: products of flattened rows become products of the rows as they were. */
ScGraph *sc_fuse_rows(ScCtx *cx, const ScGraph *g);
/* fuse_prepare.c: groups that reduce other axes than the last are transposed; the same graph where
 * none does. */
ScGraph *sc_fuse_trailing(ScCtx *cx, ScGraph *g);

/* manager.c: sc_pipeline_run over n passes of the caller's own. */
ScGraph *sc_pipeline_passes(ScCtx *cx, ScGraph *g, const ScPipeline *p, uint32_t n,
                            const ScPass *const *pass);

#endif
