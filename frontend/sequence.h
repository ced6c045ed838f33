/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences and optionals. No value of a graph is one: import knows what they are made of. A
 * sequence is a handle where the others are values: a list of values, or, where only the run knows
 * how many there are, one value with the elements along its first axis, or one that is cut along an
 * axis. An optional is what it holds, or SC_ABSENT. */
#ifndef SC_FRONTEND_SEQUENCE_H
#define SC_FRONTEND_SEQUENCE_H

#include "frontend/frontend_priv.h"

/* A sequence that a loop carries, while its body is being built. */
typedef struct ImGrowth {
    const ScType *elem; /* of the first element that was appended, or NULL */
    bool read;          /* something else was done with it than appending */
} ImGrowth;

typedef enum ImSeqKind {
    IM_LIST,   /* the elements are known, and may be of unlike shapes */
    IM_STACK,  /* one value, [length, ...] */
    IM_PIECES, /* one value in pieces of so many indices of an axis, the last of what is left */
    IM_GROWS,  /* what the loop `of` carries so far, and behind that a list of elements */
} ImSeqKind;

typedef struct ImSeq {
    ImSeqKind kind;
    uint32_t n;
    const ScVal *elem;   /* [n] of a list, in the session */
    struct ImRoom *room; /* where elem lies, if it was made by appending */
    ScVal stack;         /* of a stack and of pieces: the value */
    uint32_t axis;
    const ScTerm *each; /* at least 1, which is guarded */
    ImGrowth *of;
} ImSeq;

static inline bool im_is_seq(ScVal v)
{
    return v >= IM_SEQ_FIRST;
}
/* What the handle v is; valid for good. */
ImSeq im_seq(const ImNode *n, ScVal v);
ScVal im_seq_list(Import *im, uint32_t n, const ScVal *elem);
ScVal im_seq_stack(Import *im, ScVal stack);
ScVal im_seq_pieces(Import *im, ScVal x, uint32_t axis, const ScTerm *each);
ScVal im_seq_grows(Import *im, ImGrowth *of, uint32_t n, const ScVal *elem);
/* s, a list or what grows, with x behind its elements: in constant time, on the whole. */
ScVal im_seq_appended(Import *im, const ImSeq *s, ScVal x);
/* All elements along a new first axis: of shapes that are alike, which is guarded. elem: their
 * type, for a sequence without any, or NULL. SC_POISON after sc_fail. */
ScVal im_seq_stacked(const ImNode *n, ScVal seq, const ScType *elem);
/* Whether the k values have one type, extents and all. */
bool im_alike(const ImNode *n, uint32_t k, const ScVal *v);
/* v[pick] of k values, pick being in [0, k): of one element type and rank, but of any shapes.
 * SC_POISON after sc_fail. */
ScVal im_chosen(const ImNode *n, uint32_t k, const ScVal *v, const ScTerm *pick);
/* False after sc_fail where one of k values is none: a sequence, or absent. */
bool im_tensors(const ImNode *n, uint32_t k, const ScVal *v);

#endif
