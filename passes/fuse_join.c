/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of several results: x and cast(x); x and what normalises it; the state of a cell and its
 * output.
 *
 * A group is grown from its last node, so what others read too ends it. Here a group that reads the
 * result of another, element by element over the same space, becomes part of that one: it is
 * computed where the result is still in registers, and both are stored. The whole is emitted where
 * the earlier group was, so all that the later one reads besides must be there by then; therefore
 * no path leaves the group and comes back. */
#include "passes/passes_priv.h"

#include <string.h>

/* Kernels between the two: what is computed much earlier than it is read waits in memory. */
#define NEAR 8

typedef struct Join {
    const ScGraph *g;
    ScGroups *gs;
    ScArena *a;
    ScSymbols bound; /* by nodes, not from the start */
} Join;

static bool is_inside(const Join *j, uint32_t id, ScVal v)
{
    return v < SC_FIRST || j->gs->of[j->g->value[v].node] == id;
}

/* The value in whose buffer v lies. */
static ScVal base_of(const Join *j, ScVal v)
{
    while (sc_is_view(sc_def(j->g, v)))
        v = sc_def(j->g, v)->in[0];
    return v;
}

/* The nodes after which v has a buffer: 0 from the start. */
static uint32_t ready_at(const Join *j, ScVal v)
{
    ScVal base = base_of(j, v);
    uint32_t node = j->g->value[base].node, id = j->gs->of[node];
    if (id != UINT32_MAX)
        return 1 + j->gs->group[id].root;
    return j->g->node[node].op->flags & (SC_BARRIER | SC_CONST_OP | SC_INDEX) ? 0 : 1 + node;
}

typedef struct Wait {
    const Join *j;
    uint32_t last;
} Wait;

static void wait_for(void *arg, const char *sym)
{
    Wait *w = arg;
    uint32_t node;
    if (sc_symbols_find(&w->j->bound, sym, &node) && node + 1 > w->last)
        w->last = node + 1;
}

static void add_bound(void *arg, const char *sym, uint32_t node)
{
    Join *j = arg;
    sc_symbols_add(&j->bound, j->a, sym, node);
}

/* The nodes after which n's symbols are known: 0 from the start. */
static uint32_t known_at(const Join *j, const ScNode *n)
{
    Wait w = {.j = j};
    if (j->bound.n)
        sc_node_symbols(j->g, n, wait_for, &w);
    return w.last;
}

/* The group that has what group h waits for longest, where h reads its result as it is and waits
 * for nothing else as long; UINT32_MAX where there is none. *ret_views: what views h needs on its
 * operands, SC_OVER_ facts. */
static uint32_t before(const Join *j, uint32_t h, uint32_t *ret_views)
{
    const ScGroup *later = &j->gs->group[h];
    uint32_t last = 0, found = UINT32_MAX;
    *ret_views = 0;
    for (uint32_t i = 0; i < later->n; i++) {
        const ScNode *n = &j->g->node[later->member[i]];
        uint32_t symbols = known_at(j, n);
        found = symbols >= last && symbols > 0 ? UINT32_MAX : found;
        last = symbols > last ? symbols : last;
        for (uint32_t k = 0; k < n->n_in; k++) {
            ScVal v = n->in[k];
            if (is_inside(j, h, v))
                continue;
            bool view = sc_is_view(sc_def(j->g, v));
            bool index = sc_def(j->g, base_of(j, v))->op->flags & SC_INDEX;
            *ret_views |= (view ? SC_OVER_VIEWS : 0) | (index ? SC_OVER_INDEX : 0);
            uint32_t at = ready_at(j, v), id = view ? UINT32_MAX : j->gs->of[j->g->value[v].node];
            if (at < last || (at == last && found == id))
                continue;
            found = at > last ? id : UINT32_MAX;
            last = at;
        }
    }
    return found;
}

static bool is_next_state(const ScGraph *g, const ScGroup *k)
{
    for (uint32_t i = 0; i < g->n_state; i++)
        for (uint32_t r = 0; r < k->n_result; r++)
            if (g->state[i].next == k->result[r])
                return true;
    return false;
}

