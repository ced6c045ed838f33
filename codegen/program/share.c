/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that differ in numbers alone: extents, strides and offsets of what they walk, constants
 * of their bodies. Where there are many, as of a thousand slices of unlike lengths, one is
 * compiled: what differs are its parameters, what all have in common stays as it is. Where there
 * are few each keeps its numbers, which make better code. */
#include "codegen/program/program.h"

#include <stdlib.h>
#include <string.h>

enum { MANY = 17 };

typedef struct Member {
    uint64_t hash;
    uint32_t index;
    CgFunc *f;
    const CgShape *shape;
} Member;

static int by_hash(const void *a, const void *b)
{
    const Member *x = a, *y = b;
    return x->hash != y->hash ? (x->hash > y->hash) - (x->hash < y->hash)
                              : (x->index > y->index) - (x->index < y->index);
}

static bool same_words(const CgShape *a, const CgShape *b)
{
    return a->n_word == b->n_word && memcmp(a->word, b->word, a->n_word * sizeof *a->word) == 0;
}

/* The symbol of parameter i, which is an extent unless a member has what is none: a number's bits,
 * an offset from the end. */
static const char *symbol(CgModule *m, uint32_t i, uint32_t n, const Member *p, uint32_t term)
{
    bool any = false;
    for (uint32_t k = 0; k < n && !any; k++) {
        ScRange r = sc_term_range(m->cx, *p[k].shape->term[term]);
        any = r.lo < 0 || (r.lo == r.hi && r.hi > INT32_MAX);
    }
    const char *name = sc_intern(m->cx, sc_printf(m->arena, any ? "r%u" : "q%u", i));
    if (any)
        sc_sym_bound(m->cx, name, (ScRange){INT64_MIN, INT64_MAX});
    return name;
}

static bool differs(uint32_t n, const Member *p, uint32_t term)
{
    for (uint32_t k = 1; k < n; k++)
        if (*p[k].shape->term[term] != *p->shape->term[term])
            return true;
    return false;
}

/* n functions of one shape: the first serves all. */
static void generalize(CgModule *m, uint32_t n, const Member *p)
{
    uint32_t n_term = p->shape->n_term, n_own = 0;
    uint32_t *at = sc_array(m->arena, uint32_t, n_term + 1);
    const char **name = sc_array(m->arena, const char *, n_term + 1);
    for (uint32_t i = 0; i < n_term; i++)
        if (differs(n, p, i)) {
            name[n_own] = symbol(m, n_own, n, p, i);
            at[n_own++] = i;
        }
    for (uint32_t k = 0; k < n; k++) {
        CgFunc *f = p[k].f;
        f->general = p->f;
        f->n_own = n_own;
        f->own_name = name;
        f->own = sc_array(m->arena, const ScTerm *, n_own + 1);
        for (uint32_t i = 0; i < n_own; i++)
            f->own[i] = *p[k].shape->term[at[i]];
    }
    for (uint32_t i = 0; i < n_own; i++)
        *p->shape->term[at[i]] = sc_term_sym(m->cx, name[i]);
}

void cg_share(CgModule *m, uint32_t n, CgFunc **f, const CgShape *shape)
{
    Member *p = sc_array(m->arena, Member, n + 1);
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i++)
        if (shape[i].n_word)
            p[k++] = (Member){sc_hash(SC_HASH, shape[i].word, shape[i].n_word * sizeof(uint64_t)),
                              i, f[i], &shape[i]};
    qsort(p, k, sizeof *p, by_hash);
    for (uint32_t i = 0, end; i < k; i = end) {
        for (end = i + 1; end < k && p[end].hash == p[i].hash; end++)
            if (!same_words(p[end].shape, p[i].shape))
                break;
        if (end - i >= MANY)
            generalize(m, end - i, &p[i]);
    }
}