static bool same_rows(const ScGroup *a, const ScGroup *b)
{
    return sc_type_same_shape(a->low, b->low) && a->over.n_axis == b->over.n_axis &&
           memcmp(a->over.axis, b->over.axis, a->over.n_axis * sizeof *a->over.axis) == 0;
}

/* Whether h, which reads results of k, can be computed in k's loop. */
static bool fits(const ScGroup *k, const ScGroup *h, uint32_t views)
{
    if (!sc_class_is(k->cls, SC_SEVERAL | views) || !sc_class_is(h->cls, SC_SEVERAL) ||
        k->n + h->n > SC_GROUP_MAX)
        return false;
    if (sc_class_is(k->cls, SC_LEADS) || h->cls == SC_MAP)
        return h->cls == SC_MAP && (sc_type_same_shape(h->space, k->space) ||
                                    (k->low && sc_type_same_shape(h->space, k->low)));
    return h->cls == SC_REDUCE && sc_type_same_shape(h->space, k->space) &&
           sc_group_is_trailing(h) && (!k->low || same_rows(k, h));
}

static void *appended(ScArena *a, const void *x, uint32_t n, const void *y, uint32_t m, size_t size)
{
    char *both = sc_array(a, char, (n + m) * size);
    memcpy(both, x, n * size);
    memcpy(both + n * size, y, m * size);
    return both;
}

/* Group h becomes part of k; false where an epilogue would read too much. */
static bool join(Join *j, uint32_t id, uint32_t h)
{
    ScGroup *k = &j->gs->group[id], *later = &j->gs->group[h];
    ScGroup both = *k;
    both.member = appended(j->a, k->member, k->n, later->member, later->n, sizeof *k->member);
    both.n += later->n;
    both.result =
        appended(j->a, k->result, k->n_result, later->result, later->n_result, sizeof *k->result);
    both.n_result += later->n_result;
    if (later->cls == SC_REDUCE) {
        both.cls = later->cls;
        both.over = later->over;
        both.low = later->low;
    }
    for (uint32_t i = 0; i < later->n; i++)
        j->gs->of[later->member[i]] = id;
    if (sc_class_is(k->cls, SC_LEADS) && !sc_group_reads_few(j->g, j->gs->of, id, &both)) {
        for (uint32_t i = 0; i < later->n; i++)
            j->gs->of[later->member[i]] = h;
        return false;
    }
    *k = both;
    later->n = later->n_result = 0;
    return true;
}

/* Results that nobody reads any more outside of the group are none. */
static void keep_read(const Join *j, uint32_t id, const ScUses *use)
{
    ScGroup *k = &j->gs->group[id];
    uint32_t n = 0;
    for (uint32_t i = 0; i < k->n_result; i++) {
        ScVal v = k->result[i];
        bool read = false;
        for (uint32_t u = use->first[v]; u < use->first[v + 1]; u++)
            read |= use->use[u].node == UINT32_MAX || j->gs->of[use->use[u].node] != id;
        if (read)
            k->result[n++] = v;
    }
    k->n_result = n;
}

void sc_fuse_join(const ScGraph *g, ScGroups *gs, ScArena *a)
{
    Join j = {.g = g, .gs = gs, .a = a};
    for (uint32_t i = 0; i < g->n_node; i++)
        if (g->node[i].op->flags & SC_BINDS)
            sc_node_binders(g, i, add_bound, &j);
    ScUses use = sc_uses(g, a);
    for (uint32_t h = gs->n; h-- > 0;) { /* roots ascend */
        uint32_t views, k = before(&j, h, &views);
        if (k != UINT32_MAX && k - h <= NEAR && !is_next_state(g, &gs->group[h]) &&
            fits(&gs->group[k], &gs->group[h], views))
            join(&j, k, h);
    }
    for (uint32_t i = 0; i < gs->n; i++)
        if (gs->group[i].n > 0 && sc_class_is(gs->group[i].cls, SC_SEVERAL))
            keep_read(&j, i, &use);
}
